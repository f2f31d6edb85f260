"""Runs from elsewhere: when they count as one more seed of a setting here, when not, and copies of runs here."""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from golden.make import called
from published import HASH, keep, measured, pulled
from wandb_server import ENTITY, StoredRun, WandbServer, seed_runs

from tfbind import runs
from tfbind.compare.report import facts
from tfbind.compare.runs import choose, group, join, known_runs, originals, settings_of
from tfbind.compare.text import headline
from tfbind.compare.verdict import judge
from tfbind.runs import record
from tfbind.runs.record import Past
from tfbind.tracking import cache, pull

PEARSON = choose("val_pearsonr")
WORSE = "Which is best cannot be told: learning_rate 0.001 and learning_rate 0.01. learning_rate 0.0001 is worse."


@pytest.mark.parametrize("metric", ["val_pearsonr", "val_loss"])
@pytest.mark.parametrize("seeds", [(0, 3), (1, 2, 3), (0, 1, 2, 3)])
def test_the_published_runs_beside_the_replicates_measured_here(seeds: tuple[int, ...], metric: str) -> None:
    verdict = judge([*pulled(), *measured(seeds)], choose(metric))
    called = {comparison.other.label: comparison.worse for comparison in verdict.comparisons}
    worst = called.pop("learning_rate 0.0001")
    assert not any(called.values())
    assert {standing.seeds for standing in verdict.standings} == {len(seeds) + 1}
    if len(seeds) > 2:
        assert worst
        assert headline(verdict).endswith(". learning_rate 0.0001 is worse.")


def test_what_is_assumed_is_said() -> None:
    named = [replace(run, config={**run.config, "dataset_hash": HASH}) for run in pulled()]
    (said, *_) = judge(named, PEARSON, measured()).notes
    assert said.startswith(
        "Counted as one more seed of a setting of this home, each: sweep 0.01 (learning_rate 0.01), "
        "sweep 0.001 (learning_rate 0.001) and sweep 0.0001 (learning_rate 0.0001). What is stated agrees with it. "
        "Not stated, and assumed to be the same: validation_split, norm, num_res_blocks, "
    )
    assert "Runs of this home that were not selected and count beside: 0.01-0, 0.01-1" in said
    selected = judge([*pulled(), *measured()], PEARSON)
    assert "not selected" not in selected.notes[0]
    assert "assumed to be the same: data set, validation_split" in selected.notes[0]
    assert headline(selected) == WORSE


def test_it_counts_among_the_selected_seeds_where_some_are_selected() -> None:
    here = measured()
    first, *_ = pulled()
    joined = join([first, *here[:2]], here, PEARSON)
    assert joined.added == []
    assert [len(setting.counted) for setting in group(joined.pasts, PEARSON)] == [3]


@pytest.mark.parametrize("home", [{}, {"dataset": "builtin", "dataset_hash": "cd" * 32}])
def test_runs_on_unknown_data_are_no_seeds_of_what_is_not_selected(home: dict[str, object]) -> None:
    assert kept_apart(pulled(), measured(**home))
    alone, beside = judge(pulled(), PEARSON), judge(pulled(), PEARSON, measured(**home))
    assert facts(beside) == facts(alone)


def kept_apart(pasts: list[Past], pool: list[Past]) -> bool:
    joined = join(pasts, pool, PEARSON)
    return (joined.pasts, joined.unsaid, joined.added) == (pasts, {}, [])


@pytest.mark.parametrize(
    ("stated", "here"),
    [
        ({"batch_size": 32}, {}),
        ({"norm": "batch"}, {}),
        ({"activation": "gelu"}, {}),
        ({"dataset": "other"}, {}),
        ({"dataset_hash": "cd" * 32}, {}),
        ({}, {"norm": "batch"}),
        ({}, {"from": "another-run"}),
    ],
)
def test_what_may_be_another_setting_stays_apart(stated: dict[str, object], here: dict[str, object]) -> None:
    assert kept_apart(pulled(**stated), measured(**here))


def test_a_run_that_states_nothing_or_has_no_figure_stays_apart() -> None:
    first, *_ = pulled()
    assert kept_apart([replace(first, config={"seed": 3})], measured())
    assert kept_apart([replace(first, state="failed")], measured())
    assert kept_apart([first], pulled())


def test_two_data_sets_to_choose_from_keep_it_apart_until_the_selection_names_one() -> None:
    here, there = measured(), measured(dataset="other", dataset_hash="cd" * 32)
    assert kept_apart(pulled(), [*here, *there])
    assert kept_apart(pulled(), [*here[:4], *there[4:]])
    joined = join([*pulled(), there[0]], [*here, *there], PEARSON)
    assert [past.config.get("dataset") for past in joined.pasts] == [None, None, "other", "other"]
    assert joined.added == []
    named = [replace(run, config={**run.config, "dataset": "chr22"}) for run in pulled()]
    assert {past.config["dataset_hash"] for past in join(named, [*here, *there], PEARSON).pasts} == {HASH}


def as_pulled(mine: Past, project: str = "p") -> Past:
    """A run of this program as W&B gives it back: settings within settings are joined by dots."""
    told = {"run": mine.id, "created": mine.created, "versions.torch": "2.13", "split_windows.train": 80, "ray": ""}
    return replace(mine, key=f"wandb:{project}:{mine.id}", source="wandb", config={**mine.config, **told})


def test_seeds_that_this_program_logged_are_replicates_after_a_pull() -> None:
    mine = [replace(past, created=str(place)) for place, past in enumerate(measured((0, 1)))]
    found = group([as_pulled(past) for past in mine], PEARSON)
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
    assert found["headline"] == WORSE
    assert [setting["seeds"] for setting in found["settings"]] == [5, 5, 5]
    assert {setting["trend"] for setting in found["settings"]} == {"short"}


def test_a_plain_id_is_the_run_of_this_home_and_its_copy_counts_nowhere(tmp_path: Path, server: WandbServer) -> None:
    mine, *_ = keep(tmp_path)
    config = {**runs.read_record(runs.find(tmp_path, mine.id)), "run": mine.id}
    copy = StoredRun(ENTITY, "tfbind", mine.id, "copy", {name: {"value": config[name]} for name in config})
    copy.history, copy.summary, copy.state = mine.rows, mine.rows[-1], "finished"
    stranger = replace(copy, display_name="of another home", name="0p01-1", config={"learning_rate": {"value": 9}})
    for run in (copy, stranger):
        server.add(run)
    pull.pull_runs(tmp_path, f"{ENTITY}/tfbind")
    assert len(cache.stored(tmp_path)) == 2
    known, problems = known_runs(tmp_path)
    assert problems == []
    assert [past.source for past in known if past.id == mine.id] == ["local"]
    assert [past.source for past in known if past.id == "0p01-1"] == ["local", "wandb"]
    found = compare(tmp_path, mine.id, "0p01-1")
    assert [setting["runs"] for setting in found["settings"]] == [[mine.id, "0p01-1"]]
    assert record.local(runs.find(tmp_path, mine.id)) in known


def test_a_run_that_the_system_cannot_read_hides_no_other(tmp_path: Path) -> None:
    """As on a disk that fails, or a shared one where another host has just deleted it."""
    first, *others = keep(tmp_path)

    def read(run: runs.Run) -> Past:
        if run.id == first.id:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(run.folder / runs.METRICS))
        return record.local(run)

    known, problems = known_runs(tmp_path, read)
    assert {past.id for past in known} == {past.id for past in others}
    assert problems == [f"{tmp_path / 'runs' / first.id / runs.METRICS}: stale file handle"]
