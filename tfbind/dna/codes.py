"""DNA as numbers: codes (uint8, A C G T N = 0 1 2 3 4), one-hot batches (N, 4, L), reverse complements, k-mers.

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

Changes = Counter[tuple[str, str, int]]  # how often: an action, the sign, its first position (from 1; 0: not stored)

_AMINO_ACIDS = set(b"ACDEFGHIKLMNPQRSTVWYXBZ*")
_NOT_DNA = set(b"EFILPQ")
_CHOICES = b"[]{}()/|\\<>,;:="  # what stands around alternatives, between them, or behind a name
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

# Modifications of oligos as vendors write them: /5Phos/, [BtnTg], A*C, +A, mC, 5'-FAM-ACGT-BHQ1-3'
LONGEST_OLIGO = 10_000  # bytes of a text that may be an oligo

_LABEL = (
    rb"(?:[356]'?-?)?(?:P|phos(?:phate)?|bio(?:tin)?(?:-?TEG)?|biosg|btn(?:Tg)?|FAM|TAMRA|TET|HEX|JOE|ROX|NED|VIC|"
    rb"cy-?\d(?:\.5)?|BHQ-?_?\d?|BBQ-?650|DABCYL|IABkFQ|IABRQ|ATTO ?-?\d+N?|alexa ?(?:fluor)? ?\d+|AF\d+|IRD ?\d+|"
    rb"TEX\d+|texas ?red|YakYel|MGB|ZEN|EDANS|DNP|DIG(?:oxigenin)?|chol(?:esterol)?(?:-?TEG)?|TEG|PEG|HEG|azide|DBCO|"
    rb"alkyne|hexynyl|acryd(?:ite)?|psoralen|(?:C\d+-?)?(?:amino|NH2|thiol|SH|SS)(?:-?C\d+)?|AmM?C\d+|"
    rb"d?SP(?:acer)?-?C?\d*)"
)
_BASE_LABEL = rb"(?:\+|LNA-?|[mrdlf]|5?-?h?m(?:e(?:thyl)?)?-?d?|2'?-?(?:O-?Me|MOE|F)-?r?|8-?oxo-?d|5?Br-?d|dd|deoxy)"
_BASE = rb"[ACGTUI]"
_BRACKETED = re.compile(
    rb"\[(?:TAM|(?i:%(l)s))\]|\((?i:%(l)s)\)|\{(?i:%(l)s)\}|[\[({](?:(?i:%(p)s)(%(b)s)|i)[\])}]|/[35i]\w[\w.+-]{0,18}/"
    % {b"l": _LABEL, b"p": _BASE_LABEL, b"b": _BASE}
)
_SLASHED_BASE = re.compile(rb"(?:[dr]|oxy|2F|MC6|Fluor)(%s)/\Z" % _BASE)
_NO_BASE = re.compile(rb"/i(?:[dr]Sp|5NitInd)/|.i.")  # a place in the chain that has none of A C G T
_AT_ENDS = re.compile(
    rb"\A(\s*(?:5[^\w\s]+)?)((?i:%(l)s)-|p(?=%(b)s{3}))|(?<=[ACGTUIacgtui'])(-(?i:%(l)s)|p)(?=\s*\Z|-?3[^\w\s])"
    % {b"l": _LABEL, b"b": _BASE}
)
_SIGN = re.compile(rb"[\[({/*+\-mrdlfsp]")
_BONDS = re.compile(rb"\*|\+(?=[ACGTUI])", re.IGNORECASE)
_SUGARS = re.compile(rb"(?:5h?)?m(?=C)|[mrdlf](?=%(b)s)|(?<=%(b)s)s" % {b"b": _BASE})
_OTHER_LOWER = re.compile(rb"[a-ceg-kn-qt-z]")


def codes_of_bytes(text: bytes) -> Codes:
    """The code of each byte, `NOT_A_LETTER` where it is none of A C G T N. Never raises."""
    return np.frombuffer(bytearray(text.translate(_CODE_OF_BYTE)), dtype=np.uint8)


def invalid_letter_message(letter: str, index: int) -> str:
    """The message for a letter that training data may not hold.

    Args:
        letter: the letter.
        index: its 0-based index in the sequence.

    Returns:
        The message, with the 1-based position.
    """
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
    sequences = [dna] if isinstance(dna, str) or (isinstance(dna, np.ndarray) and dna.ndim == 1) else list(dna)
    if len(sequences) == 1:
        return [_encode_any(sequences[0], "")]
    return [_encode_any(sequence, f"sequence {number}: ") for number, sequence in enumerate(sequences, start=1)]


def encode_one(dna: str | Codes) -> Codes:
    """The codes (L,) of one sequence, a string or codes.

    Raises:
        ValueError: as for `encode_each`, or there are several.
    """
    if not isinstance(dna, str) and getattr(dna, "ndim", None) != 1:
        raise ValueError("several sequences; expected one, a string or codes (L,)")
    return encode_each(dna)[0]


def _encode_any(dna: str | Codes, label: str) -> Codes:
    """The codes of a string or of codes; `label` begins the messages."""
    if not isinstance(dna, str) and (not isinstance(dna, np.ndarray) or dna.ndim != 1 or dna.dtype.kind not in "iu"):
        raise ValueError(f"{label}expected a string, or codes (L,) that are whole numbers")
    if not len(dna):
        raise ValueError(f"{label}the sequence is empty")
    if isinstance(dna, str):
        try:
            return encode(dna)
        except ValueError as error:
            raise ValueError(f"{label}{error}") from None
    if dna.min() < 0 or dna.max() > UNKNOWN:
        raise ValueError(f"{label}codes from {dna.min()} to {dna.max()}; expected 0 to {UNKNOWN}: A C G T N")
    return dna.astype(np.uint8)


def decode(codes: Codes) -> str:
    """The letters of one sequence of codes (L,)."""
    return _BYTE_OF_CODE[codes].tobytes().decode()


def take_slice(codes: Codes, start: int, end: int) -> Codes:
    """Slice codes, as a function.

    Args:
        codes: (L,).
        start, end: 0-based, end exclusive.

    Returns:
        The codes from start to end.
    """
    return codes[start:end]


def reverse_complement(codes: Codes) -> Codes:
    """The reverse complement of codes (..., L); N stays N."""
    return _COMPLEMENT[codes[..., ::-1]]


def word_numbers(codes: Codes, width: int) -> NDArray[np.int64]:
    """Number the k-mers at every start as base-4 numbers, the first base counting most.

    Args:
        codes: (N, L).
        width: k, at most 31.

    Returns:
        (N, L - k + 1), below 4**k; -1 where the k-mer holds an N.
    """
    starts = max(codes.shape[1] - width + 1, 0)
    numbers = np.zeros((len(codes), starts), dtype=np.int64)
    unknown = np.zeros(numbers.shape, dtype=bool)
    for offset in range(width):
        base = codes[:, offset : offset + starts]
        numbers = numbers * 4 + (base & 3)
        unknown |= base == UNKNOWN
    numbers[unknown] = -1
    return numbers


def one_hot(codes: Codes) -> NDArray[np.float32]:
    """One-hot encode codes (N, L) as X (N, 4, L) float32: rows A C G T, N all zeros."""
    windows, length = codes.shape
    X = np.empty((windows, 4, length), dtype=np.float32)
    for base in range(4):
        np.equal(codes, base, out=X[:, base], casting="unsafe")
    return X


class InvalidLetter(ValueError):
    """A letter that is not allowed: `letter` at the 0-based `index` of `record`, between `before` and `after`."""

    def __init__(self, record: str, index: int, letter: str, before: str, after: str, why: str) -> None:
        super().__init__(f"record {shorten(record)}: letter {letter!r} at position {index + 1} (1-based); {why}")
        self.record, self.index, self.letter, self.before, self.after = record, index, letter, before, after


def is_dna(text: bytes) -> bool:
    """Whether a text is DNA letters alone, apart from what vendors write around and between those of an oligo."""
    return _is_dna(text) or _is_dna(_strip_modifications(text)[0])


def _is_dna(text: bytes) -> bool:
    first, last = _ends(text)
    letters = text[first:last].translate(_UPPER, BLANK)
    return bool(letters) and not letters.translate(None, _ALLOWED)


def read_codes(body: bytes, record: str, before: int, changes: Changes, repair: bool) -> Codes:
    """The codes of a piece of a record that follows `before` bases; repairs are counted in `changes`."""
    if not body.translate(None, _PLAIN):
        return codes_of_bytes(body.translate(None, BLANK))
    body = _without_modifications(body, changes)
    letters = body.translate(_UPPER, BLANK)
    if letters.translate(None, _ALLOWED):
        body = strip_numbers(_without_ends(body, record, changes), changes)
        letters = body.translate(_UPPER, BLANK)
        letters = _repair(letters, before, changes) if repair and _repairable(letters) else letters
    kinds = np.frombuffer(letters.translate(_KINDS), dtype=np.uint8)
    if letters.translate(None, _ALLOWED):
        _refuse(letters, int((kinds == NOT_A_LETTER).argmax()), record, before)
    _count(body, kinds, changes)
    return _CODES[kinds]


def _strip_modifications(body: bytes) -> tuple[bytes, Counter[str]]:
    """Leave the modifications out of an oligo; a modified base stays, one that is none of A C G T is N.

    Lower-case letters mark sugars and bonds (`mC`, `rA`, `dAsC`) only where all bases are in upper case.

    Returns:
        The rest, and how often each modification was there.
    """
    names = Counter[str]()

    def leave_out(match: re.Match[bytes]) -> bytes:
        names[match[0].decode(errors="replace").strip()] += 1
        return b""

    def leave_base(match: re.Match[bytes]) -> bytes:
        leave_out(match)
        slashed = _SLASHED_BASE.search(match[0])
        base = match[1] or (slashed[1] if slashed else b"")
        return b"N" if base == b"I" or _NO_BASE.fullmatch(match[0]) else base

    def leave_end(match: re.Match[bytes]) -> bytes:
        names[(match[2] or match[3]).strip(b"-").decode(errors="replace")] += 1
        return match[1] or b""

    if len(body) > LONGEST_OLIGO or not _SIGN.search(body):
        return body, names
    body = _BONDS.sub(leave_out, _AT_ENDS.sub(leave_end, _BRACKETED.sub(leave_base, body)))
    if not _OTHER_LOWER.search(body):
        body = _SUGARS.sub(leave_out, body)
    return body, names


def _without_modifications(body: bytes, changes: Changes) -> bytes:
    """The body without the modifications of an oligo, or as it is where the rest is no DNA."""
    rest, modifications = _strip_modifications(body)
    if not modifications:
        return body
    first, last = _ends(rest)
    letters = strip_numbers(rest[first:last], Changes())
    if not _is_dna(letters) or mostly_other(letters.translate(_UPPER)):
        return body
    for name, times in modifications.items():
        changes["modification", name, 0] += times
    return rest


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
    start = first.end() if first and first[1] == b"5" else 0
    return start, last.start() if last and last[1] == b"3" else len(body)


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


def _repair(letters: bytes, before: int, changes: Changes) -> bytes:
    text = letters.decode(errors="replace")
    signs = Counter(re.findall(f"[^ACGTNU{AMBIGUOUS}]", text))
    for sign, times in signs.items():
        if sign.isalpha():
            action = "as N"
        elif sign in GAPS:
            action = "gap"
        else:
            action = "left out"
        changes[action, printable(sign) or "unprintable", before + text.index(sign) + 1] += times
    return text.translate({ord(sign): "N" if sign.isalpha() else "" for sign in signs}).encode()


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
        counts = np.bincount(kinds[kinds >= _URACIL])
        for kind in np.flatnonzero(counts).tolist():
            changes["read as T" if kind == _URACIL else "read as N", chr(_ALLOWED[kind]), 0] += int(counts[kind])
        if 2 * np.count_nonzero(kinds > _URACIL) > len(kinds):
            changes["doubted", "", 0] += 1
    if spaces := body.count(b" ") + body.count(b"\t"):
        changes["removed", "spaces", 0] += spaces
    if lower := len(body.translate(None, _NOT_LOWER)):
        changes["read as upper case", "lower-case letter", 0] += lower


def describe(changes: Changes) -> list[str]:
    """The notes for a reader on what was changed in reading a sequence."""
    by_action: dict[str, Counter[str]] = {}
    for (action, sign, _), times in sorted(changes.items()):
        by_action.setdefault(action, Counter())[sign] += times
    notes = []
    if (case := by_action.get("read as upper case")) is not None:
        notes.append(f"{plural(case.total(), 'lower-case letter')} read as upper case")
    if (uracil := by_action.get("read as T")) is not None:
        notes.append(f"{uracil.total():,} U read as T")
    if (unknown := by_action.get("read as N")) is not None:
        notes.append(f"{plural(unknown.total(), 'letter')} ({', '.join(unknown)}) read as N")
    if "doubted" in by_action:
        notes.append("most letters are no A C G T: is this a protein?")
    if (removed := by_action.get("removed")) is not None:
        notes += _describe_removed(removed)
    if (modifications := by_action.get("modification")) is not None:
        listed = ", ".join(f"{times} {name}" if times > 1 else name for name, times in modifications.items())
        notes.append(f"modifications left out: {printable(listed)}")
    if "circular" in by_action:
        notes.append("circular: a site across its ends is not seen")
    if "features" in by_action:
        notes.append("its features are not read")
    if (empty := by_action.get("passed over")) is not None:
        rest = empty.pop("", 0)
        listed = ", ".join(map(shorten, empty)) + (f" and {rest:,} more" if rest else "")
        notes.append(f"passed over beside it, without letters: {listed}")
    if "split" in by_action:
        notes.append("each line read as a sequence of its own; a line >name above them joins them")
    if "named" in by_action:
        notes.append("the first line is no DNA and read as its name; a > before it says so")
    if "table" in by_action:
        notes.append("read as a table of names and sequences")
    if "joined" in by_action:
        lines = by_action["joined"].total()
        notes.append(f"{lines:,} lines read as one sequence; a line >name above each keeps them apart")
    return notes


def _describe_removed(removed: Counter[str]) -> list[str]:
    gaps = [sign for sign in ("numbers", "spaces") if sign in removed]
    notes = [f"{' and '.join(gaps)} removed"] if gaps else []
    if comments := removed["comments"]:
        notes.append(f"{plural(comments, 'comment line')} left out")
    if "ends" in removed:
        notes.append("5' and 3' at the ends removed")
    return notes


def describe_repairs(changes: Changes) -> list[str]:
    """The notes for a reader on repaired signs, with the position (from 1) of the first of each."""
    repairs = [(action, _sign_at(sign, place, times)) for (action, sign, place), times in changes.items()]
    notes = [f"{sign} read as N" for action, sign in repairs if action == "as N"]
    if gaps := sum(times for (action, _, _), times in changes.items() if action == "gap"):
        notes.append(f"{plural(gaps, 'gap')} removed")
    return notes + [f"{sign} removed" for action, sign in repairs if action == "left out"]


def _sign_at(sign: str, place: int, times: int) -> str:
    return f"{sign} at {place:,}" if times == 1 else f"{times:,} {sign} (the first at {place:,})"


def printable(text: str) -> str:
    """A text on one line, with a single space for whatever is not printable."""
    spaced = text if text.isprintable() else "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(spaced.split())


def shorten(name: str) -> str:
    """A name for a message: on one line, cut when long."""
    line = "".join(letter if letter.isprintable() else " " for letter in name[: SHORT_NAME + 1])
    return line if len(line) <= SHORT_NAME else f"{line[: SHORT_NAME - 3]}..."
