"""Curves and figures: what is drawn is what the rows and arrays say."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays
from past_runs import replicates

from tfbind.compare.plots import PlotOptions, learning_curves, parallel
from tfbind.compare.runs import choose, group_runs
from tfbind.figures import CURVE_POINTS, Sight, curve, exemplary, pearson_histogram, profiles, sight, thin

CHOICE = choose("val_pearsonr")


def test_short_curve_is_drawn_whole() -> None:
    rows = [{"epoch": 1, "val_loss": 0.5}, {"epoch": 2, "val_loss": 0.25}]
    drawn = curve("validation", rows, "val_loss")
    assert (drawn.x, drawn.y) == ([1, 2], [0.5, 0.25])


def test_undefined_values_become_gaps() -> None:
    rows = [{"epoch": 1, "val_pearsonr": None}, {"epoch": 2, "val_pearsonr": 0.9}, {"epoch": 3}]
    assert curve("r", rows, "val_pearsonr").y == [None, 0.9, None]


def test_values_are_rounded_to_five_digits() -> None:
    rows = [{"epoch": 1, "val_loss": 0.123456789}, {"epoch": 2, "val_loss": 1234567.0}]
    assert curve("loss", rows, "val_loss").y == [0.12346, 1234600.0]


def test_no_rows_no_points() -> None:
    assert curve("loss", [], "val_loss").x == []


def test_long_curve_keeps_its_spike() -> None:
    rows = [{"epoch": epoch, "val_loss": 90.0 if epoch == 7_777 else 1.0} for epoch in range(1, 10_001)]
    drawn = curve("loss", rows, "val_loss")
    assert len(drawn.x) <= CURVE_POINTS
    assert drawn.x[0] == 1
    assert drawn.x[-1] == 10_000
    assert drawn.y[drawn.x.index(7_777)] == 90.0


@given(arrays(float, st.integers(0, 400), elements=st.floats(-1e6, 1e6) | st.just(float("nan"))), st.integers(4, 60))
def test_thinning_never_loses_an_extreme(values: np.ndarray, limit: int) -> None:
    kept = thin(values, limit)
    assert len(kept) <= max(limit, 0)
    assert (np.diff(kept) > 0).all()
    if not np.isnan(values).all():
        assert np.nanmin(values[kept]) == np.nanmin(values)
        assert np.nanmax(values[kept]) == np.nanmax(values)
    if len(values):
        assert kept[0] == 0
        assert kept[-1] == len(values) - 1


def test_a_long_gap_stays_a_gap() -> None:
    values = np.r_[np.ones(400), np.full(400, np.nan), np.ones(400)]
    kept = thin(values, 60)
    assert np.isnan(values[kept]).any()


def test_best_typical_and_worst_window() -> None:
    pearson = np.array([0.5, np.nan, 0.9, -0.1, 0.7])  # sorted: -0.1 0.5 0.7 0.9; the lower middle one is 0.5
    assert exemplary(pearson) == {"best": 2, "typical": 0, "worst": 3}


def test_one_defined_window_is_all_three() -> None:
    assert exemplary(np.array([np.nan, 0.3])) == {"best": 1, "typical": 1, "worst": 1}


def test_no_defined_window_none_shown() -> None:
    assert exemplary(np.array([np.nan, np.nan])) == {}


def test_profiles_draw_both_tracks_of_every_window() -> None:
    observed, predicted = np.array([[0, 7.5, 0], [1, 1, 1]]), np.array([[0.1, 7, 0.2], [1, 2, 3]])
    figure = profiles(["best", "worst"], observed, predicted)
    drawn = [(trace.name, list(trace.y)) for trace in figure.data]
    assert drawn == [
        ("observed", [0, 7.5, 0]),
        ("predicted", [0.1, 7, 0.2]),
        ("observed", [1, 1, 1]),
        ("predicted", [1, 2, 3]),
    ]


def test_window_names_are_not_read_as_tags() -> None:
    figure = profiles(['<a href="http://evil">x</a> & <b>'], np.zeros((1, 3)), np.zeros((1, 3)))
    shown = figure.layout.annotations[0].text
    assert "<" not in shown
    assert "&amp;" in shown


def test_histogram_counts_defined_windows_only() -> None:
    figure = pearson_histogram(np.array([0.99, 0.98, 0.51, np.nan, 1.0000001]))
    bars = dict(zip(np.round(figure.data[0].x, 3), figure.data[0].y, strict=True))
    assert sum(bars.values()) == 4
    assert bars[0.975] == 3  # 0.95 to 1.00, and the one that rounding lifted above 1
    assert bars[0.525] == 1


def test_histogram_of_nothing_is_empty() -> None:
    assert sum(pearson_histogram(np.array([np.nan])).data[0].y) == 0


def test_few_epochs_have_a_mark_each_and_none_between() -> None:
    for epochs, step in ((10, 1), (11, None)):
        settings = group_runs(
            [run for rate in (0.1, 0.2) for run in replicates(rate, [0.8, 0.9], epochs=epochs)], CHOICE
        )
        assert learning_curves(settings, "val_pearsonr", PlotOptions()).layout.xaxis.dtick == step
    assert learning_curves(settings, "val_pearsonr", PlotOptions(axis="seconds")).layout.xaxis.dtick is None
    assert learning_curves([], "val_pearsonr", PlotOptions()).layout.xaxis.type == "linear"


def test_the_numbers_along_an_axis_keep_apart() -> None:
    rates = [0.02, 0.02, 0.002]
    records = [
        {"learning_rate": rate, CHOICE.metric: value}
        for rate, value in zip(rates, [0.9612, 0.9564, 0.7], strict=True)
    ]
    settings, results = parallel(records, ["learning_rate"], CHOICE).data[0].dimensions
    assert settings.ticktext == ("0.002", "0.02")
    assert np.diff(results.tickvals).min() * 20 > 0.9612 - 0.7  # two lines of letters in a picture of 300 pixels
    assert (results.tickvals[0], results.tickvals[-1]) == (0.7, 0.9612)


def test_a_run_that_diverged_is_beyond_the_axis_of_the_others() -> None:
    found = sight([[1.0, 0.5, 0.2], [1.2, 0.6, None], [1.1, 30.0, 2.8e65], []])
    assert found.beyond == 1
    assert found.limits is not None
    low, high = found.limits
    assert 0 <= low < 0.2
    assert 1.2 < high < 1.4


@pytest.mark.parametrize(
    "curves", [[], [[]], [[1.0, 0.001]], [[5.0, 0.1], [1.0, 0.1]], [[0.01, 0.005], [0.2, 0.1]], [[-3.0, -5.0], [1.0]]]
)
def test_curves_that_fall_are_all_in_sight(curves: list[list[float]]) -> None:
    assert sight(curves) == Sight(None, 0)


def test_most_runs_may_have_diverged_at_once_and_a_run_alone_later() -> None:
    assert sight([[1.0, 0.5], [1e5], [1e65], [1e7, 1e9]]).beyond == 3
    alone = sight([[2.0, 1.0, 0.5, 1e65]])
    assert (alone.beyond, round(alone.limits[1], 2) if alone.limits else None) == (1, 2.09)


def test_a_comparison_of_losses_keeps_in_sight_what_did_not_diverge() -> None:
    well, lost = replicates(0.1, [0.8, 0.9]), replicates(10.0, [0.1])
    lost[0].rows[-1]["val_loss"] = 2.8e65
    settings = group_runs([*well, *lost], choose("val_loss"))
    figure = learning_curves(settings, "val_loss", PlotOptions())
    assert 1 < figure.layout.yaxis.range[1] < 1.2
    assert [note.text for note in figure.layout.annotations] == ["1 run beyond"]
    for other in (
        learning_curves(settings, "val_loss", PlotOptions(log_y=True)),
        learning_curves(settings, "val_pearsonr", PlotOptions()),
    ):
        assert (other.layout.yaxis.range, other.layout.annotations) == (None, ())
