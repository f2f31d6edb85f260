"""doctor names what is wrong, where, and how to mend it; and finds nothing wrong where nothing is."""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from filelock import FileLock
from toy import toy_config, toy_home

from tfbind.cli.doctor import FOLDERS, Finding, examine, unused_gpus
from tfbind.nn import weight_files
from tfbind.runs import devices, folder as runs, launch
from tfbind.scoring import jobs
from tfbind.scoring.model import BUILTIN_FOLDER
from tfbind.store.process import cpu_cores
from tfbind.store.schema import write_json
from tfbind.sweeps import sweep_folder
from tfbind.sweeps.spec import parse_spec
from tfbind.tracking import logger


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


def test_what_is_no_folder_where_the_home_has_one_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    for name in FOLDERS:
        (tmp_path / name).touch()
    (tmp_path / "trash").unlink()
    (tmp_path / "trash").symlink_to("/a disk that is not mounted")
    (tmp_path / "notes.txt").touch()
    _, *wrong = findings(tmp_path)["home"]
    said = dict.fromkeys(FOLDERS, "a file") | {"trash": "a link to nothing"}
    assert [finding.said for finding in wrong] == [
        f"{tmp_path / n}: {what}; expected a folder" for n, what in said.items()
    ]
    assert {finding.remedy for finding in wrong} == {"move it away; what belongs there makes its folder itself"}


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


def test_what_is_in_no_list_is_named_with_the_remedy(home):
    """What a copy by hand leaves, or a disk that lost a file."""
    for id in ("kept", "lost"):
        runs.create(home, toy_config(), id=id)
    sweep_folder.create(
        home, parse_spec("{method: grid, parameters: {seed: {values: [1, 2]}}}", toy_config()), id="race"
    )
    weight_files.import_model(home, next(BUILTIN_FOLDER.glob("*.safetensors")), "model")
    for folder in ("runs/lost", "sweeps/race", "models/model"):
        shutil.copytree(home / folder, (home / folder).with_name("A copy"))
    files = {"runs/lost": runs.CONFIG, "sweeps/race": sweep_folder.SETTINGS, "models/model": weight_files.WEIGHTS}
    for folder, file in files.items():
        (home / folder / file).unlink()
    (home / "jobs" / "20260101-000000-abcde").mkdir(parents=True)
    (home / "runs" / ".hidden").mkdir()
    found = findings(home)
    kinds = ("runs", "sweeps", "models", "jobs")
    assert {kind: [f.said for f in found[kind] if f.state == "wrong"] for kind in kinds} == {
        "runs": ["in no list, since config.json is missing: lost", "in no list, for its name: A copy"],
        "sweeps": ["in no list, since sweep.json is missing: race", "in no list, for its name: A copy"],
        "models": ["in no list, since weights.safetensors is missing: model", "in no list, for its name: A copy"],
        "jobs": ["in no list, since job.json is missing: 20260101-000000-abcde"],
    }
    lost, odd = (f.remedy for f in found["runs"] if f.state == "wrong")
    assert lost.startswith(f"restore it from a copy, or delete the folder in {home / 'runs'}; ")
    assert f"model import {home / 'runs' / 'lost' / runs.BEST}" in lost
    assert odd == f"rename the folder in {home / 'runs'}: names are [a-z0-9][a-z0-9-]{{0,63}}"
    assert [run.id for run in runs.list_runs(home)] == ["kept"]


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


def test_a_damaged_model_is_named_and_not_among_the_sound_ones(home):
    for name in ("sound", "torn", "unknown"):
        weight_files.import_model(home, next(BUILTIN_FOLDER.glob("*.safetensors")), name)
    weights, card = home / "models" / "torn" / weight_files.WEIGHTS, home / "models" / "unknown" / weight_files.CARD
    weights.write_bytes(weights.read_bytes()[:-100])
    card.write_text("{")
    sound, torn, unknown = findings(home)["models"]
    assert (sound.state, sound.said) == ("ok", "builtin, sound")
    assert (torn.state, torn.said.startswith(f"{weights}: ")) == ("wrong", True)
    assert torn.remedy == "`python -m tfbind model delete torn`, then import it again"
    assert (unknown.state, unknown.said.startswith(f"{card}: ")) == ("wrong", True)


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


