"""doctor names what is wrong, where, and how to mend it; and finds nothing wrong where nothing is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from toy import toy_config, toy_home

from tfbind import devices, runs
from tfbind.doctor import Finding, examine


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # the discard port: refused at once
    return toy_home(tmp_path)


def findings(home: Path) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in examine(home):
        found.setdefault(finding.subject, []).append(finding)
    return found


def test_a_sound_home_has_nothing_wrong(home):
    found = findings(home)
    assert [f.subject for fs in found.values() for f in fs if f.state == "wrong"] == []
    assert found["data sets"][0].said == "toy"
    assert f"{devices.cpu_cores()} CPU cores" in found["devices"][0].said


def test_a_crashed_run_and_a_damaged_one_are_named_with_the_remedy(home):
    gone = runs.create(home, toy_config(), id="gone")
    state = json.loads((gone.folder / runs.STATE).read_text())
    (gone.folder / runs.STATE).write_text(json.dumps({**state, "pid": 2**22 + 1, "state": "running"}))
    torn = runs.create(home, toy_config(), id="torn")
    (torn.folder / runs.METRICS).write_text("not a row\n")
    said = {finding.said.split(":")[0]: finding for finding in findings(home)["runs"]}
    assert said["crashed"].remedy == "python -m tfbind resume gone"
    assert "torn" in said["damaged"].said
    assert said["damaged"].state == "wrong"


def test_a_damaged_data_set_is_named(home):
    (home / "data" / "toy" / "codes.npy").write_bytes(b"")
    (wrong,) = [f for f in findings(home)["data sets"] if f.state == "wrong"]
    assert "codes.npy" in wrong.said


def test_slots_in_use_are_listed(home):
    (home / "locks").mkdir(exist_ok=True)
    with FileLock(home / "locks" / "cpu-0.lock"):
        assert findings(home)["slots"][0].said == "in use: cpu-0"


def test_a_home_that_cannot_be_written_is_wrong(tmp_path):
    (tmp_path / "file").write_text("")
    (wrong,) = [f for f in findings(tmp_path / "file")["home"] if f.state == "wrong"]
    assert "TFBIND_HOME" in wrong.remedy


def test_the_command_ends_with_1_when_something_is_wrong(home):
    environment = {**os.environ, "TFBIND_HOME": str(home)}

    def ask(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tfbind", "doctor", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    sound = ask()
    assert (sound.returncode, sound.stderr) == (0, "")
    assert "note   W&B" in sound.stdout
    (home / "data" / "toy" / "meta.json").write_text("{")
    broken = ask("--json")
    assert broken.returncode == 1
    assert "wrong" in {finding["state"] for finding in json.loads(broken.stdout)["findings"]}
