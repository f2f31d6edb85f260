"""doctor names what is wrong, where, and how to mend it; and finds nothing wrong where nothing is."""

import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from toy import toy_config, toy_home

from tfbind.cli.doctor import Finding, examine, unused_gpus
from tfbind.runs import devices, folder as runs
from tfbind.store.process import cpu_cores
from tfbind.sweeps import sweep_folder
from tfbind.sweeps.spec import parse_spec


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
    assert f"{cpu_cores()} CPU cores" in found["devices"][0].said


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


@pytest.mark.parametrize("content", [b"", b"\x80\x04no array"])
def test_a_damaged_data_set_is_named_and_not_among_the_sound_ones(home, content):
    shutil.copytree(home / "data" / "toy", home / "data" / "other")
    (home / "data" / "toy" / "codes.npy").write_bytes(content)
    (home / "data" / "empty").mkdir()
    (home / "data" / "notes.txt").write_text("no data set, and none that is damaged")
    sound, empty, toy = findings(home)["data sets"]
    assert (sound.state, sound.said) == ("ok", "other")
    assert empty.said == f"{home / 'data' / 'empty' / 'meta.json'}: the file is missing"
    assert "delete it and import or build the data again" in empty.remedy
    assert toy.state == "wrong"
    assert (
        toy.said
        == f"{home / 'data' / 'toy' / 'codes.npy'}: not a readable array; expected the file that an import wrote"
    )
    assert f"restore {home / 'data' / 'toy'} from a copy" in toy.remedy


def test_packages_of_other_versions_are_named_those_that_need_not_be_there_only_if_they_are(home, monkeypatch):
    there = {"streamlit": "1.0", "joserfc": "0.1"}

    def version(package: str) -> str:
        if package in ("numpy", "ray", "authlib"):
            raise PackageNotFoundError(package)
        return there.get(package) or metadata.version(package)

    monkeypatch.setattr("tfbind.cli.doctor.version", version)
    needed, login = findings(home)["packages"]
    assert needed.said.startswith("numpy missing, wanted 2.") or "; numpy missing, wanted 2." in needed.said
    assert "streamlit 1.0, wanted 1." in needed.said
    assert needed.remedy == "make setup"
    assert login.said == "joserfc 0.1, wanted 1.8.0"
    assert (login.state, login.remedy) == ("wrong", ".venv/bin/pip install -r requirements-login.txt")


def test_a_crashed_sweep_and_damaged_ones_are_named_with_the_remedy(home):
    text = "{method: grid, parameters: {seed: {values: [1, 2]}}}"
    gone, torn, broken, _ = (sweep_folder.create(home, parse_spec(text, toy_config()), id=id) for id in "abcd")
    state = json.loads((gone.folder / runs.STATE).read_text())
    (gone.folder / runs.STATE).write_text(json.dumps({**state, "pid": 2**22 + 1, "state": "running"}))
    (torn.folder / runs.STATE).write_text("{")
    (broken.folder / sweep_folder.SPEC).write_text("{")
    counts, crashed, damaged = findings(home)["sweeps"]
    assert counts.said == "1 crashed, 1 pending"
    assert (crashed.said, crashed.remedy) == ("crashed: a", "python -m tfbind sweep --resume a")
    assert damaged.state == "wrong"
    assert str(torn.folder / runs.STATE) in damaged.said
    assert str(broken.folder / sweep_folder.SPEC) in damaged.said
    assert damaged.said.startswith("damaged: b (")


@pytest.mark.parametrize(
    ("code", "state", "said"),
    [
        (200, "ok", "answers"),
        (404, "ok", "answers"),
        (407, "note", "the answer is 407 Proxy Authentication Required"),
        (502, "note", "the answer is 502 Bad Gateway"),
    ],
)
def test_a_server_answers_unless_one_on_the_way_says_that_it_does_not(home, monkeypatch, code, state, said):
    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(code)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("WANDB_BASE_URL", url)
        (finding,) = findings(home)["W&B"]
        server.shutdown()
    assert finding.state == state
    assert said in finding.said


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:9", "http://127.0.0.1:9: connection refused"),
        ("wandb.example.org", "wandb.example.org: no web address; expected one such as https://api.wandb.ai"),
        ("file:///etc/passwd", "file:///etc/passwd: no web address; expected one such as https://api.wandb.ai"),
    ],
)
def test_why_a_server_cannot_be_reached_is_said_without_numbers(home, monkeypatch, url, said):
    monkeypatch.setenv("WANDB_BASE_URL", url)
    (finding,) = findings(home)["W&B"]
    assert (finding.state, finding.said) == ("note", said)
    assert "WANDB_BASE_URL" in finding.remedy


def test_gpus_that_torch_cannot_use_are_told_with_the_remedy():
    assert list(unused_gpus(True, 2, "")) == []
    assert list(unused_gpus(False, 0, "no driver")) == []
    (without,) = unused_gpus(True, 0, "NVIDIA's driver shows no GPU to this process")
    assert without.said == "torch could use a GPU, but NVIDIA's driver shows no GPU to this process"
    assert "nvidia-smi" in without.remedy
    (built,) = unused_gpus(False, 1, "")
    assert built.said == "NVIDIA's driver shows 1 GPU, but torch is built without CUDA"
    assert "make setup TORCH_INDEX" in built.remedy


@pytest.mark.skipif(devices.driver_gpu_count()[0] > 0, reason="needs a machine without an NVIDIA GPU")
def test_a_torch_with_cuda_on_a_machine_without_a_driver_is_told(home, tmp_path):
    torch = tmp_path / "torch"
    torch.mkdir()
    (torch / "__init__.py").write_text("raise ImportError('nobody needs it')\n")
    (torch / "version.py").write_text("cuda: Optional[str] = '13.0'\n")
    environment = {**os.environ, "TFBIND_HOME": str(home), "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "tfbind", "doctor"]
    said = subprocess.run(command, env=environment, capture_output=True, text=True).stdout
    assert "note   devices    torch could use a GPU, but NVIDIA's driver " in said


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
