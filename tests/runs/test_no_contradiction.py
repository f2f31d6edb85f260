"""What stands on one page does not say one thing and its contrary."""

import itertools
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from driven import app, checked, words
from past_runs import curve, past
from stand_in import make_run
from test_hints import rows

from tfbind import runs
from tfbind.compare.runs import choose
from tfbind.compare.text import verdict_lines
from tfbind.compare.verdict import judge
from tfbind.data.leaks import Leaks
from tfbind.evaluation import baselines
from tfbind.evaluation.baselines import Baseline, as_good_as_the_rule, remark
from tfbind.runs.hints import hint
from tfbind.store.schema import write_json
from ui.widgets.session import plain

PEARSON = choose("val_pearsonr")


def test_what_is_said_of_a_run_and_of_simpler_models_is_no_contradiction() -> None:
    """The hint and the remark stand on one page: where little is left to learn, nobody is told to train on."""
    known = [Baseline("ceiling", "motif scan", "the rule", val_pearsonr=0.9873)]
    for reached, val in itertools.product((0.95, 0.9822, 0.9824, 0.9892), ([1.0, 0.5, 0.25], [1.0, 0.9, 0.89])):
        history = [row | {"val_pearsonr": reached} for row in rows(val)]
        found, said = hint(history, rule=as_good_as_the_rule(known)), remark(known, reached) or ""
        assert found is not None
        assert (found.kind == "as good as the rule") == ("little is left to learn" in said) == (reached > 0.9823)
        assert ("more epochs" in found.text) == (not said)


def test_a_run_page_with_little_left_to_learn_asks_for_no_more_epochs(home: Path) -> None:
    run = make_run(home, "finished", 6, dataset_hash="a" * 64)
    write_json(run.folder / runs.CONFIG, runs.read_record(run) | {"split_hash": "b" * 64})
    assert "still falling" in app(run.id).info[0].value
    kept = home / baselines.FOLDER / f"{'a' * 24}-{'b' * 24}-{baselines.FORMAT}.json"
    kept.parent.mkdir()
    simpler = {"key": "ceiling", "name": "ceiling", "about": "the rule", "val_pearsonr": 0.88}
    write_json(kept, {"baselines": [simpler], "leaks": asdict(Leaks(0, 0, ()))})
    page = app(run.id)
    assert "little to add" in page.info[0].value
    assert "still falling" not in words(page)
    assert plain("motif scan 0.880") in words(page)
    assert "ceiling" not in words(page)


def test_one_run_each_tells_no_crossing_since_nothing_tells_chance() -> None:
    epochs = np.arange(1, 41)
    alone = []
    for rate, speed in ((0.01, 1.0), (0.001, 4.0)):
        r = 0.9 * (1 - np.exp(-epochs / speed)) + rate
        alone.append(past(str(rate), 0, rows=curve((1 - r).tolist(), val_pearsonr=r.tolist()), learning_rate=rate))
    verdict = judge(alone, PEARSON)
    said = " ".join(verdict_lines(verdict))
    assert "nothing here shows how far chance goes" in said
    assert "within noise" not in said
    assert "cross" not in said
    assert verdict.comparisons[0].race is None


@pytest.mark.usefixtures("home")
def test_layer_norm_sees_the_whole_window() -> None:
    page = app()
    page.selectbox("config-norm").set_value("layer").run()
    (shown,) = (metric for metric in checked(page).metric if metric.label == "Receptive field")
    assert shown.value == "whole window"
    assert "The convolutions alone read 31 bases" in shown.help


@pytest.mark.usefixtures("home")
def test_one_step_an_epoch_is_said_before_the_start() -> None:
    page = app()
    page.number_input("config-batch_size").set_value(50_000).run()
    assert "one step an epoch, 4 in all (a batch of 50,000 holds all 9,600" in checked(page).warning[0].value
    page.number_input("config-batch_size").set_value(64).run()
    assert not checked(page).warning
