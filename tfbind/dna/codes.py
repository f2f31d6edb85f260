"""DNA letters as numbers: codes (uint8, A C G T N = 0 1 2 3 4), one-hot batches (N, 4, L), reverse complements.

Lower case is read as upper case, because genomes mark repeats with it. The last axis of an array of codes runs
along the DNA. In other people's text U is read as T and other IUPAC letters as N, which `Changes` counts; whatever
else stands in a sequence is refused with its 1-based position.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from tfbind.store import plural

LETTERS = "ACGTN"
UNKNOWN = LETTERS.index("N")
NOT_A_LETTER = 255

Codes = NDArray[np.uint8]


_CODE_OF_BYTE = bytes(LETTERS.find(chr(byte).upper()) % 256 for byte in range(128)) + bytes([NOT_A_LETTER]) * 128
_BYTE_OF_CODE = np.frombuffer(LETTERS.encode(), dtype=np.uint8)
_COMPLEMENT = np.array([LETTERS.index(letter) for letter in "TGCAN"], dtype=np.uint8)
AMBIGUOUS = "RYSWKMBDHV"
BLANK = b" \t\n\r\v\f"
GAPS = "-."
SHORT_NAME = 60

Changes = Counter[tuple[str, str, int]]  # what was done, to what, at which place (from 1; 0: not kept); how often

_AMINO_ACIDS = set(b"ACDEFGHIKLMNPQRSTVWYXBZ*")
_NOT_DNA = set(b"EFILPQ")
_CHOICES = b"[]{}()/|\\<>"  # what stands around alternatives or between them
_PLAIN = b"ACGTN\n\r\v\f"
_UPPER = bytes(byte - 32 if 97 <= byte <= 122 else byte for byte in range(256))
_NOT_LOWER = bytes(byte for byte in range(256) if not 97 <= byte <= 122)
_ALLOWED = b"ACGTNU" + AMBIGUOUS.encode()
_OTHER_LETTERS = bytes(set(range(65, 91)) - set(b"ACGTNU"))
_URACIL = _ALLOWED.index(b"U")
_KINDS = bytes(_ALLOWED.find(byte) % 256 for byte in range(256))
_CODES = np.array([0, 1, 2, 3, UNKNOWN, 3] + [UNKNOWN] * len(AMBIGUOUS), dtype=np.uint8)
_NUMBER = re.compile(rb"^[ \t]*\d+|(?<![^\s])\d+(?![^\s])", re.MULTILINE)
_PRIME, _DASH = b"(?:'|`|\xc2\xb4|\xe2\x80\x99|\xe2\x80\xb2)", b"(?:-|\xe2\x80[\x90-\x95]|\xe2\x88\x92)?"
_FIRST_END = re.compile(rb"\s*([35])" + _PRIME + rb"\s*" + _DASH)
_LAST_END = re.compile(_DASH + rb"\s*([35])" + _PRIME + rb"\s*\Z")
_END_BYTES = 20
_ODD_SPACES = re.compile("[\u00a0\u2000-\u200b\u202f\u2060\ufeff]")


def codes_of_bytes(text: bytes) -> Codes:
    """The code of each byte, `NOT_A_LETTER` where it is none of A C G T N. Never raises."""
    return np.frombuffer(bytearray(text.translate(_CODE_OF_BYTE)), dtype=np.uint8)


def invalid_letter_message(letter: str, index: int) -> str:
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
        raise ValueError(invalid_letter_message(sequence[bad[0]], int(bad[0])))
    return codes


def encode_each(dna: str | Codes | Sequence[str]) -> list[Codes]:
    """The codes (L,) of each sequence.

    Args:
        dna: one sequence, a string or codes (L,); or several, a list of strings or codes (N, L).

    Raises:
        ValueError: a letter other than A C G T N, a number that is no code, or an empty sequence.
    """
    several = [dna] if isinstance(dna, str) or (isinstance(dna, np.ndarray) and dna.ndim == 1) else list(dna)
    return [_encoded(one, f"sequence {place}: " * (len(several) > 1)) for place, one in enumerate(several, start=1)]


def encode_one(dna: str | Codes) -> Codes:
    """The codes (L,) of one sequence, a string or codes.

    Raises:
        ValueError: as for `encode_each`, or there are several.
    """
    if not isinstance(dna, str) and getattr(dna, "ndim", None) != 1:
        raise ValueError("several sequences; expected one, a string or codes (L,)")
    return encode_each(dna)[0]


def _encoded(one: str | Codes, where: str) -> Codes:
    if not isinstance(one, str) and (not isinstance(one, np.ndarray) or one.ndim != 1 or one.dtype.kind not in "iu"):
        raise ValueError(f"{where}expected a string, or codes (L,) that are whole numbers")
    if not len(one):
        raise ValueError(f"{where}the sequence is empty")
    if isinstance(one, str):
        try:
            return encode(one)
        except ValueError as error:
            raise ValueError(f"{where}{error}") from None
    if one.min() < 0 or one.max() > UNKNOWN:
        raise ValueError(f"{where}codes from {one.min()} to {one.max()}; expected 0 to {UNKNOWN}: A C G T N")
    return one.astype(np.uint8)


def decode(codes: Codes) -> str:
    """The letters of one sequence of codes (L,)."""
    return _BYTE_OF_CODE[codes].tobytes().decode()


def take_slice(codes: Codes, start: int, end: int) -> Codes:
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


class InvalidLetter(ValueError):
    """A letter that cannot be used: `letter` at the 0-based `index` of `record`, between `before` and `after`."""

    def __init__(self, record: str, index: int, letter: str, before: str, after: str, why: str) -> None:
        super().__init__(f"record {shorten(record)}: letter {letter!r} at position {index + 1} (1-based); {why}")
        self.record, self.index, self.letter, self.before, self.after = record, index, letter, before, after


def is_dna(text: bytes) -> bool:
    """Whether a text holds letters of DNA and nothing else but the ends of an oligo, as in 5'-ACGT-3'."""
    first, last = _ends(text)
    letters = text[first:last].translate(_UPPER, BLANK)
    return bool(letters) and not letters.translate(None, _ALLOWED)


def read_codes(body: bytes, record: str, before: int, changes: Changes, repair: bool) -> Codes:
    """The codes of a body that follows `before` bases of its record; what had to be changed is added to `changes`."""
    if not body.translate(None, _PLAIN):
        return codes_of_bytes(body.translate(None, BLANK))
    letters = body.translate(_UPPER, BLANK)
    if letters.translate(None, _ALLOWED):
        body = strip_numbers(_without_ends(body, record, changes), changes)
        letters = body.translate(_UPPER, BLANK)
        letters = _repaired(letters, before, changes) if repair and _repairable(letters) else letters
    kinds = np.frombuffer(letters.translate(_KINDS), dtype=np.uint8)
    if letters.translate(None, _ALLOWED):
        _refuse(letters, int((kinds == NOT_A_LETTER).argmax()), record, before)
    _count(body, kinds, changes)
    return _CODES[kinds]


def _without_ends(body: bytes, record: str, changes: Changes) -> bytes:
    first, last = _ends(body)
    if first or last < len(body):
        changes["removed", "ends", 0] += 1
    rest = body[first:last]
    if _FIRST_END.match(rest) or _LAST_END.search(rest, max(0, len(rest) - _END_BYTES)):
        raise ValueError(f"record {shorten(record)}: written from 3' to 5'; expected the letters from 5' to 3'")
    return rest


def _ends(body: bytes) -> tuple[int, int]:
    """Where the letters between 5' and 3' begin and end; all of a body that has no such ends."""
    first, last = _FIRST_END.match(body), _LAST_END.search(body, max(0, len(body) - _END_BYTES))
    return (
        first.end() if first and first[1] == b"5" else 0,
        last.start() if last and last[1] == b"3" else len(body),
    )


def strip_numbers(body: bytes, changes: Changes) -> bytes:
    """The body without the numbers that stand between its letters, which are counted in `changes`."""
    if not body.isascii():
        body = _ODD_SPACES.sub(" ", body.decode(errors="replace")).encode()
    body, numbers = _NUMBER.subn(b" ", body)
    if numbers:
        changes["removed", "numbers", 0] += numbers
    return body


def _repairable(letters: bytes) -> bool:
    """Whether what is left out or read as N leaves DNA, and leaves it as it is meant."""
    return not mostly_other(letters) and not any(sign in letters for sign in _CHOICES)


def mostly_other(letters: bytes) -> bool:
    """Whether more of these upper-case letters are none of A C G T U N than are."""
    other = len(letters) - len(letters.translate(None, _OTHER_LETTERS))
    return other > len(letters) - len(letters.translate(None, b"ACGTUN"))


def _repaired(letters: bytes, before: int, changes: Changes) -> bytes:
    text = letters.decode(errors="replace")
    found = Counter(re.findall(f"[^ACGTNU{AMBIGUOUS}]", text))
    for sign, times in found.items():
        how = "as N" if sign.isalpha() else "gap" if sign in GAPS else "left out"
        changes[how, printable(sign) or "unprintable", before + text.index(sign) + 1] += times
    return text.translate({ord(sign): "N" if sign.isalpha() else "" for sign in found}).encode()


def _refuse(letters: bytes, place: int, record: str, before: int) -> NoReturn:
    letter = letters[place:].decode(errors="replace")[0]
    around = letters[max(0, place - 20) : place].decode(), letters[place:].decode(errors="replace")[1:21]
    raise InvalidLetter(record, before + place, letter, *around, _why(letter, letters[:2000]))


def _why(letter: str, letters: bytes) -> str:
    allowed, seen = "allowed: A C G T U N and IUPAC codes", set(letters)
    if len(seen & _NOT_DNA) > 2 and seen <= _AMINO_ACIDS:
        return f"this looks like a protein; {allowed}"
    if letter in "[]":
        return f"{allowed}, and on the Predict page a change in brackets such as [A/G]"
    if mostly_other(letters):
        return f"most letters are no DNA; is it a protein, or a name without > before it? {allowed}"
    return f"{allowed}, no gaps" if letter in GAPS else allowed


def _count(body: bytes, kinds: Codes, changes: Changes) -> None:
    if len(kinds) and kinds.max() >= _URACIL:
        found = np.bincount(kinds[kinds >= _URACIL])
        for kind in np.flatnonzero(found).tolist():
            changes["read as T" if kind == _URACIL else "read as N", chr(_ALLOWED[kind]), 0] += int(found[kind])
        if 2 * np.count_nonzero(kinds > _URACIL) > len(kinds):
            changes["doubted", "", 0] += 1
    if spaces := body.count(b" ") + body.count(b"\t"):
        changes["removed", "spaces", 0] += spaces
    if lower := len(body.translate(None, _NOT_LOWER)):
        changes["read as upper case", "lower-case letter", 0] += lower


def describe(changes: Changes) -> list[str]:
    """The changes in words."""
    done: dict[str, Counter[str]] = {}
    for (how, what, _), times in sorted(changes.items()):
        done.setdefault(how, Counter())[what] += times
    notes = []
    if (case := done.get("read as upper case")) is not None:
        notes.append(f"{plural(case.total(), 'lower-case letter')} read as upper case")
    if (uracil := done.get("read as T")) is not None:
        notes.append(f"{uracil.total():,} U read as T")
    if (unknown := done.get("read as N")) is not None:
        notes.append(f"{plural(unknown.total(), 'letter')} ({', '.join(unknown)}) read as N")
    if "doubted" in done:
        notes.append("most letters are no A C G T: is this a protein?")
    if (removed := done.get("removed")) is not None:
        notes += _describe_removed(removed)
    if "split" in done:
        notes.append("each line read as a sequence of its own; a line >name above them joins them")
    if "named" in done:
        notes.append("the first line is no DNA and read as its name; a > before it says so")
    if "table" in done:
        notes.append("read as a table of names and sequences")
    if "joined" in done:
        lines = done["joined"].total()
        notes.append(f"{lines:,} lines read as one sequence; a line >name above each keeps them apart")
    return notes


def _describe_removed(removed: Counter[str]) -> list[str]:
    gaps = [what for what in ("numbers", "spaces") if what in removed]
    notes = [f"{' and '.join(gaps)} removed"] if gaps else []
    return notes + ["5' and 3' at the ends removed"] * ("ends" in removed)


def describe_repairs(changes: Changes) -> list[str]:
    """What was done to signs that cannot be used, in words, with the place (from 1) of the first of each."""
    done = [(how, _placed(sign, place, times)) for (how, sign, place), times in changes.items()]
    notes = [f"{what} read as N" for how, what in done if how == "as N"]
    if gaps := sum(times for (how, _, _), times in changes.items() if how == "gap"):
        notes.append(f"{plural(gaps, 'gap')} removed")
    return notes + [f"{what} removed" for how, what in done if how == "left out"]


def _placed(sign: str, place: int, times: int) -> str:
    return f"{sign} at {place:,}" if times == 1 else f"{times:,} {sign} (the first at {place:,})"


def printable(text: str) -> str:
    """The text on one line, with a single space for whatever cannot be printed."""
    shown_text = text if text.isprintable() else "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(shown_text.split())


def shorten(name: str) -> str:
    """A name for a message: on one line, cut when long."""
    line = "".join(letter if letter.isprintable() else " " for letter in name[: SHORT_NAME + 1])
    return line if len(line) <= SHORT_NAME else f"{line[: SHORT_NAME - 3]}..."
