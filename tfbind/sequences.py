"""DNA letters as numbers: codes (uint8, A C G T N = 0 1 2 3 4), one-hot batches (N, 4, L), reverse complements.

Lower case is read as upper case, because genomes mark repeats with it. The last axis of an array of codes runs
along the DNA.
"""

import numpy as np
from numpy.typing import NDArray

LETTERS = "ACGTN"
UNKNOWN = LETTERS.index("N")
NOT_A_LETTER = 255

Codes = NDArray[np.uint8]


_CODE_OF_BYTE = bytes(LETTERS.find(chr(byte).upper()) % 256 for byte in range(128)) + bytes([NOT_A_LETTER]) * 128
_BYTE_OF_CODE = np.frombuffer(LETTERS.encode(), dtype=np.uint8)
_COMPLEMENT = np.array([LETTERS.index(letter) for letter in "TGCAN"], dtype=np.uint8)


def codes_of_bytes(text: bytes) -> Codes:
    """The code of each byte, `NOT_A_LETTER` where it is none of A C G T N. Never raises."""
    return np.frombuffer(bytearray(text.translate(_CODE_OF_BYTE)), dtype=np.uint8)


def refusal(letter: str, index: int) -> str:
    """What to say of a `letter` at the 0-based `index` of a sequence that training data may not hold."""
    return f"letter {letter!r} at position {index + 1} (1-based); allowed: A C G T N"


def encode(sequence: str) -> Codes:
    """The codes (L,) of one sequence.

    Raises:
        ValueError: a letter other than A C G T N, with its 1-based position.
    """
    codes = codes_of_bytes(sequence.encode("ascii", errors="replace"))
    bad = np.flatnonzero(codes == NOT_A_LETTER)
    if len(bad):
        raise ValueError(refusal(sequence[bad[0]], int(bad[0])))
    return codes


def decode(codes: Codes) -> str:
    """The letters of one sequence of codes (L,)."""
    return _BYTE_OF_CODE[codes].tobytes().decode()


def slice_of(codes: Codes, start: int, end: int) -> Codes:
    """The codes from start to end (exclusive)."""
    return codes[start:end]


def reverse_complement(codes: Codes) -> Codes:
    """The other strand, read in its own direction; N stays N."""
    return _COMPLEMENT[codes[..., ::-1]]


def one_hot(codes: Codes) -> NDArray[np.float32]:
    """Codes (N, L) as X (N, 4, L): 1 in the row of the base (A C G T), N all zeros."""
    windows, length = codes.shape
    X = np.empty((windows, 4, length), dtype=np.float32)
    for base in range(4):
        np.equal(codes, base, out=X[:, base], casting="unsafe")
    return X
