"""Rows as people log them: to epochs and to figures of the run as a whole, and what was assumed of them."""

import math
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from wandb_server import KEY, WandbServer

from tfbind.compare.runs import choose, metrics
from tfbind.compare.verdict import judge
from tfbind.tracking import cache
from tfbind.tracking.client import environment
from tfbind.tracking.mapping import Merged, merge
from tfbind.tracking.pull import import_offline, pull_runs

Logged = list[dict[str, Any]]
WHOLE, NONE = "one value for the whole run: ", "no epoch was logged: "
JOINED = f"{NONE}rows are joined until a figure comes again"


def merged(logged: Logged, names: dict[str, str] | None = None, last: dict[str, Any] | None = None) -> Merged:
    columns = {name: [row.get(name) for row in logged] for name in sorted({name for row in logged for name in row})}
    return merge(columns, names or {}, last)


def each(epochs: Iterable[float], *names: str) -> Logged:
    """For each epoch a call for each name, with the epoch."""
    return [{"epoch": epoch, name: epoch * 10} for epoch in epochs for name in names]


COURSE: Logged = [*each([1, 2, 3], "train_loss", "val_loss"), {"test_avg_pearsonr": 0.88, "best_pearsonr": 0.9}]
LIGHTNING: Logged = [{"train_loss": 1, "trainer/global_step": 9}, {"val_loss": 2, "trainer/global_step": 9}] * 2
HUGGING_FACE: Logged = [
    {"train/epoch": epoch, name: epoch}
    for half in (1, 2)
    for epoch, name in ((half - 0.5, "train/loss"), (half - 0.01, "train/loss"), (half, "eval/loss"))
]
LAST, NEXT = (f"rows without an epoch belong to the {which} one that was logged" for which in ("last", "next"))
FRACTIONS, OTHER_AXIS = "fractions of epochs count to the next whole one", "epochs are those of train/epoch"
BACK = "epochs go back, as of a resumed run: of an epoch that is there twice the later values count"


@pytest.mark.parametrize(
    ("logged", "epochs", "figures", "assumed"),
    [
        (COURSE, [1, 2, 3], {"test_avg_pearsonr": 0.88, "best_pearsonr": 0.9},
         [f"{WHOLE}best_pearsonr, test_avg_pearsonr"]),
        ([{"parameters": 9}, *COURSE[:6]], [1, 2, 3], {"parameters": 9}, [f"{WHOLE}parameters"]),
        ([*COURSE[:5], {**COURSE[5], "t": 7}], [1, 2, 3], {"t": 7}, [f"{WHOLE}t"]),
        ([*COURSE, *each([4, 5, 6], "train_loss", "val_loss"), {**COURSE[6], "best_pearsonr": 1}], [1, 2, 3, 4, 5, 6],
         {"test_avg_pearsonr": 0.88, "best_pearsonr": 1}, [f"{WHOLE}best_pearsonr, test_avg_pearsonr"]),
        ([{"epoch": 1}, {"a": 1}, {"b": 2}, {"epoch": 2}, {"a": 1}, {"b": 2}], [1, 2], {}, [LAST]),
        ([{"a": 1}, {"epoch": 1}, {"a": 2}, {"epoch": 2}], [1, 2], {}, [NEXT]),
        (LIGHTNING, [1, 2], {}, [JOINED]),
        ([*LIGHTNING, {"test_loss": 3, "trainer/global_step": 10}], [1, 2], {"test_loss": 3},
         [JOINED, f"{WHOLE}test_loss"]),
        ([*each([0, 1], "train_loss", "val_loss"), {"epoch": 2, "test_loss": 3, "trainer/global_step": 10}], [1, 2],
         {"test_loss": 3}, ["epochs count from 0, here from 1", f"{WHOLE}test_loss"]),
        ([{"a": 1, "b": 1}, {"a": 2}, {"b": 2}, {"a": 3}], [1, 2, 3, 4], {}, [f"{NONE}each row counts as one"]),
        (HUGGING_FACE, [1, 2], {}, [FRACTIONS, OTHER_AXIS]),
        (each([0.5, 1.0, 1.0, 1.5, 2.0, 2.0], "loss"), [1, 2], {}, [FRACTIONS]),
        ([*each([1, 2, 3], "a"), *each([2, 3, 4], "a")], [1, 2, 3, 4], {}, [BACK]),
        (each([1, 2], "train_loss", "val_loss")[:3], [1, 2], {}, []),  # killed: val_loss is of epoch 1
        (each([1], "train_loss", "val_loss"), [1], {}, []),
        ([], [], {}, []),
    ],
)  # fmt: skip
def test_rows_become_epochs_and_figures(logged: Logged, epochs: list[int], figures: dict, assumed: list[str]) -> None:
    history = merged(logged)
    assert [row["epoch"] for row in history.rows] == epochs
    assert history.figures == figures
    assert list(history.assumed) == assumed


