"""Runs from elsewhere beside the settings of this home, and copies of runs here."""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from golden.make import called
from published import keep, measured, pulled
from wandb_server import ENTITY, StoredRun, WandbServer, seed_runs

from tfbind import runs
from tfbind.compare.report import facts
from tfbind.compare.runs import choose, group_runs, known_runs, originals, settings_of
from tfbind.compare.verdict import judge
from tfbind.runs import record
from tfbind.runs.record import RunRecord
from tfbind.tracking import cache, pull

PEARSON = choose("val_pearsonr")


def test_pulled_runs_stand_apart_from_the_settings_of_this_home() -> None:
    found = group_runs([*pulled(), *measured()], PEARSON)
    assert [len(setting.values) for setting in found] == [1, 1, 1, 4, 4, 4]
    assert facts(judge(pulled(), PEARSON, measured())) == facts(judge(pulled(), PEARSON))


def as_pulled(mine: RunRecord, project: str = "p") -> RunRecord:
    """A run of this program as W&B gives it back: settings within settings are joined by dots."""
    told = {"run": mine.id, "created": mine.created, "versions.torch": "2.13", "split_windows.train": 80, "ray": ""}
    return replace(mine, key=f"wandb:{project}:{mine.id}", source="wandb", config={**mine.config, **told})


def test_seeds_that_this_program_logged_are_replicates_after_a_pull() -> None:
    mine = [replace(past, created=str(place)) for place, past in enumerate(measured((0, 1)))]
    found = group_runs([as_pulled(past) for past in mine], PEARSON)
    assert [len(setting.values) for setting in found] == [2, 2, 2]
    assert settings_of(as_pulled(mine[0])) == settings_of(mine[0])


def test_what_w_and_b_has_of_a_run_here_is_that_run() -> None:
    mine = [replace(past, created=str(place)) for place, past in enumerate(measured((0,)))]
    copies = [as_pulled(past) for past in mine]
    other = replace(copies[0], key="wandb:p:other", config={**copies[0].config, "created": "another home"})
    assert originals([*mine, *copies, other], mine) == [*mine, other]
    assert originals(copies, mine) == mine
    assert originals(copies, []) == copies


@pytest.fixture
def server(server: WandbServer) -> WandbServer:
    for run in seed_runs():
        server.add(run)
    return server


def compare(home: Path, *words: str) -> dict:
    code, out, error = called(home, "compare", *words, "--json")
    assert code == 0, error
    return json.loads(out.splitlines()[-1])


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("metric", ["val_pearsonr", "val_loss"])
def test_the_command_answers_on_pulled_runs(tmp_path: Path, metric: str) -> None:
    keep(tmp_path)
    pull.pull_runs(tmp_path, f"{ENTITY}/seed")
    alone = compare(tmp_path, "seed0", "seed1", "seed2", "--metric", metric)
    assert alone["headline"].startswith("One run each: cannot be told.")
    found = compare(tmp_path, "seed0", "seed1", "seed2", "--sweep", "real", "--metric", metric)
    assert sorted(setting["seeds"] for setting in found["settings"]) == [1, 1, 1, 4, 4, 4]


def test_a_plain_id_is_the_run_of_this_home_and_its_copy_counts_nowhere(tmp_path: Path, server: WandbServer) -> None:
    mine, *_ = keep(tmp_path)
    config = {**runs.read_record(runs.find(tmp_path, mine.id)), "run": mine.id}
    copy = StoredRun(ENTITY, "tfbind", mine.id, "copy", {name: {"value": config[name]} for name in config})
    copy.history, copy.summary, copy.state = mine.rows, mine.rows[-1], "finished"
    stranger = replace(copy, display_name="of another home", name="0p01-1", config={"learning_rate": {"value": 9}})
    for run in (copy, stranger):
        server.add(run)
    pull.pull_runs(tmp_path, f"{ENTITY}/tfbind")
    assert len(cache.stored_runs(tmp_path)) == 2
    known, problems = known_runs(tmp_path)
    assert problems == []
    assert [past.source for past in known if past.id == mine.id] == ["local"]
    assert [past.source for past in known if past.id == "0p01-1"] == ["local", "wandb"]
    found = compare(tmp_path, mine.id, "0p01-1")
    assert [setting["runs"] for setting in found["settings"]] == [[mine.id, "0p01-1"]]
    assert record.read_run_record(runs.find(tmp_path, mine.id)) in known


def test_a_run_that_the_system_cannot_read_hides_no_other(tmp_path: Path) -> None:
    """As on a disk that fails, or a shared one where another host has just deleted it."""
    first, *others = keep(tmp_path)

    def read(run: runs.Run) -> RunRecord:
        if run.id == first.id:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(run.folder / runs.METRICS))
        return record.read_run_record(run)

    known, problems = known_runs(tmp_path, read)
    assert {past.id for past in known} == {past.id for past in others}
    assert problems == [f"{tmp_path / 'runs' / first.id / runs.METRICS}: stale file handle"]
