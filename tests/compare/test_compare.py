"""Settings, replicates, figures at an epoch, and the columns in which runs differ."""

from math import nan
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from past_runs import SETTINGS, curve, past, replicates
from toy import toy_home

from tfbind.compare.runs import (
    Measurement,
    best_epoch,
    canonical,
    choose,
    data_of,
    differing,
    goal_of,
    group_runs,
    measure,
    metrics,
    seconds,
    settings_of,
    table,
    why_left_out,
)
from tfbind.config import TrainConfig
from tfbind.data.dataset import open_dataset
from tfbind.data.splits import split, split_facts

PEARSON = choose("val_pearsonr")


def test_best_is_the_epoch_of_the_lowest_loss_whatever_the_metric() -> None:
    run = past("a", 0, rows=curve([0.9, 0.4, 0.5], val_pearsonr=[0.1, 0.7, 0.8]))
    assert measure(run, PEARSON) == Measurement(2, 0.7)
    assert measure(run, choose("val_pearsonr", "last")) == Measurement(3, 0.8)
    assert measure(run, choose("val_pearsonr", "epoch", 1)) == Measurement(1, 0.1)
    assert measure(run, choose("val_pearsonr", "epoch", 4)) is None


def test_without_a_loss_the_best_is_that_of_the_metric() -> None:
    run = past("a", 0, rows=curve([0.1, 0.9, 0.8], "val_pearsonr"))
    assert measure(run, PEARSON) == Measurement(2, 0.9)
    assert measure(run, choose("val_pearsonr", goal="min")) == Measurement(1, 0.1)


def test_undefined_values_are_never_the_best() -> None:
    rows = curve([nan, 0.5, nan], val_pearsonr=[0.9, None, 0.8])
    assert best_epoch(rows, PEARSON) == rows[1]
    assert measure(past("a", 0, rows=rows), PEARSON) is None
    assert why_left_out(past("a", 0, rows=rows), PEARSON) == "Pearson r undefined there"
    assert measure(past("a", 0, rows=[]), choose("val_pearsonr", "last")) is None


def test_an_epoch_from_one_on_is_asked_for() -> None:
    with pytest.raises(ValueError, match="epoch None: expected a whole number from 1 on"):
        choose("val_loss", "epoch")


@pytest.mark.parametrize(
    ("metric", "goal"), [("val_loss", "min"), ("rmse_error", "min"), ("val_pearsonr", "max"), ("accuracy", "max")]
)
def test_the_name_of_a_metric_says_which_way_is_better(metric: str, goal: str) -> None:
    assert goal_of(metric) == goal


def test_a_run_that_did_not_finish_counts_only_at_an_epoch_it_has_reached() -> None:
    run = past("a", 0.5, epochs=3, state="crashed")
    assert why_left_out(run, PEARSON) == "crashed after 3 epochs"
    assert why_left_out(run, choose("val_pearsonr", "epoch", 3)) is None
    assert why_left_out(run, choose("val_pearsonr", "epoch", 4)) == "crashed after 3 epochs, without epoch 4"


def test_seed_device_and_names_make_no_setting() -> None:
    runs = [
        past("a", 0.5, learning_rate=0.01, seed=0, device="cpu", threads=1, created="x"),
        past("b", 0.7, learning_rate=0.01, seed=1, device="cuda", threads=2, created="y", sweep="s"),
        past("c", 0.9, learning_rate=0.001, seed=0),
    ]
    first, second = group_runs(runs, PEARSON)
    assert [run.key for run in first.records] == ["a", "b"]
    assert first.values == [0.5, 0.7]
    assert (first.label, second.label) == ("learning_rate 0.01", "learning_rate 0.001")


@pytest.mark.parametrize("test_split", [0.0, 0.1])
def test_seeds_that_hold_out_other_windows_are_replicates(tmp_path: Path, test_split: float) -> None:
    data = open_dataset(toy_home(tmp_path), "toy")
    runs = []
    for seed in range(3):
        config = TrainConfig(test_split=test_split, seed=seed)
        runs.append(past(str(seed), 0.5, **config.model_dump(), **split_facts(split(data, config))))
    assert len({run.config["split_hash"] for run in runs}) == 3
    (only,) = group_runs(runs, PEARSON)
    assert "split" not in only.label


def test_a_seed_that_was_run_twice_is_one_replicate() -> None:
    runs = [past("a", 0.5, seed=0), past("b", 0.6, seed=0), past("c", 0.9, seed=1)]
    assert group_runs(runs, PEARSON)[0].values == pytest.approx([0.55, 0.9])


