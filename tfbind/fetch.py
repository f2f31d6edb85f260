"""The course's full pair of files, downloaded with pinned checksums and imported."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tfbind.datasets import Windows, check_free, import_pair
from tfbind.pairs import Progress

DOWNLOADS = "downloads"
SECONDS = 30.0  # without an answer


@dataclass(frozen=True)
class Source:
    """A public pair: where it lies, and the SHA-256 of its two files by name, sequences first."""

    address: str
    files: dict[str, str]
    about: str


SOURCES = {
    "course-chr22": Source(
        "https://raw.githubusercontent.com/inhyeoklee/DNA-LLM/91ef564493db22c06d602e22da7c26d89800551f"
        "/tf-binding-prediction/data/",
        {
            "chr22_sequences.txt.gz": "d23a20353ee6828441ebda3e35fe82910366ac73d70f92e51c1068ee8e75aabf",
            "chr22_scores.txt.gz": "2d62af728cafb70223e2f5fcc8cfd2522c1bf5818df20e60f4cc8facde12cbd9",
        },
        "23,139 windows of human chromosome 22 with FOXA1 motif scores: GENE 46100, University of Chicago, CC BY 4.0",
    )
}


def fetch(
    home: Path,
    key: str,
    name: str | None = None,
    address: str | None = None,
    sources: Mapping[str, Source] = SOURCES,
    progress: Progress | None = None,
) -> Windows:
    """Download a public pair and store it as a data set, called `key` unless it is given another name.

    What was downloaded before an interruption is not downloaded again.

    Args:
        address: a mirror to ask instead; the checksums stay.

    Raises:
        ValueError: no such source, a name that is taken, or a file with another checksum.
        OSError: the files cannot be had or stored.
    """
    import pooch
    import requests
    from requests import exceptions

    if key not in sources:
        raise ValueError(f"{key!r}: expected one of {', '.join(sources)}")
    source, name = sources[key], name or key
    check_free(home, name)
    folder = home / DOWNLOADS
    folder.mkdir(parents=True, exist_ok=True)
    pooch.get_logger().setLevel("WARNING")
    paths = []
    for file, checksum in source.files.items():
        url = (address or source.address).rstrip("/") + "/" + file
        try:
            ask = pooch.HTTPDownloader(timeout=SECONDS)
            paths.append(Path(pooch.retrieve(url, f"sha256:{checksum}", file, folder, downloader=ask)))
        except requests.HTTPError as error:
            raise OSError(f"{url}: the server refused ({error}); expected the file, try again later") from None
        except (exceptions.MissingSchema, exceptions.InvalidSchema, exceptions.InvalidURL):
            raise ValueError(
                f"{url}: no address of a server; expected one that begins with http:// or https://"
            ) from None
        except requests.TooManyRedirects:
            raise OSError(f"{url}: the server sends the request round in circles; expected the file") from None
        except exceptions.ChunkedEncodingError:
            raise OSError(f"{url}: the download broke off before its end; try again") from None
        except requests.RequestException:
            raise OSError(
                f"{url}: no answer; this needs a network. On a machine without one, copy the two files there and use "
                "`data import`"
            ) from None
        except ValueError:
            raise ValueError(f"{url}: not the file that was published: its SHA-256 is not {checksum}") from None
    data = import_pair(home, paths[0], paths[1], name, progress=progress)
    for path in paths:
        path.unlink(missing_ok=True)
    return data
