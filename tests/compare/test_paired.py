"""Two runs on the same held-out windows: against the plain computation and SciPy's bootstrap."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from stand_in import CONFIG, make_pair, make_run

from tfbind import runs
from tfbind.compare.runs import choose
from tfbind.compare.significance import bootstrap, read_window_sums, same_windows, weighted_metric
from tfbind.compare.text import verdict_lines
from tfbind.compare.verdict import judge
from tfbind.data.dataset import Windows, import_pair
from tfbind.metrics import pearson, window_loss, window_pearson
from tfbind.runs import record
from tfbind.runs.record import RunRecord
from tfbind.store.schema import read_json, write_json

WINDOWS = np.arange(0, 200, 2)


@pytest.fixture
def data(tmp_path: Path) -> Windows:
    return import_pair(tmp_path / "home", *make_pair(tmp_path, windows=200), "small")


def trained(data: Windows, noise: float, rate: float, seed: int = 0) -> RunRecord:
    """A run that predicts the truth with noise, measured as the worker measures it."""
    config = CONFIG.model_copy(update={"dataset": "small", "learning_rate": rate, "seed": seed})
    run = make_run(data.path.parents[1], "finished", config=config, dataset_hash=data.hash)
    truth = data.scores[WINDOWS]
    made = np.random.default_rng(round(noise * 100)).normal(0, noise, truth.shape)
    predictions = (truth + made).astype(np.float16)
    np.savez(
        run.folder / runs.VALIDATION,
        windows=WINDOWS,
        predictions=predictions,
        loss=window_loss(predictions, truth).astype(np.float32),
        pearson=window_pearson(predictions, truth).astype(np.float32),
    )
    return record.read_run_record(run)


def predictions_of(past: RunRecord) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    assert past.validation is not None
    with np.load(past.validation) as saved:
        return np.asarray(saved["predictions"], float)


def test_the_sums_give_the_pearson_of_any_drawing(data: Windows) -> None:
    past = trained(data, 1.5, 0.01)
    held, truth = read_window_sums(past), np.asarray(data.scores[WINDOWS], float)
    drawn = np.random.default_rng(3).integers(0, len(WINDOWS), len(WINDOWS))
    times = np.bincount(drawn, minlength=len(WINDOWS))[None]
    expected = pearson(predictions_of(past)[drawn], truth[drawn])
    assert weighted_metric(held, "val_pearsonr", times)[0] == pytest.approx(expected)
    assert weighted_metric(held, "val_loss", times)[0] == pytest.approx(held.loss[drawn].mean())
    assert weighted_metric(held, "val_pearsonr_window", times)[0] == pytest.approx(np.nanmean(held.pearson[drawn]))


def test_the_interval_of_the_loss_is_that_of_scipy(data: Windows) -> None:
    first, second = trained(data, 1.0, 0.01), trained(data, 1.3, 0.001)
    found = bootstrap(first, second, "val_loss")
    losses = [read_window_sums(past).loss for past in (first, second)]
    reference = stats.bootstrap(
        losses,
        lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        paired=True,
        method="percentile",
        vectorized=True,
        n_resamples=4000,
        rng=np.random.default_rng(1),
    ).confidence_interval
    width = reference.high - reference.low
    assert found.difference == pytest.approx(losses[0].mean() - losses[1].mean())
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), abs=0.08 * width)
    assert found.windows == 100


def test_a_better_model_is_better_and_a_model_ties_with_itself(data: Windows) -> None:
    better, worse = trained(data, 1.0, 0.01), trained(data, 1.6, 0.001)
    found = bootstrap(better, worse, "val_pearsonr")
    assert 0 < found.low < found.difference < found.high
    same = bootstrap(better, better, "val_pearsonr")
    assert (same.difference, same.low, same.high) == (0, 0, 0)


def test_it_is_about_the_pair_and_decides_nothing_about_the_settings(data: Windows) -> None:
    verdict = judge([trained(data, 1.0, 0.01), trained(data, 1.6, 0.001)], choose("val_pearsonr"))
    (found,) = verdict.comparisons
    assert found.rule == "none"
    assert not found.worse
    assert found.pair is not None
    assert "This pair of runs, not the settings" in verdict_lines(verdict)[0]
    assert "leaves out zero" in verdict_lines(verdict)[0]
    assert judge([trained(data, 1.0, 0.1), trained(data, 1.6, 0.2)], choose("train_loss")).comparisons[0].pair is None


def test_another_seed_has_other_windows(data: Windows) -> None:
    first, second = trained(data, 1.0, 0.01), trained(data, 1.3, 0.001, seed=1)
    assert not same_windows(first, second)
    assert judge([first, second], choose("val_pearsonr")).comparisons[0].pair is None


def test_what_cannot_be_drawn_is_one_line(data: Windows) -> None:
    past = trained(data, 1.0, 0.01)
    with pytest.raises(ValueError, match="metric seconds: not known for each window"):
        bootstrap(past, past, "seconds")
    meta = data.path / "meta.json"
    write_json(meta, {**read_json(meta), "hash": "another"})
    with pytest.raises(ValueError, match="the data set small has changed since"):
        read_window_sums(past)
    verdict = judge([past, trained_again(past)], choose("val_pearsonr"))
    assert "has changed since" in verdict_lines(verdict)[0]


def trained_again(past: RunRecord) -> RunRecord:
    return RunRecord(**{**vars(past), "key": "again", "config": {**past.config, "learning_rate": 0.5}})
