"""The published pair over HTTP: whole, refused when it is another file, gone on with, and said to be out of reach."""

import contextlib
import hashlib
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from toy import toy_home

from tfbind.data import manage
from tfbind.data.dataset import Windows, list_datasets, open_dataset, sha256
from tfbind.data.manage import Source


@dataclass
class Shop:
    """A server on loopback with files by name; `faults` says what becomes of some."""

    address: str
    files: dict[str, bytes]
    faults: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def own(tmp_path: Path) -> Windows:
    return open_dataset(toy_home(tmp_path), "toy")


@pytest.fixture
def shop(own: Windows, tmp_path: Path) -> Iterator[Shop]:
    found = Shop("", {path.name: path.read_bytes() for path in manage.export(own, tmp_path)})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rpartition("/")[2]
            found.asked.append(name)
            fault = found.faults.get(name)
            content = found.files[name]
            self.send_response({"missing": 404, "round": 302}.get(fault or "", 200))
            self.send_header("Location", self.path)
            if fault != "endless":
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with contextlib.suppress(OSError):
                while fault == "endless":
                    self.wfile.write(bytes(1 << 16))
            self.wfile.write(content[:9] if fault == "cut" else b"x" * len(content) if fault == "other" else content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.address = f"http://127.0.0.1:{server.server_port}/data/"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


@pytest.fixture
def sources(shop: Shop, tmp_path: Path) -> dict[str, Source]:
    return {"toy-pair": Source(shop.address, {name: sha256(tmp_path / name) for name in shop.files}, "toys")}


def test_what_was_published_is_checked_and_becomes_a_data_set(
    own: Windows, sources: dict[str, Source], tmp_path: Path
) -> None:
    home = tmp_path / "other"
    data = manage.fetch(home, "toy-pair", sources=sources)
    assert (data.name, data.hash) == ("toy-pair", own.hash)
    assert list((home / manage.DOWNLOADS).iterdir()) == []


def test_every_byte_of_it_is_told(shop: Shop, sources: dict[str, Source], tmp_path: Path) -> None:
    first, second = shop.files
    shop.files[second] += bytes(700_000)  # which gzip passes over
    sources["toy-pair"].files[second] = hashlib.sha256(shop.files[second]).hexdigest()
    told: list[tuple[float, str]] = []
    manage.fetch(tmp_path / "other", "toy-pair", sources=sources, tell=lambda *one: told.append(one))
    size = f"{len(shop.files[second]) / 1e6:.1f}"
    shares = [share for share, what in told if what.startswith(f"{second}: ")]
    assert shares == sorted(shares)
    assert 0 < shares[0] < 0.5
    assert (1.0, f"{second}: {size} of {size} MB") in told
    assert list(dict.fromkeys(what.partition(":")[0] for _, what in told)) == [first, second, "Checking every window"]


KILLED_BY_ITS_FIRST_BYTES = """
import os, signal, sys
from pathlib import Path
from tfbind.data import manage as fetch
fetch._Bar.update = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
sources = {"toy-pair": fetch.Source(*eval(sys.argv[2]))}
fetch.fetch(Path(sys.argv[1]), "toy-pair", sources=sources)
"""


def test_what_a_killed_download_left_goes_with_the_next_one(sources: dict[str, Source], tmp_path: Path) -> None:
    home, source = tmp_path / "other", sources["toy-pair"]
    told = repr((source.address, source.files, source.about))
    killed = subprocess.run([sys.executable, "-c", KILLED_BY_ITS_FIRST_BYTES, home, told])
    assert killed.returncode == -signal.SIGKILL
    assert len(list((home / manage.DOWNLOADS).rglob("*"))) > 0
    manage.fetch(home, "toy-pair", sources=sources)
    assert list((home / manage.DOWNLOADS).iterdir()) == []


def test_a_terminal_shows_how_far_it_is(shop: Shop, tmp_path: Path) -> None:
    shop.files |= dict.fromkeys(manage.SOURCES["course-chr22"].files, bytes(900_000))
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "tfbind", "data", "fetch", "course-chr22", "--from", shop.address]
    environment = {**os.environ, "TFBIND_HOME": str(tmp_path / "other")}
    done = subprocess.run(words, stderr=theirs, stdout=subprocess.PIPE, env=environment, check=False)
    os.close(theirs)
    drawn = os.read(ours, 65_536).decode()
    os.close(ours)
    assert done.returncode == 2
    assert "█" in drawn
    assert "chr22_sequences.txt.gz: 0.3 of 0.9 MB" in drawn
    assert drawn.strip().splitlines()[-1].endswith(manage.SOURCES["course-chr22"].files["chr22_sequences.txt.gz"])


