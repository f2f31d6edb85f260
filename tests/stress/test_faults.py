"""Workers killed at moments drawn at random, files that cannot grow, and a read-only home: no finished epoch is lost,
no state lies, and the reason is said in words."""

import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from life import LONG, SEED, contents, mounted, outcome, tfbind, wait_for_end, wait_for_kill, wait_until
from test_signals import REASON
from toy import toy_config

from tfbind.runs import folder, launch
from tfbind.runs.folder import Run
from tfbind.runs.launch import RunRequest
from tfbind.store.atomic import is_draft

KILLS = 50
STATE_BYTES = 1_000  # a file that cannot grow to this size may be too small for the state with its reason
EPOCHS = 40


@pytest.fixture
def undisturbed(home: Path) -> Run:
    run = launch.submit(home, toy_config(num_epochs=EPOCHS), RunRequest(id="undisturbed"))
    assert wait_for_end(run) == "finished"
    return run


@pytest.mark.timeout(1200)
def test_a_worker_killed_at_any_instant_of_its_life(home: Path, undisturbed: Run) -> None:
    rng = random.Random(SEED)
    status = undisturbed.status()
    assert status.started
    assert status.ended
    started = 4.0  # seconds that a process needs before it trains, most of them for importing torch
    users = contents(home / "data", undisturbed.folder)
    kills, number = 0, 0
    while kills < KILLS:
        number += 1
        run = launch.submit(home, toy_config(num_epochs=EPOCHS), RunRequest(id=f"killed-{number}"))
        seen: list[dict[str, object]] = []
        while wait_for_kill(run, rng.uniform(0, started + status.ended - status.started)):
            kills += 1
            rows = folder.read_rows(run)
            assert rows[: len(seen)] == seen, f"seed {SEED}: a finished epoch was lost or changed"
            assert REASON.fullmatch(run.status().error or ""), f"seed {SEED}"
            seen = rows
            launch.resume(run)
        assert run.state == "finished", f"seed {SEED}"
        assert outcome(run) == outcome(undisturbed), f"seed {SEED}, run {number}"
        assert not any(is_draft(path.name) for path in run.folder.iterdir()), f"seed {SEED}, run {number}"
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
        run = folder.find(home, id)
        rows = folder.read_rows(run)
        status = run.status()
        if limit >= STATE_BYTES:
            assert (status.state, (status.error or "").endswith("file too large")) == ("failed", True), status
        assert status.error, status
        again = tfbind(home, "resume", id)
        assert again.returncode == 0, again.stderr
        assert [row["epoch"] for row in folder.read_rows(run)[: len(rows)]] == [row["epoch"] for row in rows]
        assert outcome(run) == outcome(undisturbed), f"limit {limit}"
    assert len(said) > 3


# What only reads does its work on a home that cannot be written; what writes says where it cannot.
READING = {
    "runs": "runs --json",
    "one": "runs undisturbed",
    "repeat": "runs undisturbed --command",
    "sweeps": "sweep --list",
    "predict": "predict --model undisturbed --data OUT/dna.fa --out OUT/p.tsv --pad",
    "compare": "compare undisturbed --out OUT/r.html",
    "bundle": "bundle undisturbed --out OUT/bundle",
    "data": "data list",
    "export": "data export toy --to OUT",
    "motif": "data motif toy",
    "leaks": "leaks --dataset toy",
    "models": "model list",
    "disk": "disk",
}
WRITING = {
    "train": "train --dataset toy",
    "again": "resume killed",
    "from": "train --from undisturbed",
    "trash": "disk --empty-trash",
    "checkpoints": "disk --drop-checkpoints",
    "sweep": "sweep OUT/sweep.yaml --dataset toy",
    "import": "data import --sequences SRC/toy_sequences.txt --scores SRC/toy_scores.txt --name again",
    "build": "data build built --genome OUT/dna.fa --motif FOXA1 --length 20 --every-window",
    "builtin": "data build builtin",
    "rename": "data rename toy other",
    "delete": "data delete toy",
    "baselines": "baselines --dataset toy",
    "model": "model import OUT/w.safetensors",
    "variants": "variants --model builtin --data OUT/v.vcf --fasta OUT/dna.fa --out OUT/v.tsv",
}
REFUSED = re.compile(r"tfbind: /\S+: read-only file system")


@pytest.mark.timeout(600)
def test_a_home_that_cannot_be_written(tmp_path: Path, undisturbed: Run) -> None:
    home, out = undisturbed.home, tmp_path / "out"
    killed = launch.submit(home, toy_config(**LONG), RunRequest(id="killed"))
    wait_until(lambda: len(folder.read_rows(killed)) > 1)
    killed.stop(grace=0)
    assert wait_for_end(killed) == "killed"
    (home / "trash" / "thrown").mkdir(parents=True)
    out.mkdir()
    shutil.copy(undisturbed.folder / folder.BEST, out / "w.safetensors")
    (out / "dna.fa").write_text(">chr1\n" + "ACGTTGTTTACATTGC" * 50 + "\n")
    (out / "v.vcf").write_text("#CHROM\tPOS\tID\tREF\tALT\nchr1\t401\t.\tA\tG\n")
    (out / "sweep.yaml").write_text("method: grid\nparameters: {learning_rate: {values: [0.1, 0.01]}}\n")
    before = contents(home)
    with mounted(home, "--bind", home):
        subprocess.run(["mount", "-o", "remount,ro,bind", home], check=True)
        for command in (*READING.values(), *WRITING.values()):
            words = (word.replace("OUT", str(out)).replace("SRC", str(tmp_path)) for word in command.split())
            ended = tfbind(home, *words)
            place = f"{command}: {ended.returncode} {ended.stdout}{ended.stderr}"
            if command in READING.values():
                assert (ended.returncode, ended.stderr) == (0, ""), place
            else:
                assert ended.returncode == 1, place
                assert REFUSED.fullmatch(ended.stderr.strip()), place
        examined = tfbind(home, "doctor")
        assert examined.returncode == 1
        assert f"WRONG  home       {home}: cannot be written (read-only file system)" in examined.stdout
    assert contents(home) == before
