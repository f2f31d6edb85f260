"""What the view of the letters is told: sites and changed bases of the part that it shows."""

from typing import Any

import numpy as np
import pytest

from tfbind.dna import encode
from tfbind.scoring import Variant
from tfbind.variants import edits
from ui.predict.sequence import changed_places, sites_in


def site(start: int, end: int, score: float) -> dict[str, Any]:
    return {"start": start, "end": end, "strand": "+", "score": score}


@pytest.mark.parametrize(
    ("variants", "places"),
    [
        ([], []),
        ([Variant(2, encode("G"), encode("A"))], [2]),
        ([Variant(2, encode("G"), encode("A")), Variant(2, encode("A"), encode("G"))], []),
        ([Variant(1, encode("C"), encode("CTT"))], [2, 3]),
        ([Variant(1, encode("CG"), encode("C"))], []),
    ],
)
def test_bases_that_are_not_the_original_ones_are_marked(variants: list[Variant], places: list[int]) -> None:
    codes = encode("ACGTACGT")
    edited = edits.edit(codes, variants)
    assert changed_places(codes, edited, 0, len(edited.codes)) == places
    later = changed_places(codes, edited, 1, len(edited.codes))
    assert np.array_equal(later, [place - 1 for place in places])


def test_sites_of_a_part_are_cut_at_its_ends_and_the_strongest_lies_on_top() -> None:
    rows = [site(8, 12, 8.0), site(1, 3, 6.0), site(5, 9, 4.0), site(30, 33, 2.0)]
    shown = sites_in(rows, (5, 9), 5, 11, " nats")
    assert [(place["start"], place["end"]) for place in shown] == [(0, 4), (2, 6)]
    assert [place["strength"] for place in shown] == [0.5, 1.0]
    assert [place["chosen"] for place in shown] == [True, False]
    assert shown[0]["text"] == "5-9: 4.00 nats"
