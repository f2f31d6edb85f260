"""Designs reach their goal with as few changes as an exhaustive search, and keep their promises."""

from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest

from tfbind import scoring
from tfbind.dna import Codes, decode, encode
from tfbind.variants import design, edits, oligos
from tfbind.variants.design import Goal

HOME = Path("nowhere")
THRESHOLD = 2.183
SITES = ("GTAAACAT", "ATAAACAA", "GTAAATAT")


def dna(site: str, seed: int) -> tuple[Codes, int, int]:
    codes = np.random.default_rng(seed).integers(0, 4, 120).astype(np.uint8)
    codes[56:64] = encode(site)
    return codes, 55, 65


def highest(codes: Codes, start: int, end: int) -> float:
    return float(scoring.score(scoring.load_model(HOME, "builtin"), codes).scores[start:end].max())


def fewest(codes: Codes, start: int, end: int, goal: Goal, level: float) -> tuple[int, float] | None:
    """The number of changes and the best score, by trying every one, and every two, on whole profiles."""
    model = scoring.load_model(HOME, "builtin")
    before = scoring.score(model, codes).scores
    for number in (1, 2):
        candidates = []
        for places in combinations(range(start, end), number):
            for bases in product(range(4), repeat=number):
                changed = codes.copy()
                changed[list(places)] = bases
                if (changed[list(places)] != codes[list(places)]).all():
                    candidates.append(changed)
        best = []
        for changed, after in zip(candidates, scoring.score_windows(model, np.array(candidates)), strict=True):
            reached = after[start:end].max() >= level if goal == "strengthen" else after[start:end].max() < level
            called = [(site.start, site.end) for site in scoring.call_sites(after, THRESHOLD)]
            earlier = [(site.start, site.end) for site in scoring.call_sites(before, THRESHOLD)]
            new = [
                (first, last)
                for first, last in called
                if (last <= start or first >= end) and not any(first < b and a < last for a, b in earlier)
            ]
            if reached and not new and not (changed == codes).all():
                best.append(float(after[start:end].max()))
        if best:
            return number, min(best) if goal == "destroy" else max(best)
    return None


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize(("goal", "level"), [("destroy", THRESHOLD), ("weaken", 5.0), ("strengthen", 9.5)])
@pytest.mark.parametrize("seed", [pytest.param(seed, marks=[pytest.mark.slow] if seed else []) for seed in range(22)])
def test_up_to_two_changes_it_is_as_good_as_trying_all(site: str, goal: Goal, level: float, seed: int) -> None:
    codes, start, end = dna(site, seed)
    model = scoring.load_model(HOME, "builtin")
    designs = design(model, codes, start, end, goal, level, threshold=THRESHOLD, most=2)
    expected = fewest(codes, start, end, goal, level)
    if expected is None:
        assert designs == []
        return
    assert {len(each.changes) for each in designs} == {expected[0]}
    scores = [each.after for each in designs if not each.lost]
    assert scores == sorted(scores, reverse=goal != "destroy")
    best = min if goal == "destroy" else max
    assert best(each.after for each in designs) == pytest.approx(expected[1], abs=1e-4)
    for each in designs:
        assert highest(edits.edit(codes, each.changes).codes, start, end) == pytest.approx(each.after, abs=1e-4)


def test_a_site_is_made_of_random_dna_and_protected_bases_stay() -> None:
    codes = np.random.default_rng(7).integers(0, 4, 200).astype(np.uint8)
    protected = range(90, 100)
    model = scoring.load_model(HOME, "builtin")
    designs = design(
        model, codes, 80, 130, "strengthen", 9.0, threshold=THRESHOLD, protected=protected, both=True, most=4
    )
    assert designs
    for each in designs:
        assert not {change.start for change in each.changes} & set(protected)
        changed = edits.edit(codes, each.changes).codes
        assert scoring.score(model, changed, both=True).scores[80:130].max() >= 9.0


def test_what_cannot_be_reached_is_empty_and_what_cannot_be_asked_is_refused() -> None:
    codes, start, end = dna(SITES[0], 0)
    model = scoring.load_model(HOME, "builtin")
    assert design(model, codes, start, end, "strengthen", 99.0, threshold=THRESHOLD, most=2) == []
    for first, last, protected, message in (
        (5, 5, (), "bases 6 to 5: expected a stretch within 1 to 120"),
        (0, 70, (), "a stretch of 70 bases; expected at most 60"),
        (start, end, range(120), "all are protected or unknown"),
    ):
        with pytest.raises(ValueError, match=message):
            design(model, codes, first, last, "destroy", 2.0, threshold=THRESHOLD, protected=protected)


def test_oligos_of_a_design_by_hand() -> None:
    codes = encode("AACCGGTTAACC")
    rows = oligos("one", codes, [edits.substitution(codes, 5, 0)], flank=2)
    assert [(row["name"], row["sequence"], row["length"], row["gc"]) for row in rows] == [
        ("one 4-8 original forward", "CGGTT", 5, 60),
        ("one 4-8 original reverse", "AACCG", 5, 60),
        ("one 4-8 changed forward", "CGATT", 5, 40),
        ("one 4-8 changed reverse", "AATCG", 5, 40),
    ]
    assert decode(codes) == "AACCGGTTAACC"
