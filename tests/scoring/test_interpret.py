"""Mutagenesis and variants against scoring everything again, the slow way."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scorers import LENGTH, home_of_both, sequence

from tfbind.dna.codes import UNKNOWN, decode, encode
from tfbind.scoring.ism import Variant, apply_variant, mutagenesis
from tfbind.scoring.model import load_model, score
from tfbind.variants.edits import edit, effects
from tfbind.variants.parse import read_with_variants


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return home_of_both(tmp_path_factory.mktemp("home"))


def changed(codes: np.ndarray, place: int, base: int) -> np.ndarray:
    return np.concatenate([codes[:place], [base], codes[place + 1 :]]).astype(np.uint8)


@given(st.integers(1, 150), st.data())
@settings(max_examples=15)
def test_of_a_local_model_recomputing_within_reach_equals_recomputing_all(home, length, data):
    model, codes = load_model(home, "local"), sequence(length, length)
    start = data.draw(st.integers(0, length - 1))
    stop = data.draw(st.integers(start + 1, min(length, start + 20)))
    found = mutagenesis(model, codes, start, stop)
    before = score(model, codes).scores.sum()
    for place in range(start, stop):
        for base in range(4):
            expected = score(model, changed(codes, place, base)).scores.sum() - before
            assert found.effect[base, place - start] == pytest.approx(expected, abs=2e-4)


def test_both_strands_are_averaged_for_a_base_change_too(home):
    model, codes = load_model(home, "local"), sequence(60) % 4
    found = mutagenesis(model, codes, 30, 32, both=True)
    before = score(model, codes, both=True).scores.sum()
    expected = score(model, changed(codes, 30, 2), both=True).scores.sum() - before
    assert found.effect[2, 0] == pytest.approx(expected, abs=2e-4)
    assert found.effect[2, 0] != pytest.approx(mutagenesis(model, codes, 30, 32).effect[2, 0], abs=1e-3)


def test_of_a_model_of_fixed_length_the_whole_window_is_recomputed(home):
    model, codes = load_model(home, "fixed"), sequence(LENGTH)
    found = mutagenesis(model, codes, 10, 14)
    before = score(model, codes).scores.sum()
    for place in range(10, 14):
        for base in range(4):
            expected = score(model, changed(codes, place, base)).scores.sum() - before
            assert found.effect[base, place - 10] == pytest.approx(expected, abs=2e-4)
    longer = mutagenesis(model, np.concatenate([codes, codes]), LENGTH, LENGTH + 1)
    window = np.concatenate([codes, codes])[LENGTH - 20 : LENGTH + 20]
    expected = score(model, changed(window, 20, 2)).scores.sum() - score(model, window).scores.sum()
    assert longer.effect[2, 0] == pytest.approx(expected, abs=2e-4)


def test_the_base_that_is_there_changes_nothing_and_contributes_what_the_others_would_cost(home):
    codes = sequence(50)
    codes[:] = codes % 4
    codes[7] = UNKNOWN  # four others
    found = mutagenesis(load_model(home, "local"), codes, 0, 50)
    assert (found.effect[codes % UNKNOWN, np.arange(50)] == 0)[codes != UNKNOWN].all()
    others = [[base for base in range(4) if base != codes[place]] for place in range(50)]
    by_hand = [-np.mean([found.effect[base, place] for base in bases]) for place, bases in enumerate(others)]
    assert found.contribution == pytest.approx(np.array(by_hand), abs=1e-5)


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (3, 3), (4, 3), (0, 51)])
def test_a_stretch_outside_the_sequence_is_refused(home, start, stop):
    with pytest.raises(ValueError, match="expected a stretch within 0 to 50"):
        mutagenesis(load_model(home, "local"), sequence(50), start, stop)


def test_a_sequence_too_short_for_the_model_is_refused(home):
    with pytest.raises(ValueError, match="the sequence has 39 bases; this model needs 40"):
        mutagenesis(load_model(home, "fixed"), sequence(39), 0, 1)


def in_brackets(text):
    """The codes of a sequence and the variant in brackets in it."""
    (record,) = read_with_variants(text, 1, 1_000)
    assert record.variant
    return record.codes, record.variant


@pytest.mark.parametrize("text", ["A[C/G]T", "A[CA/G]T", "A[C/GTT]T"])
def test_no_base_beside_a_variant_changes_more_and_it_acts_within_reach(home, text):
    model, flank = load_model(home, "local"), decode(sequence(60) % 4)
    codes, variant = in_brackets(flank + text + flank)
    before, after = (score(model, one).scores for one in (codes, apply_variant(codes, variant)))
    (found,) = effects(before[None], after[None], edit(codes, [variant]).paired, 3.0)
    change, place = found.change, found.place
    left = after[: variant.start] - before[: variant.start]
    right = after[-61:] - before[-61:]
    assert abs(change) >= max(np.abs(left).max(), np.abs(right).max()) - 1e-6
    assert abs(place - variant.start) <= model.reach + 2


@pytest.mark.parametrize(
    ("what", "text", "reference", "alternative", "change", "place"),
    [
        ("a base weakens a site", "AA[C/G]AA", [0, 9, 9, 9, 0], [0, 7, 5, 8, 0], -4, 2),
        ("a site goes with its bases", "AA[CCC/]AA", [0, 0, 9, 9, 9, 0, 0], [0, 0, 0, 0], -9, 2),
        ("the same, as a VCF has it", "A[ACCC/A]AA", [0, 0, 9, 9, 9, 0, 0], [0, 0, 0, 0], -9, 2),
        ("a site comes with its bases", "AA[/CC]AA", [1, 1, 1, 1], [1, 1, 8, 8, 1, 1], 7, 1),
        ("a base beside a site goes", "AA[C/]AA", [0, 0, 0, 9, 9], [0, 0, 9, 9], 0, 0),
        ("a base of a plateau goes", "AA[C/]AA", [2, 2, 2, 2, 2], [2, 2, 2, 2], 0, 0),
        ("the rest of a cut site is weaker", "AA[CC/]AA", [0, 6, 6, 6, 6, 0], [0, 1, 2, 0], -5, 1),
        ("two bases for three", "A[CCC/GG]A", [0, 5, 5, 5, 0], [0, 5, 5, 0], 0, 0),
    ],
)
def test_the_largest_change_by_hand(what, text, reference, alternative, change, place):
    codes, variant = in_brackets(text)
    rows = [np.array([scores, scores], np.float32) for scores in (reference, alternative)]
    found = effects(*rows, edit(codes, [variant]).paired, 3.0)
    assert [one.change for one in found] == [change, change], what
    assert [one.place for one in found] == [place, place], what


def test_a_variant_that_does_not_fit_is_refused_with_its_place():
    with pytest.raises(ValueError, match="position 2: the sequence does not have the variant's reference there"):
        apply_variant(encode("ACGT"), Variant(1, encode("G"), encode("T")))
