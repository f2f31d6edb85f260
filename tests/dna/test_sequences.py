"""Letters, codes and one-hot batches against answers written by hand and properties of the double helix."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from tfbind.dna.codes import decode, encode, one_hot, reverse_complement

DNA = st.text(alphabet="ACGTN", max_size=60)


def test_codes_are_the_places_in_acgtn() -> None:
    assert encode("ACGTN").tolist() == [0, 1, 2, 3, 4]
    assert encode("").shape == (0,)


def test_lower_case_is_read_as_upper_case() -> None:
    assert encode("acgtn").tolist() == encode("ACGTN").tolist()


@pytest.mark.parametrize(
    ("sequence", "letter", "position"),
    [
        ("ACJT", "'J'", 3),
        ("U", "'U'", 1),
        ("AC-", "'-'", 3),
        ("A C", "' '", 2),
        ("ACGé", "'é'", 4),
        ("T\nA", r"'\n'", 2),
    ],
)
def test_another_letter_is_named_with_its_place(sequence: str, letter: str, position: int) -> None:
    with pytest.raises(ValueError, match="allowed: A C G T N") as caught:
        encode(sequence)
    assert str(caught.value) == f"letter {letter} at position {position} (1-based); allowed: A C G T N"


@given(DNA)
def test_decoding_gives_back_what_was_encoded(sequence: str) -> None:
    assert decode(encode(sequence)) == sequence
    assert decode(encode(sequence.lower())) == sequence


def test_reverse_complement_of_a_sequence_worked_by_hand() -> None:
    assert decode(reverse_complement(encode("AACGTN"))) == "NACGTT"


@given(DNA)
def test_reverse_complement_twice_is_the_identity(sequence: str) -> None:
    codes = encode(sequence)
    assert reverse_complement(reverse_complement(codes)).tolist() == codes.tolist()


def test_one_hot_has_rows_acgt_and_zeros_for_n() -> None:
    X = one_hot(encode("GATN")[None])
    assert X.dtype == np.float32
    assert X.tolist() == [[[0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0]]]


@given(st.lists(DNA.filter(lambda dna: len(dna) >= 4).map(lambda dna: dna[:4]), min_size=1, max_size=5))
def test_one_hot_of_the_other_strand_is_flipped_along_bases_and_positions(sequences: list[str]) -> None:
    codes = np.stack([encode(sequence) for sequence in sequences])
    assert np.array_equal(one_hot(reverse_complement(codes)), one_hot(codes)[:, ::-1, ::-1])