def test_a_worker_is_listed_with_its_locks_and_one_that_is_silent_with_the_remedy(home):
    long = toy_config(num_epochs=10_000, early_stopping_patience=10_000)
    run = launch.submit(home, long, launch.Order(id="long"))
    try:
        deadline = time.monotonic() + 60
        while not runs.read_rows(run):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        pid = runs.read_status(run).pid
        found = findings(home)
        (worker,) = found["workers"]
        assert worker.state == "ok"
        assert worker.said.startswith(f"run long: running, pid {pid}, last sign of life ")
        (lock,) = found["locks"]
        assert lock.state == "ok"
        assert lock.said == f"cpu-0, run-long: held by run long, pid {pid}"
        os.kill(pid, signal.SIGSTOP)
        state = json.loads((run.folder / runs.STATE).read_text())
        (run.folder / runs.STATE).write_text(json.dumps({**state, "heartbeat": time.time() - 90}))
        (worker,) = findings(home)["workers"]
        assert worker.state == "note"
        assert "last sign of life 1 min " in worker.said
        assert worker.remedy.startswith("python -m tfbind stop long")
    finally:
        launch.kill(run)


def test_a_file_that_is_scored_in_the_background_is_listed_until_it_ends(home):
    order = jobs.Order(file="g.fa", model="builtin", suffix=".csv", strand="forward", threshold=3.0, pad=False)
    job = jobs.submit(home, order, io.BytesIO(b">long\n" + b"ACGT" * 3_000_000))
    (worker,) = findings(home)["workers"]
    assert worker.said.startswith(f"scoring of a file {job.id}: running, pid {jobs.owner_of(job).pid}, for ")
    os.kill(jobs.owner_of(job).pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while jobs.owner_of(job).alive:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (worker,) = findings(home)["workers"]
    assert (worker.state, worker.remedy) == ("note", "Resume it on the Predict page")
    (job.folder / jobs.PROCESS).write_text("{")
    (worker,) = findings(home)["workers"]
    assert worker.state == "wrong"


def test_a_lock_that_no_run_of_this_home_holds_names_its_process(home):
    (home / "locks").mkdir(exist_ok=True)
    assert findings(home)["locks"][0].said.startswith("none is held")
    with FileLock(home / "locks" / "cpu-0.lock"):
        (lock,) = findings(home)["locks"]
    assert lock.state == "note"
    assert lock.said == f"cpu-0: held by pid {os.getpid()}, which no active run names"
    assert f"kill {os.getpid()}" in lock.remedy
    with FileLock(home / "locks" / "wandb-some-run.lock"):
        (lock,) = findings(home)["locks"]
    assert (lock.state, lock.said) == ("ok", f"wandb-some-run: held by pid {os.getpid()}, which sends rows to W&B")


def test_runs_of_which_the_server_lacks_something_are_named(home):
    about = {"base_url": "u", "id": "i", "project": "p", "pid": 2**22 + 1, "process_started": 0.0}
    about |= {"host": socket.gethostname(), "heartbeat": 0.0}
    whole = {"asked": "online", "mode": "online", "state": "finished"}
    changes = {
        "fell": {"mode": "offline"},
        "died": {"state": "logging"},
        "later": {"asked": "offline", "mode": "offline"},
        "whole": {},
    }
    for id, changed in changes.items():
        run = runs.create(home, toy_config(), id=id)
        write_json(run.folder / runs.WANDB, asdict(logger.Logged(**about | whole | changed)))
    torn = runs.create(home, toy_config(), id="torn")
    (torn.folder / runs.WANDB).write_text("{")
    damaged, behind, _ = findings(home)["W&B"]
    assert (damaged.state, str(torn.folder / runs.WANDB) in damaged.said) == ("wrong", True)
    assert behind.said == "the server may lack something of died; fell"
    assert behind.remedy == "python -m tfbind runs died --log"


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


@pytest.mark.skipif(devices.ask_driver()[0] > 0, reason="needs a machine without an NVIDIA GPU")
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
