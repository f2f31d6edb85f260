"""A home with a file of every kind, and who reads which: tests damage one file at a time."""

import io
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml
from life import wait_until
from toy import toy_config, toy_home

from tfbind import runs
from tfbind.__main__ import main
from tfbind.runs import disk, launch
from tfbind.runs.worker import Worker
from tfbind.scoring import jobs
from tfbind.store.process import this_process
from tfbind.store.schema import write_json
from tfbind.sweeps import sweep_folder
from tfbind.tracking import cache
from tfbind.tracking.logger import LogStatus

DNA = ">one\nACGTACGTACGTTGTTTACACGTT\n>two\nGGGTAAACAGGGTTTACGTACGTT\n"
JOB = "20260101-000000-00000"
QUERY = "0123456789abcdef"
CLOSED = "http://127.0.0.1:9"  # a port that nobody listens on

PULLED = {
    "id": "p1",
    "project": "pulled",
    "name": "theirs",
    "state": "finished",
    "config": {"lr": 0.01, "batch_size": 8},
    "summary": {"val_loss": 0.5},
    "sweep": None,
    "group": "",
    "tags": ["t"],
    "note": "",
    "created": "2026-01-01T00:00:00Z",
}
PULLED_ROWS = [{"epoch": 1, "val_loss": 0.9}, {"epoch": 2, "val_loss": 0.5}]

COMMANDS = {
    "runs": "runs",
    "run": "runs torn",
    "repeat": "runs torn --command",
    "stop": "stop torn",
    "predict": "predict --model torn --data OUT/dna.fa --out OUT/p.csv --pad",
    "mine": "predict --model mine --data OUT/dna.fa --out OUT/q.csv --pad",
    "compare": "compare torn whole --out OUT/report.html",
    "pulled": "compare p1 whole",
    "export": "data export toy --to OUT",
    "motif": "data motif toy",
    "data": "data list",
    "leaks": "leaks --dataset toy",
    "test": "test whole",
    "baselines": "baselines --dataset toy --test-split 0.2",
    "sweeps": "sweep --list",
    "models": "model list",
    "disk": "disk",
    "doctor": "doctor",
}
WRITERS = {
    "resume": ("resume torn", "runs/torn/"),
    # A changed file may ask for another run, of the built-in data if it names none.
    "again": ("sweep --resume race", "sweeps/race/", "runs/2", "data/builtin/", "data/.lock", "baselines/"),
    "train": (f"train --dataset toy --id fresh {' '.join(launch.flags(toy_config(num_epochs=1)))}", "runs/fresh/"),
}
# Who cannot do without a file, and has to say so.
NEEDED = {
    f"runs/torn/{runs.CONFIG}": "runs run repeat predict compare resume doctor",
    f"runs/torn/{runs.STATE}": "run doctor",
    f"runs/torn/{runs.LABELS}": "runs run compare doctor",
    f"runs/torn/{runs.METRICS}": "",
    f"runs/torn/{runs.CHECKPOINT}": "resume",
    f"runs/torn/{runs.BEST}": "predict",
    f"runs/torn/{runs.VALIDATION}": "",
    f"runs/torn/{runs.INITIAL}": "resume",
    f"runs/torn/{runs.PROGRESS}": "",
    f"runs/torn/{runs.WANDB}": "run",
    f"runs/torn/{runs.LOG}": "",
    f"runs/whole/{runs.GRAPH}": "",
    f"runs/whole/{runs.TEST}": "test",
    f"runs/whole/{runs.FILTERS}": "",
    f"sweeps/race/{sweep_folder.SPEC}": "sweeps again doctor",
    f"sweeps/race/{sweep_folder.SETTINGS}": "sweeps again doctor",
    f"sweeps/race/{runs.STATE}": "doctor",
    "data/toy/meta.json": "export motif leaks baselines train resume doctor",
    "data/toy/names.npy": "export motif leaks baselines train resume doctor",
    "data/toy/codes.npy": "export motif leaks baselines train resume doctor",
    "data/toy/scores.npy": "export motif leaks baselines train resume doctor",
    "models/mine/card.json": "models",
    "models/mine/weights.safetensors": "mine",
    f"queries/{QUERY}.txt": "",
    f"jobs/{JOB}/job.json": "",
    f"jobs/{JOB}/process.json": "",
    f"jobs/{JOB}/printed.txt": "",
    "wandb/projects/*/project.json": "pulled",
    "wandb/projects/*/names.json": "pulled",
    "wandb/projects/*/histories/*.json": "pulled",
    "baselines/*.json": "baselines",
}


