"""Files replaced as a whole, and what killed writers leave of them."""

import errno
import os
import resource
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tfbind.store.atomic import (
    ABANDONED_SECONDS,
    draft_of,
    format_error,
    mtime_ns,
    remove_drafts,
    rename_exclusive,
    scratch,
    write_bytes,
)
from tfbind.store.schema import read_json, write_json

KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from tfbind.store import atomic as files

def chunks():
    yield b"half"
    os.kill(os.getpid(), signal.SIGKILL)

files.write_chunks(Path(sys.argv[1]), chunks())
"""


def test_what_a_killed_writer_left_goes_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bytes(tmp_path / "best.safetensors", b"whole")
    write_json(tmp_path / "state.json", {"state": "running"})
    done = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(tmp_path / "best.safetensors")])
    assert done.returncode == -signal.SIGKILL
    (draft,) = tmp_path.glob(".*")
    gone = draft.name.removeprefix(".best.safetensors.").partition("-")[0]
    (tmp_path / f".new-run.{gone}-0197").mkdir()
    (tmp_path / f".new-run.{gone}-0197" / "config.json").touch()
    (tmp_path / f".state.json.{gone}-0a1f.json").touch()
    living = [f".best.{gone}.{os.getpid()}-0197.pt", ".hidden", ".lock.x12"]
    monkeypatch.setattr(secrets, "token_hex", lambda _: "0197")  # looks like the number of a process
    living.append(draft_of(tmp_path / "last.pt").name)
    for name in living:
        (tmp_path / name).touch()
    remove_drafts(tmp_path)
    assert sorted(path.name for path in tmp_path.glob(".*")) == sorted(living)
    assert (tmp_path / "best.safetensors").read_bytes() == b"whole"
    assert read_json(tmp_path / "state.json") == {"state": "running"}


def test_a_folder_takes_its_place_only_where_none_is_and_other_errors_are_told(tmp_path: Path) -> None:
    drafts = [tmp_path / ".first", tmp_path / ".second"]
    for draft in drafts:
        draft.mkdir()
        (draft / "name").write_text(draft.name)
    place = tmp_path / "place"
    assert [rename_exclusive(draft, place) for draft in drafts] == [True, False]
    assert (place / "name").read_text() == ".first"
    assert (drafts[1] / "name").exists()
    with pytest.raises(FileNotFoundError):
        rename_exclusive(drafts[1], tmp_path / "no folder" / "place")


def test_a_file_that_is_not_there_was_never_written(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    assert [mtime_ns(path), mtime_ns(tmp_path / "no folder" / "state.json")] == [0, 0]
    path.touch()
    os.utime(path, ns=(5, 1_700_000_000_123_456_789))
    assert mtime_ns(path) == 1_700_000_000_123_456_789
    assert mtime_ns(path / "below a file") == 0


def test_the_next_writer_of_a_file_removes_what_a_killed_one_left_of_it(tmp_path: Path) -> None:
    path = tmp_path / "all[1].tsv"
    for name in (path.name, "other.tsv"):
        done = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(tmp_path / name)])
        assert done.returncode == -signal.SIGKILL
    (other,) = tmp_path.glob(".other.tsv.*")
    write_bytes(path, b"whole")
    assert sorted(tmp_path.iterdir()) == sorted([other, path])


@pytest.mark.parametrize("name", ["best.pt", "new-run"])
def test_what_another_host_writes_into_a_shared_home_stays_until_nobody_can_be_writing_it(
    tmp_path: Path, name: str
) -> None:
    """Its process is none of this host: that number may be free here, or another program's."""
    elsewhere = "import socket\nsocket.gethostname = lambda: 'elsewhere'\n"
    half_made = "place = files.draft_of(Path(sys.argv[1]))\nplace.mkdir()\n(place / 'config.json').touch()\n"
    leave = f"from tfbind.store import atomic as files\nimport sys\nfrom pathlib import Path\n{half_made}"
    code = leave if name == "new-run" else KILLED_WHILE_WRITING
    subprocess.run([sys.executable, "-c", elsewhere + code, str(tmp_path / name)])
    (draft,) = tmp_path.iterdir()
    remove_drafts(tmp_path)
    assert draft.exists()
    long_ago = time.time() - 2 * ABANDONED_SECONDS
    if draft.is_dir():
        os.utime(draft, (long_ago, long_ago))
        remove_drafts(tmp_path)
        assert draft.exists()  # a file in it is just being written
    for path in (*draft.rglob("*"), draft):
        os.utime(path, (long_ago, long_ago))
    remove_drafts(tmp_path)
    assert not draft.exists()


def test_a_scratch_folder_goes_and_so_does_that_of_a_killed_process(tmp_path: Path) -> None:
    killed = "import os, sys\nfrom tfbind.store.atomic import *\n"
    killed += "with scratch(Path(sys.argv[1]), 'dna'): os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", killed, str(tmp_path)])
    assert len(list(tmp_path.iterdir())) == 1
    with scratch(tmp_path, "upload") as folder:
        (folder / "dna.fa").touch()
        assert list(tmp_path.iterdir()) == [folder]
    assert list(tmp_path.iterdir()) == []


def test_whole_numbers_of_64_bits_are_read_as_they_were_written(tmp_path: Path) -> None:
    written = {"nanoseconds": 1_795_628_460_894_436_026, "most": 2**63 - 1, "least": -(2**63), "small": 1e-05}
    write_json(tmp_path / "numbers.json", written)
    assert repr(read_json(tmp_path / "numbers.json")) == repr(written)
    (tmp_path / "numbers.json").write_text('{"more": 9223372036854775808}')
    assert repr(read_json(tmp_path / "numbers.json")) == repr({"more": 2.0**63})


@pytest.mark.parametrize("content", [b"[" * 100_000, b"null", b"", b"\xff\xfe", b"{", None])
def test_a_damaged_file_is_a_reason_that_names_it(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "state.json"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{path}: "):
        read_json(path)


def test_what_cannot_be_written_leaves_the_old_file_no_draft_and_its_name(tmp_path: Path) -> None:
    path = tmp_path / "rows.bin"
    write_bytes(path, b"old")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limit[1]))
    try:
        with pytest.raises(OSError, match="File too large") as refused:
            write_bytes(path, b"new" * 10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, old)
    assert format_error(refused.value) == f"{path}: file too large"
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"old", [path])


def test_a_full_disk_is_called_that() -> None:
    assert format_error(OSError(errno.ENOSPC, "No space left on device", "/home/x")) == "/home/x: the disk is full"
    assert format_error(OSError("the server\nis away")) == "the server is away"
