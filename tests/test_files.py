"""Files replaced as a whole, and what killed writers leave of them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tfbind.files import read_json, remove_drafts, write_bytes, write_json

KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from tfbind import files

def chunks():
    yield b"half"
    os.kill(os.getpid(), signal.SIGKILL)

files.write_chunks(Path(sys.argv[1]), chunks())
"""


def test_what_a_killed_writer_left_goes_and_nothing_else(tmp_path: Path) -> None:
    write_bytes(tmp_path / "best.safetensors", b"whole")
    write_json(tmp_path / "state.json", {"state": "running"})
    done = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(tmp_path / "best.safetensors")])
    assert done.returncode == -signal.SIGKILL
    (draft,) = tmp_path.glob(".*")
    gone = draft.name.rpartition(".")[2]
    (tmp_path / f".new-run.{gone}.new").mkdir()
    (tmp_path / f".new-run.{gone}.new" / "config.json").touch()
    (tmp_path / f".state.json.{gone}.0a1f").touch()
    living = [f".labels.json.{os.getpid()}.12ab", f".best.safetensors.{os.getpid()}", ".hidden", ".lock.12x"]
    for name in living:
        (tmp_path / name).touch()
    remove_drafts(tmp_path)
    assert sorted(path.name for path in tmp_path.glob(".*")) == sorted(living)
    assert (tmp_path / "best.safetensors").read_bytes() == b"whole"
    assert read_json(tmp_path / "state.json") == {"state": "running"}
