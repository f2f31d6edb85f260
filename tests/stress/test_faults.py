"""Kills, full disks, read-only homes and torn files, at moments drawn at random: no finished epoch is lost, no state
lies, and the reason is said in words."""

import contextlib
import json
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from life import LONG, SEED, contents, outcome, tfbind, wait_for_end, wait_for_kill
from mutation import mutant
from toy import toy_config

from tfbind import launch, runs
from tfbind.launch import Order
from tfbind.runs import Run

KILLS = 50
EPOCHS = 40


@pytest.fixture
def undisturbed(home: Path) -> Run:
    run = launch.submit(home, toy_config(num_epochs=EPOCHS), Order(id="undisturbed"))
    assert wait_for_end(run) == "finished"
    return run


@pytest.mark.timeout(1200)
def test_a_worker_killed_at_any_instant_of_its_life(home: Path, undisturbed: Run) -> None:
    rng = random.Random(SEED)
    status = runs.read_status(undisturbed)
    assert status.started
    assert status.ended
    started = 4.0  # seconds that a process needs before it trains, most of them for importing torch
    users = contents(home / "data", undisturbed.folder)
    kills, number = 0, 0
    while kills < KILLS:
        number += 1
        run = launch.submit(home, toy_config(num_epochs=EPOCHS), Order(id=f"killed-{number}"))
        seen: list[dict[str, object]] = []
        while wait_for_kill(run, rng.uniform(0, started + status.ended - status.started)):
            kills += 1
            rows = runs.read_rows(run)
            assert rows[: len(seen)] == seen, f"seed {SEED}: a finished epoch was lost or changed"
            assert runs.read_status(run).error == runs.ENDED_OUTSIDE, f"seed {SEED}"
            seen = rows
            launch.resume(run)
        assert runs.read_status(run).state == "finished", f"seed {SEED}"
        assert outcome(run) == outcome(undisturbed), f"seed {SEED}, run {number}"
    assert contents(home / "data", undisturbed.folder) == users


@pytest.mark.timeout(1200)
def test_a_full_disk_at_any_kind_of_write(home: Path, undisturbed: Run) -> None:
    """A file that cannot grow stops every kind of write at some limit; when there is room again, the run goes on."""
    sizes = sorted({path.stat().st_size for path in undisturbed.folder.iterdir()})
    said = []
    for number, limit in enumerate(max(size - 1, 1) for size in sizes):
        id = f"full-{number}"
        words = ("--dataset", "toy", *launch.flags(toy_config(num_epochs=EPOCHS)))
        ended = tfbind(home, "train", *words, "--id", id, limit=limit)
        if ended.returncode == 0:
            continue  # the largest file of this run came out smaller
        assert ended.returncode == 1, ended.stderr
        assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr
        said.append(ended.stderr)
        if not (home / "runs" / id).exists():
            continue
        run = runs.find(home, id)
        rows = runs.read_rows(run)
        assert runs.read_status(run).state in ("failed", "crashed")
        again = tfbind(home, "resume", id)
        assert again.returncode == 0, again.stderr
        assert [row["epoch"] for row in runs.read_rows(run)[: len(rows)]] == [row["epoch"] for row in rows]
        assert outcome(run) == outcome(undisturbed), f"limit {limit}"
    assert len(said) > 3


@contextlib.contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    if subprocess.run(["mount", *options, folder], capture_output=True).returncode:
        pytest.skip("this machine lets tests mount nothing")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)  # a worker may still be ending


def test_a_disk_that_is_really_full(tmp_path: Path, undisturbed: Run) -> None:
    """On a file system of its own, filled while the run writes: the run says so, and goes on when there is room."""
    small = tmp_path / "small"
    small.mkdir()
    with mounted(small, "-t", "tmpfs", "-o", "size=2m", "tmpfs"):
        shutil.copytree(undisturbed.home / "data", small / "data")
        run = launch.submit(small, toy_config(**LONG), Order(id="full"))
        deadline = time.monotonic() + 60
        while len(runs.read_rows(run)) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        ballast = small / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb") as file:
            while True:
                file.write(bytes(4096))
                file.flush()
        assert wait_for_end(run) in ("failed", "crashed")
        rows = runs.read_rows(run)
        assert [row["epoch"] for row in rows] == list(range(1, len(rows) + 1))
        status = runs.read_status(run)
        assert status.state == "crashed" or "No space left" in (status.error or "")
        ballast.unlink()
        launch.resume(run)
        while len(runs.read_rows(run)) < len(rows) + 3:
            assert time.monotonic() < deadline + 60
            time.sleep(0.02)
        assert runs.read_rows(run)[: len(rows)] == rows
        launch.stop(run)


def test_a_home_that_cannot_be_written(undisturbed: Run) -> None:
    home = undisturbed.home
    with mounted(home, "--bind", home):
        subprocess.run(["mount", "-o", "remount,ro,bind", home], check=True)
        listed = tfbind(home, "runs", "--json")
        assert json.loads(listed.stdout)["runs"][0]["id"] == "undisturbed"
        for words in (("train", "--dataset", "toy"), ("resume", "undisturbed"), ("data", "build", "builtin")):
            ended = tfbind(home, *words)
            assert ended.returncode in (1, 2), ended.stderr
            assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("file", [runs.CHECKPOINT, runs.BEST, runs.METRICS, runs.STATE, runs.CONFIG, runs.VALIDATION])
def test_a_torn_file_ends_in_a_reason_and_harms_no_other_file(home: Path, file: str) -> None:
    run = launch.submit(home, toy_config(**LONG), Order(id="torn"))
    while len(runs.read_rows(run)) < 3:
        time.sleep(0.02)
    launch.stop(run)
    whole = {path.name: path.read_bytes() for path in run.folder.iterdir()}
    for number in range(20):
        for name, content in whole.items():
            (run.folder / name).write_bytes(content)
        (run.folder / file).write_bytes(mutant([whole[file]], SEED, number))
        ended = tfbind(home, "runs", "torn")
        assert ended.returncode in (0, 2), f"seed {SEED}, mutant {number}: {ended.stderr}"
        assert len(ended.stderr.strip().splitlines()) <= 1, f"seed {SEED}, mutant {number}: {ended.stderr}"
