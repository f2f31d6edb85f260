"""Changed DNA: which base was which, and what is said of the scores; all answers worked out by hand."""

import time

import numpy as np
import pytest

from tfbind.dna.codes import decode, encode
from tfbind.scoring.ism import Variant
from tfbind.variants.edits import ADDED, describe, details, edit, effect, effects, headline, substitution

CODES = encode("ACGTACGT")


def change(start: int, reference: str, alternative: str) -> Variant:
    return Variant(start, encode(reference), encode(alternative))


def scores(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_changes_are_carried_out_one_after_the_other():
    now = edit(CODES, [change(1, "CG", "C"), change(3, "A", "ATT"), substitution(encode("ACTATTCGT"), 8, 0)])
    assert decode(now.codes) == "ACTATTCGA"
    assert now.origin.tolist() == [0, 1, 3, 4, ADDED, ADDED, 5, 6, 7]


def test_a_place_of_the_original_is_found_again_or_said_to_be_gone():
    now = edit(CODES, [change(1, "CG", "C")])
    assert [now.place(place) for place in (0, 1, 3, 7, 8)] == [0, 1, 2, 6, 7]
    with pytest.raises(ValueError, match="position 3: an earlier change took this base away"):
        now.place(2)


def test_scores_of_the_original_lie_at_the_bases_that_are_left():
    now = edit(CODES, [change(0, "A", "AT")])
    aligned = now.aligned(scores(*range(8)))
    np.testing.assert_array_equal(aligned, [0, np.nan, 1, 2, 3, 4, 5, 6, 7])


def test_a_change_without_the_reference_in_the_sequence_is_refused():
    with pytest.raises(ValueError, match="position 2"):
        edit(CODES, [change(1, "G", "T")])


def test_a_lost_site_and_its_size_are_named():
    now = edit(CODES, [change(2, "G", "T")])
    before, after = scores(0, 6, 8, 6, 0, 0, 0, 0), scores(0, 0.5, 1, 0.5, 0, 0, 0, 0)
    found = effect(before, after, now, threshold=3)
    assert (found.change, found.place, found.before, found.after, found.acts) == (-7, 2, 8, 1, (1, 3))
    assert headline(found) == "Destroys the site at 2 to 4"
    assert (
        details(found, " nats") == "largest change -7.00 nats, at base 3, from 8.00 to 1.00; it acts on bases 2 to 4."
    )


def test_a_site_that_only_moved_with_an_insertion_is_neither_lost_nor_made():
    now = edit(CODES, [change(0, "A", "ATTT")])
    before, after = scores(0, 0, 5, 5, 0, 0, 0, 0), scores(0, 0, 0, 0, 0, 6, 6, 0, 0, 0, 0)
    found = effect(before, after, now, threshold=3)
    assert (found.lost, found.gained, found.change, found.place) == ([], [], 1, 2)
    assert headline(found) == "Strengthens binding"


def test_a_site_within_what_was_added_is_new():
    now = edit(CODES, [change(0, "A", "ATTT")])
    found = effect(scores(*[0] * 8), scores(0, 5, 5, 0, 0, 0, 0, 0, 0, 0, 0), now, threshold=3)
    assert headline(found) == "Makes a new site at 2 to 3"
    assert details(found, " nats") == "largest change +5.00 nats, at base 1, from 0.00 to 5.00; it acts on base 1."


def test_a_change_that_moves_nothing_says_so():
    found = effect(scores(*[1] * 8), scores(*[1.05] * 8), edit(CODES, [change(2, "G", "T")]), threshold=3)
    assert details(found, " nats").endswith("no score moves by 0.1 nats or more.")


def test_sites_among_thousands_are_compared_in_a_moment():
    before = np.zeros(100_000, np.float32)
    before[::25] = 5
    after = before.copy()
    after[50], after[70] = 0, 5
    began = time.process_time()
    found = effects(before[None], after[None], np.arange(len(before)), threshold=3)[0]
    assert time.process_time() - began < 2  # each against each, minutes
    assert [(site.start, site.end) for site in (*found.lost, *found.gained)] == [(50, 51), (70, 71)]


def test_a_slight_change_is_called_so_and_no_common_base_is_no_effect():
    now = edit(CODES, [change(2, "G", "T")])
    assert headline(effect(scores(*[1] * 8), scores(*[1.3] * 8), now, threshold=3)) == "Changes little"
    assert effect(scores(1), scores(), edit(encode("A"), [change(0, "A", "")]), threshold=3) is None


def test_changes_are_described_as_people_write_them():
    made = [change(4, "", "TT"), change(9, "T", "G"), change(0, "AC", ""), change(3, "T", "C"), change(8, "", "A")]
    words = ["5 inserts TT", "8 T>G", "1 deletes AC", "4 T>C of the changed sequence", "9 inserts A"]
    assert describe(CODES, made) == words
