"""Figures along DNA: what is drawn is what was computed, in 1-based positions."""

import time

import numpy as np
import plotly.graph_objects as go
import pytest

from tfbind.dna.codes import encode
from tfbind.figures import OBSERVED, PREDICTED
from tfbind.scoring.ism import Mutagenesis
from tfbind.scoring.model import Site
from tfbind.scoring.plots import (
    AROUND_FOCUS,
    CALLED,
    CHOSEN,
    LEAST_BASES,
    LETTERED_BASES,
    SHADED,
    STACKED_POINTS,
    Line,
    mutagenesis_figure,
    profile_figure,
    stacked_figure,
)
from tfbind.scoring.sites import Hit
from tfbind.scoring.target import SHIPPED, UNKNOWN

CODES = encode("ACGTN")
SCORES = np.array([0.0, 1.0, 5.0, 2.0, 0.0], dtype=np.float32)


def trace(figure, name):
    return next(trace for trace in figure.data if trace.name == name)


def test_a_profile_counts_from_one_and_names_its_letters():
    figure = profile_figure(CODES, SCORES, name="model")
    line = trace(figure, "model")
    assert list(line.x) == [1, 2, 3, 4, 5]
    assert list(line.y) == SCORES.tolist()
    assert figure.layout.xaxis.labelalias["3"] == "G<br>3"
    assert line.customdata[2].tolist() == ["3", "G"]


def test_sites_hits_and_ends_cover_their_bases():
    figure = profile_figure(CODES, SCORES, name="m", sites=[Site(1, 4, 5.0, 2)], hits=[Hit(1, 4, "-", 6.5)], shaded=1)
    assert [(shape.x0, shape.x1) for shape in figure.layout.shapes] == [(1.5, 4.5), (0.5, 1.5), (4.5, 5.5)]
    motif = trace(figure, "known motif")
    assert list(motif.x) == [1.5, 4.5, None]
    assert "strand -: 6.5 nats" in motif.text[0]


def test_the_boxes_are_those_that_plotly_itself_adds_one_by_one():
    sites = [Site(20 * number + 20, 20 * number + 28, 5.0, 20 * number + 22) for number in range(5)]
    drawn = profile_figure(
        np.zeros(200, np.uint8), np.zeros(200, np.float32), name="m", sites=sites, shaded=15, focus=(40, 48), first=7
    )
    alone = go.Figure()
    stretches = [(site.start, site.end, CHOSEN if site.start == 40 else CALLED) for site in sites]
    for start, end, colour in [*stretches, (0, 15, SHADED), (185, 200, SHADED)]:
        alone.add_vrect(x0=6.5 + start, x1=6.5 + end, fillcolor=colour, line_width=0, layer="below")
    assert drawn.to_plotly_json()["layout"]["shapes"] == alone.to_plotly_json()["layout"]["shapes"]


def test_the_time_of_a_figure_does_not_grow_with_the_square_of_its_sites():
    bases = 100_000
    sites = [Site(start, start + 8, 5.0, start + 3) for start in range(0, bases, 50)]
    began = time.process_time()
    figure = profile_figure(np.zeros(bases, np.uint8), np.zeros(bases, np.float32), name="m", sites=sites, shaded=15)
    assert time.process_time() - began < 5  # added one by one, minutes
    assert len(figure.layout.shapes) == len(sites) + 2


def test_band_and_further_lines_are_drawn():
    figure = profile_figure(CODES, SCORES, name="m", spread=np.full(5, 0.5, np.float32), lines=[Line("<b>x", SCORES)])
    assert list(trace(figure, "± 1 sd").y) == (SCORES - 0.5).tolist()
    assert trace(figure, "&lt;b&gt;x").y.tolist() == SCORES.tolist()


def test_long_sequences_have_no_letters():
    codes = np.zeros(LETTERED_BASES + 1, np.uint8)
    figure = profile_figure(codes, np.zeros(len(codes), np.float32), name="m")
    assert not figure.layout.xaxis.labelalias
    assert trace(figure, "m").mode == "lines"


@pytest.mark.parametrize("height", [3.0, -2.0])
def test_a_letter_of_the_logo_stands_on_its_place_and_is_as_high_as_its_contribution(height):
    effect = np.zeros((4, 5), np.float32)
    effect[[0, 2, 3], 1] = -height
    figure = mutagenesis_figure(Mutagenesis(10, CODES, effect))
    c = figure.data[1]
    x, y = (np.array([value for value in values if value is not None]) for values in (c.x, c.y))
    assert 11.5 <= x.min() < x.max() <= 12.5
    assert (y.min(), y.max()) == (pytest.approx(min(0, height), abs=0.02), pytest.approx(max(0, height), abs=0.02))