# The page on which a file is looked at, with what its address says; True where it has to name the file.
SHOWN = {
    f"runs/torn/{runs.CONFIG}": ("train", "run=torn", True),
    f"runs/torn/{runs.STATE}": ("train", "run=torn", True),
    f"runs/torn/{runs.LABELS}": ("train", "run=torn", True),
    f"runs/torn/{runs.METRICS}": ("train", "run=torn", False),
    f"runs/torn/{runs.PROGRESS}": ("train", "run=torn", False),
    f"runs/torn/{runs.BEST}": ("predict", "model=torn", False),
    f"runs/torn/{runs.VALIDATION}": ("train", "run=torn", True),
    f"runs/torn/{runs.WANDB}": ("train", "run=torn", True),
    f"runs/torn/{runs.LOG}": ("train", "run=torn", False),
    f"runs/whole/{runs.TEST}": ("train", "run=whole", True),
    f"runs/whole/{runs.FILTERS}": ("train", "run=whole", True),
    f"sweeps/race/{sweep_folder.SPEC}": ("sweep", "sweep=race", True),
    f"sweeps/race/{sweep_folder.SETTINGS}": ("sweep", "sweep=race", True),
    f"sweeps/race/{runs.STATE}": ("sweep", "sweep=race", True),
    "data/toy/meta.json": ("data", "data=toy", False),
    "data/toy/names.npy": ("data", "data=toy", True),
    "data/toy/codes.npy": ("data", "data=toy", True),
    "data/toy/scores.npy": ("data", "data=toy", True),
    "models/mine/card.json": ("predict", "", False),
    "models/mine/weights.safetensors": ("predict", "", False),
    f"queries/{QUERY}.txt": ("predict", f"q={QUERY}", False),
    f"jobs/{JOB}/job.json": ("predict", "", True),
    f"jobs/{JOB}/process.json": ("predict", "", True),
    f"jobs/{JOB}/printed.txt": ("predict", "", False),
    "wandb/projects/*/project.json": ("compare", "", True),
    "wandb/projects/*/names.json": ("compare", "", True),
    "wandb/projects/*/histories/*.json": ("compare", "", True),
    "baselines/*.json": ("train", "run=whole", True),
}


def make_home(folder: Path) -> Path:
    """A home with a file of every kind, each written by what writes it."""
    home = toy_home(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFBIND_HOME", str(home))
        tested = toy_config(num_epochs=4, test_split=0.2)
        done = launch.prepare(home, tested, launch.RunRequest(id="whole")).create()
        assert Worker(done).work() == "finished"
        for command in (("test", "whole"), ("baselines", "--dataset", "toy", "--test-split", "0.2")):
            assert main(command) == 0
        write_json(done.folder / runs.FILTERS, {"filters": [], "windows": 10, "behind": None})
        stop = launch.prepare(home, tested, launch.RunRequest(id="torn", parent=done)).create()
        Worker(stop, on_row=lambda row: row["epoch"] == 2 and stop.request_stop()).work()
        logged = LogStatus(
            **asdict(this_process()), asked="online", mode="online", state="incomplete", base_url=CLOSED,
            id="torn", project="p", rows=1, error="the server does not answer",
        )  # fmt: skip
        write_json(stop.folder / runs.WANDB, asdict(logged))
        fixed = {name: {"value": value} for name, value in toy_config().model_dump(exclude_none=True).items()}
        spec = folder / "spec.yaml"
        spec.write_text(yaml.safe_dump({"method": "grid", "parameters": fixed | {"seed": {"values": [1, 2]}}}))
        assert main(["sweep", str(spec), "--id", "race"]) == 0
        assert main(["model", "import", str(done.folder / runs.BEST), "--name", "mine"]) == 0
        cache.save_offline_run(cache.offline_project(home, "pulled"), dict(PULLED), list(PULLED_ROWS))
        cache.save_names(cache.offline_project(home, "pulled"), {"lr": "learning_rate"})
        (home / disk.PASTED).mkdir()
        (home / disk.PASTED / f"{QUERY}.txt").write_text(DNA)
        order = jobs.JobRequest("dna.fa", "whole", ".csv", "forward", 3.0, True)
        job = jobs.submit(home, order, io.BytesIO(DNA.encode()), JOB)
        wait_until(lambda: jobs.read_status(job).state == "finished", 60)
    return home


def run(command: str, out: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code of a command, and what it said."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    (out / "dna.fa").write_text(DNA)
    capsys.readouterr()
    code = main([word.replace("OUT", str(out)) for word in command.split()])
    said = capsys.readouterr()
    assert len(said.err.splitlines()) <= 1 or not said.err.count("tfbind:"), f"{command}: {said.err}"
    return code, said.out + said.err