def test_of_several_values_in_an_epoch_the_last_counts_and_seconds_come_from_the_clock() -> None:
    columns = {"epoch": [1, 1, 1, 2], "train_loss": [9, 8, None, 7], "val_loss": [None, None, 5, 4]}
    assert merge({**columns, "_runtime": [1.0, 2.0, 3.0, 7.0]}, {}).rows == [
        {"epoch": 1, "train_loss": 8, "val_loss": 5, "seconds": 3.0},
        {"epoch": 2, "train_loss": 7, "val_loss": 4, "seconds": 4.0},
    ]
    restarted = merge({"epoch": [1, 2, 3], "a": [1, 1, 1], "_runtime": [5, 2, 6]}, {}).rows
    assert [row.get("seconds") for row in restarted] == [5, None, 4]


def test_many_rows_take_no_longer_each_than_few() -> None:
    columns = {"epoch": [place // 50 for place in range(100_000)], "a": [1.0] * 100_000, "b": [None] * 100_000}
    assert len(merge(columns, {}).rows) == 2000


def test_one_undefined_value_stays_at_its_place() -> None:
    history = merged([*each([1, 2, 3], "val_loss"), {"t": "NaN"}])
    assert math.isnan(history.figures["t"])
    spoiled = merged([{"epoch": 1, "a": 1}, {"epoch": 2, "a": "NaN"}, {"epoch": 3, "a": 2}])
    assert [math.isnan(row["a"]) for row in spoiled.rows] == [False, True, False]


def test_a_name_that_is_there_already_is_not_taken_by_another() -> None:
    history = merged(
        [*each([1, 2], "val_pearsonr"), {"test": 0.5}], {"test": "val_pearsonr"}, {"best": 0.7, "epoch": 2}
    )
    assert [row["val_pearsonr"] for row in history.rows] == [10, 20]
    assert history.figures == {"test": 0.5, "best": 0.7}
    assert "test kept, since val_pearsonr is there already" in history.assumed


NOTEBOOK = """
import sys, wandb
for rate, loss, pearson in ((0.01, 0.5548, 0.8809), (0.001, 0.6159, 0.8686), (0.0001, 1.415, 0.6542)):
    with wandb.init(project="seed", entity="lab", mode=sys.argv[1], config={"lr": rate, "batch_size": 64}) as run:
        for epoch in range(1, 6):
            wandb.log({"epoch": epoch, "train_loss": loss + 1 / epoch})
            wandb.log({"epoch": epoch, "val_loss": loss + 1 / epoch, "val_pearsonr": pearson - 0.1 / epoch})
        wandb.log({"test_avg_pearsonr": pearson, "best_pearsonr": pearson})
        run.summary["parameters"] = 19_457
"""


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["online", "offline"])
def test_runs_logged_as_in_the_courses_notebook_are_compared_by_their_last_figure(tmp_path: Path, mode: str) -> None:
    with WandbServer() as server:
        variables = environment(tmp_path, server.url, KEY)
        subprocess.run([sys.executable, "-c", NOTEBOOK, mode], env=variables, cwd=tmp_path, check=True, timeout=120)
        if mode == "online":
            pulled = pull_runs(tmp_path, "lab/seed", server.url, KEY, histories=True)
        else:
            pulled = import_offline(tmp_path, tmp_path / "wandb" / "client")
    assert [(len(record.rows), record.last_only) for record in pulled.records] == [(5, False)] * 3
    assert {"test_avg_pearsonr", "best_pearsonr"} <= set(metrics(pulled.records))
    assert ("parameters" in pulled.records[0].figures) == (mode == "online")
    verdict = judge(pulled.records, choose("test_avg_pearsonr"))
    assert [ranking.mean for ranking in verdict.rankings] == [0.8809, 0.8686, 0.6542]
    assert any("one value for the whole run: best_pearsonr" in note for note in verdict.notes)
    cache.save_names(pulled.project, {"lr": "learning_rate", "test_avg_pearsonr": "val_pearsonr_window"})
    renamed = cache.stored_run_records(pulled.project)
    assert {record.config["learning_rate"] for record in renamed} == {0.01, 0.001, 0.0001}
    assert judge(renamed, choose("val_pearsonr_window")).rankings[0].mean == 0.8809
