"""What is kept in a home is its account's alone, whoever wrote it: the app, commands, workers, jobs, W&B's client."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from toy import toy_home

from tfbind.cli.doctor import Finding, examine
from tfbind.config import PROJECT
from tfbind.store.atomic import OTHERS

OPEN = 0o022  # the umask of most accounts

APP = """
import io, sys, time
sys.path.insert(0, "tests")
from driven import app
app()
from tfbind.scoring import jobs
from tfbind.config import home_folder
order = jobs.JobRequest("x.fa", "builtin", ".csv", "forward", 3.0, False)
job = jobs.submit(home_folder(), order, io.BytesIO(b">a\\nACGT\\n"))
while jobs.read_status(job).state == "running":
    time.sleep(0.05)
assert jobs.read_status(job).state == "finished"
"""

NODE = """
import os, sys
from tfbind.cluster import task as ray_task
def begin():
    print(oct(os.umask(0)))
    sys.exit()
ray_task._remove_abandoned = begin
next(ray_task.train("node", "id", {}, {}, None, None, None))
"""


def run(home: Path, *words: str) -> str:
    """A process as a user starts it, who lets others read what it writes."""
    environment = {**os.environ, "TFBIND_HOME": str(home), "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        umask=OPEN,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def open_to_others(home: Path) -> list[str]:
    every = [home, *home.rglob("*")]
    return [f"{path.relative_to(home)} {path.stat().st_mode:o}" for path in every if path.stat().st_mode & OTHERS]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where a home is to be; beside it the files of a data set, and a home that others can read."""
    made = toy_home(tmp_path)
    made.rename(tmp_path / "older")
    return made


@pytest.mark.slow
@pytest.mark.usefixtures("no_wandb")
def test_what_commands_and_their_workers_write(home: Path) -> None:
    pair = [word for kind in ("sequences", "scores") for word in (f"--{kind}", str(home.parent / f"toy_{kind}.txt"))]
    tfbind = ("-m", "tfbind")
    run(home, *tfbind, "data", "import", *pair, "--name", "toy")
    run(home, *tfbind, "train", "--preset", "quick", "--dataset", "toy", "--num-epochs", "1", "--wandb", "offline")
    out = home.parent / "out.csv"
    fasta = home.parent / "x.fa"
    fasta.write_text(">a\nACGTACGTACGTACGTACGT\n")
    run(home, *tfbind, "predict", "--model", "builtin", "--data", str(fasta), "--out", str(out))
    assert (home / "runs").is_dir()
    assert list((home / "wandb").rglob("*.wandb"))
    assert open_to_others(home) == []
    assert not out.stat().st_mode & OTHERS


def test_what_the_app_and_files_in_the_background_write(home: Path) -> None:
    run(home, "-c", APP)
    assert list((home / "jobs").rglob("predictions.csv"))
    assert open_to_others(home) == []


def test_what_a_node_of_a_cluster_writes(home: Path) -> None:
    """Ray starts its processes itself."""
    assert run(home, "-c", NODE).strip() == "0o77"


def at_home(home: Path) -> list[Finding]:
    return [finding for finding in examine(home) if finding.subject == "home"]


@pytest.mark.usefixtures("home")
def test_doctor_says_how_to_close_a_home_that_others_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    older = (tmp_path / "older").rename(tmp_path / "an older home")
    for path in (older, *older.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert "toy" in run(older, "-m", "tfbind", "data", "list")
    (found,) = [finding for finding in at_home(older) if finding.state == "note"]
    assert "other accounts of this machine" in found.said
    subprocess.run(shlex.split(found.remedy), check=True)
    assert open_to_others(older) == []
    assert [finding.state for finding in at_home(older)] == ["ok"]
