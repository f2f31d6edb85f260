"""Commands run for a page: what they print, what they complain of, and how far they are."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from driving import wait_until

from tfbind.data.dataset import open_dataset
from ui.widgets.command import BackgroundCommand, command

BUILD = ("--motif", "MA0148.5", "--json", "--progress")


@pytest.fixture
def genome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TFBIND_HOME", str(tmp_path / "home"))
    path = tmp_path / "g.fa"
    path.write_text(">chr1\n" + "TGTTTACATAGGCCATTGCA\n" * 500)
    return path


def test_the_share_that_is_done_is_told_while_it_runs(genome: Path) -> None:
    shares: list[float] = []
    printed = command("data", "build", "own", "--genome", str(genome), *BUILD, seconds=120, on_progress=shares.append)
    assert shares[-1] == 1.0
    assert shares == sorted(shares)
    assert '"name": "own"' in printed


def test_a_page_that_ends_while_it_is_told_does_not_end_the_command(genome: Path, tmp_path: Path) -> None:
    def leave(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        command("data", "build", "own", "--genome", str(genome), *BUILD, seconds=120, on_progress=leave)
    assert len(open_dataset(tmp_path / "home", "own")) == 33


@contextmanager
def stalled(first: bytes) -> Iterator[int]:
    """A server on loopback that answers `first` to whoever comes, and nothing more; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []

        def answer() -> None:
            with suppress(OSError):
                while True:
                    held.append(server.accept()[0])
                    held[-1].sendall(first)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for one in held:
                one.close()


def test_a_command_beside_the_pages_says_how_far_it_is_and_leaves_nothing_when_it_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFBIND_HOME", str(tmp_path))
    with stalled(b"HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n" + bytes(1_000_000)) as port:
        address = f"http://127.0.0.1:{port}/"
        fetch = BackgroundCommand("data", "fetch", "course-chr22", "--from", address, "--progress", seconds=120)
        wait_until(lambda: fetch.share > 0.2, 60, lambda: fetch.error)
        assert fetch.words == f"chr22_sequences.txt.gz: {4 * fetch.share:.1f} of 4.0 MB"
        assert fetch.running
        fetch.cancel()
        wait_until(lambda: not fetch.running, 20)
    assert fetch.error is None
    assert list((tmp_path / "downloads").iterdir()) == []


def test_a_command_beside_the_pages_complains_in_one_line() -> None:
    listed = BackgroundCommand("data", "fetch", "chr1", seconds=60)
    wait_until(lambda: not listed.running, 60)
    assert "invalid choice: 'chr1'" in (listed.error or "")


def test_a_complaint_is_one_line_and_what_takes_too_long_is_ended(genome: Path) -> None:
    with pytest.raises(ValueError, match="not in JASPAR 2026"):
        command("data", "build", "own", "--genome", str(genome), "--motif", "no such", seconds=120)
    with stalled(b"") as port, pytest.raises(ValueError, match="data: stopped after 1 seconds without an end"):
        command("data", "fetch", "course-chr22", "--from", f"http://127.0.0.1:{port}/", seconds=1)