def test_runs_without_a_seed_are_replicates_of_their_own() -> None:
    assert group_runs([past("a", 0.5), past("b", 0.5)], PEARSON)[0].values == [0.5, 0.5]


def test_text_numbers_and_unset_values_do_not_split_a_setting() -> None:
    runs = [past("a", 0.5, weight_decay="1e-5", first_kernel_size=None), past("b", 0.5, weight_decay=1e-5)]
    runs.append(past("c", 0.5, weight_decay=1e-5, batch_size=64.0))
    assert len(group_runs(runs, PEARSON)) == 1
    assert canonical("nan") == "nan"


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_every_configuration_value_can_be_a_key(value: object) -> None:
    assert canonical(value) == canonical(value) or value != value
    hash(canonical(value))


def test_a_run_that_starts_from_another_is_another_setting() -> None:
    assert len(group_runs([past("a", 0.5), past("b", 0.6, **{"from": "a"})], PEARSON)) == 2


def test_the_same_name_of_other_data_is_another_setting() -> None:
    runs = [past("a", 0.5), past("b", 0.5, dataset_hash="cd"), past("c", 0.5, dataset_hash=None)]
    assert data_of(runs) == {"a": "ab", "b": "cd", "c": "chr22"}
    assert len(group_runs(runs, PEARSON)) == 3
    assert data_of([runs[0], runs[2]]) == {"a": "ab", "c": "ab"}


def test_labels_have_the_fewest_values_that_tell_settings_apart() -> None:
    grid = [
        past(f"{rate}{norm}", 0.5, learning_rate=rate, norm=norm, kernel_size=3 if norm == "layer" else 5)
        for rate in (0.1, 0.2)
        for norm in ("layer", "batch")
    ]
    assert [setting.label for setting in group_runs(grid, PEARSON)] == [
        "learning_rate 0.1, norm layer",
        "learning_rate 0.1, norm batch",
        "learning_rate 0.2, norm layer",
        "learning_rate 0.2, norm batch",
    ]


def test_only_columns_that_differ_are_in_the_table() -> None:
    runs = [*replicates(0.01, [0.5, 0.6]), past("z", None, learning_rate=0.001, seed=0, other="x")]
    records = table(runs, PEARSON)
    assert [record["learning_rate"] for record in records] == [0.01, 0.01, 0.001]
    assert [record["seed"] for record in records] == [0, 1, 0]
    assert [record["other"] for record in records] == [None, None, "x"]
    assert [record["val_pearsonr"] for record in records] == [0.5, 0.6, None]
    assert "batch_size" not in records[0]
    assert records[0]["seconds"] == 10.0
    assert table([], PEARSON) == []


def test_a_setting_called_like_a_column_keeps_apart() -> None:
    records = table([past("a", 0.5, epochs=5, state="finished"), past("b", 0.5)], PEARSON)
    assert "config.epochs" not in records[0]
    runs = [past("a", 0.5), past("b", 0.5)]
    runs[0].config["epochs"], runs[1].config["epochs"] = 7, 8
    assert [record["config.epochs"] for record in table(runs, PEARSON)] == [7, 8]


def test_differing_keeps_the_order_of_the_form_then_of_the_alphabet() -> None:
    assert differing([{"z": 1, "a": 1, "batch_size": 1, "learning_rate": 1}, {}]) == [
        "learning_rate",
        "batch_size",
        "a",
        "z",
    ]
    assert differing([]) == []


def test_metrics_are_the_numbers_of_the_rows() -> None:
    rows = [{"epoch": 1, "_step": 3, "text": "x", "val_loss": None, "zeta": True}, {"epoch": 2, "val_loss": 1.0}]
    assert metrics([past("a", 0, rows=rows), past("b", 0.5)]) == ["val_pearsonr", "val_loss", "train_loss", "seconds"]


def test_seconds_are_known_only_if_every_epoch_has_them() -> None:
    assert seconds(past("a", 0.5)) == 10.0
    assert seconds(past("a", 0, rows=[{"epoch": 1, "seconds": 2.0}, {"epoch": 2}])) is None
    assert seconds(past("a", 0, rows=[])) is None
    assert seconds(past("a", 0, rows=[{"epoch": epoch, "seconds": 1.7e308} for epoch in (1, 2)])) is None


def test_settings_leave_out_the_data_and_the_bookkeeping() -> None:
    kept = settings_of(past("a", 0.5, seed=3, _wandb={"x": 1}))
    assert kept == {key: SETTINGS[key] for key in ("num_epochs", "batch_size", "validation_split")}