# pooch leaves the response to the garbage collector, as below.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_download_without_end_is_ended_and_leaves_nothing(
    shop: Shop, sources: dict[str, Source], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = next(iter(shop.files))
    shop.faults[first] = "endless"
    monkeypatch.setattr(manage, "MOST_BYTES", 1 << 20)
    with pytest.raises(OSError, match=rf"^{first}: the server sent over 1,048,576 bytes; expected the file$"):
        manage.fetch(tmp_path / "other", "toy-pair", sources=sources)
    assert list((tmp_path / "other" / manage.DOWNLOADS).iterdir()) == []


# pooch leaves the response of a download that broke off to the garbage collector.
@pytest.mark.filterwarnings(r"ignore:unclosed <socket\.socket \[closed\]:ResourceWarning")
@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ("missing", OSError, "the server refused (404"),
        ("cut", OSError, "the download broke off before its end"),
        ("round", OSError, "round in circles"),
        ("other", ValueError, "not the file that was published"),
    ],
)
def test_a_bad_answer_is_one_line_and_the_file_that_came_is_kept(
    shop: Shop, sources: dict[str, Source], tmp_path: Path, fault: str, kind: type[Exception], said: str
) -> None:
    home = tmp_path / "other"
    first, second = shop.files
    shop.faults[second] = fault
    with pytest.raises(kind) as caught:
        manage.fetch(home, "toy-pair", sources=sources)
    assert said in str(caught.value)
    assert f"{shop.address}{second}" in str(caught.value)
    assert list_datasets(home) == []
    shop.faults.clear()
    manage.fetch(home, "toy-pair", sources=sources)
    assert shop.asked[0] == first
    assert set(shop.asked[1:]) == {second}


def test_without_a_network_it_is_said_what_to_do(sources: dict[str, Source], tmp_path: Path) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # held, so that nobody else listens there, and not listened to
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        with pytest.raises(OSError, match=r"no answer; this needs a network.*use `data import`"):
            manage.fetch(tmp_path / "other", "toy-pair", address=address, sources=sources)


@pytest.mark.parametrize("address", ["ftp://127.0.0.1", "not a url", "/some/folder", "http://?"])
def test_what_is_no_address_of_the_web_is_refused(address: str, sources: dict[str, Source], tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=rf"{re.escape(address)}\S*: no address of a server; expected one that begins with http://"
    ):
        manage.fetch(tmp_path / "other", "toy-pair", address=address, sources=sources)


def test_a_taken_name_is_refused_before_anything_is_asked(
    shop: Shop, sources: dict[str, Source], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="'toy': exists already"):
        manage.fetch(tmp_path / "home", "toy-pair", name="toy", sources=sources)
    assert shop.asked == []


def test_the_course_is_pinned_to_one_commit_and_two_checksums() -> None:
    source = manage.SOURCES["course-chr22"]
    assert source.address.startswith("https://")
    assert all(len(checksum) == 64 for checksum in source.files.values())
    with pytest.raises(ValueError, match="'chr1': expected one of course-chr22"):
        manage.fetch(Path("/nowhere"), "chr1")
