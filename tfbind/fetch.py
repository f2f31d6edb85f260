"""The course's full pair of files, downloaded with pinned checksums and imported."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tfbind.datasets import Windows, check_free, import_pair, sha256
from tfbind.files import scratch

DOWNLOADS = "downloads"
SECONDS = 30.0  # without an answer
CHUNK = 2**17  # bytes
MOST_BYTES = 1 << 28  # of a file: a server may send without end

Tell = Callable[[float, str], None]


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


class _Bar:
    """What pooch expects of a progress bar; it ends a download that is too long. `total` is 0 where the server does
    not say how long a file is."""

    def __init__(self, file: str, tell: Tell) -> None:
        self.total = self._done = 0
        self._file, self._tell = file, tell

    def update(self, count: int) -> None:
        self._done += count
        if self._done > MOST_BYTES:
            raise OSError(f"{self._file}: the server sent over {MOST_BYTES:,} bytes; expected the file")
        if self.total:
            self._done = min(self._done, self.total)  # pooch counts the last piece as a whole one
        share = self._done / self.total if self.total else 0.0
        of = f" of {self.total / 1e6:.1f}" if self.total else ""
        self._tell(share, f"{self._file}: {self._done / 1e6:.1f}{of} MB")

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None: ...


def fetch(
    home: Path,
    key: str,
    name: str | None = None,
    address: str | None = None,
    sources: Mapping[str, Source] = SOURCES,
    tell: Tell = lambda _share, _words: None,
) -> Windows:
    """Download a public pair and store it as a data set, called `key` unless it is given another name.

    What was downloaded before an interruption is not downloaded again.

    Args:
        address: a mirror to ask instead; the checksums stay.
        tell: told what is being done, a file at a time, and the share of it that is done.

    Raises:
        ValueError: no such source, a name that is taken, or a file with another checksum.
        OSError: the files cannot be had or stored.
    """
    import pooch

    if key not in sources:
        raise ValueError(f"{key!r}: expected one of {', '.join(sources)}")
    source, name = sources[key], name or key
    check_free(home, name)
    pooch.get_logger().setLevel("WARNING")
    paths = [home / DOWNLOADS / file for file in source.files]
    for path, checksum in zip(paths, source.files.values(), strict=True):
        url = (address or source.address).rstrip("/") + "/" + path.name
        ask = pooch.HTTPDownloader(progressbar=_Bar(path.name, tell), chunk_size=CHUNK, timeout=SECONDS)
        with _told(url, checksum), scratch(path.parent, path.name) as aside:
            if not path.is_file() or sha256(path) != checksum:
                Path(pooch.retrieve(url, f"sha256:{checksum}", path.name, aside, downloader=ask)).replace(path)
    data = import_pair(home, paths[0], paths[1], name, progress=lambda share: tell(share, "Checking every window"))
    for path in paths:
        path.unlink(missing_ok=True)
    return data


@contextmanager
def _told(url: str, checksum: str) -> Iterator[None]:
    """What goes wrong with a download, in one line that names its address."""
    import requests
    from requests import exceptions

    try:
        yield
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
            "`data import` or, on the Data page, the tab for a pair of files"
        ) from None
    except ValueError:
        raise ValueError(f"{url}: not the file that was published: its SHA-256 is not {checksum}") from None