def test_the_map_shows_changes_and_leaves_out_the_base_that_is_there():
    effect = np.arange(20, dtype=np.float32).reshape(4, 5)
    heat = mutagenesis_figure(Mutagenesis(10, CODES, effect)).data[4]
    assert list(heat.x) == [11, 12, 13, 14, 15]
    shown = np.array(heat.z, dtype=float)
    assert np.isnan(shown[[0, 1, 2, 3], [0, 1, 2, 3]]).all()
    assert shown[1, 0] == 5.0
    assert not np.isnan(shown[:, 4]).any()


def test_a_chosen_site_is_shown_close_with_every_letter_and_every_fifth_number():
    codes = encode("ACGT" * 50)
    figure = profile_figure(
        codes, np.zeros(200, np.float32), name="m", sites=[Site(99, 107, 5.0, 100)], focus=(99, 107)
    )
    axis = figure.layout.xaxis
    assert axis.range == (99 - AROUND_FOCUS + 0.5, 107 + AROUND_FOCUS + 0.5)
    assert axis.dtick == 1
    assert (axis.labelalias["100"], axis.labelalias["101"]) == ("T<br>100", "A")
    assert figure.layout.shapes[0].fillcolor == CHOSEN
    at_the_edge = profile_figure(codes, np.zeros(200, np.float32), name="m", focus=(0, 8)).layout.xaxis
    assert at_the_edge.range == (0.5, 8 + AROUND_FOCUS + 0.5)


@pytest.mark.parametrize("bases", [1, 2, 5, 9, 20, 40])
def test_short_sequences_have_each_letter_below_both_figures_and_nothing_beside_them(bases):
    codes = encode(("ACGTT" * 8)[:bases])
    profile = profile_figure(codes, np.zeros(bases, np.float32), name="m").layout.xaxis
    changes = mutagenesis_figure(Mutagenesis(0, codes, np.zeros((4, bases), np.float32))).layout.xaxis2
    for axis in (profile, changes):
        low, high = axis.range
        assert (low + high) / 2 == (bases + 1) / 2
        assert high - low == max(bases, LEAST_BASES)
        ticks = axis.tickvals or np.arange(np.ceil(low), high, axis.dtick)
        assert list(ticks) == list(range(1, bases + 1))
        assert axis.labelalias["1"] == ("A<br>1" if bases < 20 else "A")
        assert bases < 20 or axis.labelalias["20"] == "T<br>20"


def test_what_is_next_to_nothing_in_nats_is_drawn_so_and_in_another_unit_as_it_is():
    scores, effect = np.full(5, 0.0008, np.float32), np.full((4, 5), 0.002, np.float32)
    for target, height, strongest in ((SHIPPED, [0, 1], 1), (UNKNOWN, [0], np.float32(0.002))):
        changes = mutagenesis_figure(Mutagenesis(0, CODES, effect), target)
        for axis in (profile_figure(CODES, scores, name="m", target=target).layout.yaxis, changes.layout.yaxis):
            assert list(axis.autorangeoptions.include) == height
            assert axis.exponentformat == "none"  # not 800µ
        assert (changes.data[4].zmin, changes.data[4].zmax) == (-strongest, strongest)


def test_no_change_has_the_colour_of_the_page_whether_light_or_dark():
    heat = mutagenesis_figure(Mutagenesis(10, CODES, np.zeros((4, 5), np.float32))).data[4]
    (low, _), (middle, none), (high, _) = heat.colorscale
    assert (low, middle, high, heat.zmin + heat.zmax) == (0, 0.5, 1, 0)
    assert none.endswith(", 0)")


def test_stacked_profiles_share_scale_and_positions_and_one_is_marked():
    profiles = [np.array(values, np.float32) for values in ([0, 4, 0], [0, 1, 0, 0], [0, 0])]
    figure = stacked_figure(["a", "<b>", "c"], profiles, selected=1)
    assert [trace.x.tolist() for trace in figure.data] == [[1, 2, 3], [1, 2, 3, 4], [1, 2]]
    assert [trace.y.tolist() for trace in figure.data] == [values.tolist() for values in profiles]
    assert {figure.layout[axis].range for axis in ("yaxis", "yaxis2", "yaxis3")} == {(-0.5, 4 * 1.6)}
    assert {figure.layout[axis].range for axis in ("xaxis", "xaxis2", "xaxis3")} == {(0.5, 4.5)}
    assert [trace.line.color for trace in figure.data] == [OBSERVED, PREDICTED, OBSERVED]
    assert [note.text for note in figure.layout.annotations] == ["a", "&lt;b&gt;", "c"]


def test_a_long_stacked_profile_is_thinned_and_keeps_its_peak():
    scores = np.zeros(50_000, np.float32)
    scores[31_337] = 9
    (drawn,) = stacked_figure(["a"], [scores]).data
    assert len(drawn.x) <= STACKED_POINTS
    assert drawn.x[drawn.y.argmax()] == 31_338
