"""Letters of other people's text as codes, with what had to be changed: U is read as T, other IUPAC letters as N.

Whatever else stands in a sequence is refused with its 1-based position. What was changed is counted in `Changes`.
"""

import re
from collections import Counter
from typing import NoReturn

import numpy as np

from tfbind.sequences import NOT_A_LETTER, UNKNOWN, Codes, codes_of_bytes
from tfbind.tables import counted

AMBIGUOUS = "RYSWKMBDHV"
BLANK = b" \t\n\r\v\f"
SHORT_NAME = 60

Changes = Counter[tuple[str, str]]  # what was done, to what; how often

_AMINO_ACIDS = set(b"ACDEFGHIKLMNPQRSTVWYXBZ*")
_NOT_DNA = set(b"EFILPQ")
_PLAIN = b"ACGTN\n\r\v\f"
_UPPER = bytes(byte - 32 if 97 <= byte <= 122 else byte for byte in range(256))
_NOT_LOWER = bytes(byte for byte in range(256) if not 97 <= byte <= 122)
_ALLOWED = b"ACGTNU" + AMBIGUOUS.encode()
_URACIL = _ALLOWED.index(b"U")
_KINDS = bytes(_ALLOWED.find(byte) % 256 for byte in range(256))
_CODES = np.array([0, 1, 2, 3, UNKNOWN, 3] + [UNKNOWN] * len(AMBIGUOUS), dtype=np.uint8)
_NUMBER = re.compile(rb"^[ \t]*\d+|(?<![^\s])\d+(?![^\s])", re.MULTILINE)
_ODD_SPACES = re.compile("[\u00a0\u2000-\u200b\u202f\u2060\ufeff]")


class RefusedLetter(ValueError):
    """A letter that cannot be used: `letter` at the 0-based `index` of `record`, between `before` and `after`."""

    def __init__(self, record: str, index: int, letter: str, before: str, after: str, why: str) -> None:
        super().__init__(f"record {short(record)}: letter {letter!r} at position {index + 1} (1-based); {why}")
        self.record, self.index, self.letter, self.before, self.after = record, index, letter, before, after


def read_codes(body: bytes, record: str, before: int, changes: Changes, repair: bool) -> Codes:
    """The codes of a body that follows `before` bases of its record; what had to be changed is added to `changes`."""
    if not body.translate(None, _PLAIN):
        return codes_of_bytes(body.translate(None, BLANK))
    letters = body.translate(_UPPER, BLANK)
    if letters.translate(None, _ALLOWED):
        body = _without_numbers(body, changes)
        letters = body.translate(_UPPER, BLANK)
        letters = _repaired(letters, changes) if repair else letters
    kinds = np.frombuffer(letters.translate(_KINDS), dtype=np.uint8)
    if letters.translate(None, _ALLOWED):
        _refuse(letters, int((kinds == NOT_A_LETTER).argmax()), record, before)
    _count(body, kinds, changes)
    return _CODES[kinds]


def _without_numbers(body: bytes, changes: Changes) -> bytes:
    if not body.isascii():
        body = _ODD_SPACES.sub(" ", body.decode(errors="replace")).encode()
    body, numbers = _NUMBER.subn(b" ", body)
    if numbers:
        changes["removed", "numbers"] += numbers
    return body


def _repaired(letters: bytes, changes: Changes) -> bytes:
    text = letters.decode(errors="replace")
    found = Counter(re.findall(f"[^ACGTNU{AMBIGUOUS}]", text))
    for sign, times in found.items():
        changes["read as N" if sign.isalpha() else "removed", printable(sign) or "unprintable"] += times
    return text.translate({ord(sign): "N" if sign.isalpha() else "" for sign in found}).encode()


def _refuse(letters: bytes, place: int, record: str, before: int) -> NoReturn:
    letter = letters[place:].decode(errors="replace")[0]
    around = letters[max(0, place - 20) : place].decode(), letters[place:].decode(errors="replace")[1:21]
    raise RefusedLetter(record, before + place, letter, *around, _why(letter, set(letters[:2000])))


def _why(letter: str, seen: set[int]) -> str:
    allowed = "allowed: A C G T U N and IUPAC codes"
    if len(seen & _NOT_DNA) > 2 and seen <= _AMINO_ACIDS:
        return f"this looks like a protein; {allowed}"
    return f"{allowed}, no gaps" if letter in "-." else allowed


def _count(body: bytes, kinds: Codes, changes: Changes) -> None:
    if len(kinds) and kinds.max() >= _URACIL:
        found = np.bincount(kinds[kinds >= _URACIL])
        for kind in np.flatnonzero(found).tolist():
            changes["read as T" if kind == _URACIL else "read as N", chr(_ALLOWED[kind])] += int(found[kind])
    if spaces := body.count(b" ") + body.count(b"\t"):
        changes["removed", "spaces"] += spaces
    if lower := len(body.translate(None, _NOT_LOWER)):
        changes["read as upper case", "lower-case letter"] += lower


def describe(changes: Changes) -> list[str]:
    """The changes in words."""
    done: dict[str, Counter[str]] = {}
    for (how, what), times in sorted(changes.items()):
        done.setdefault(how, Counter())[what] += times
    notes = []
    if (case := done.get("read as upper case")) is not None:
        notes.append(f"{counted(case.total(), 'lower-case letter')} read as upper case")
    if (uracil := done.get("read as T")) is not None:
        notes.append(f"{uracil.total():,} U read as T")
    if (unknown := done.get("read as N")) is not None:
        notes.append(f"{counted(unknown.total(), 'letter')} ({', '.join(unknown)}) read as N")
    if (removed := done.get("removed")) is not None:
        notes += _describe_removed(removed)
    if "split" in done:
        notes.append("each line read as a sequence of its own; a line >name above them joins them")
    if "joined" in done:
        lines = done["joined"].total()
        notes.append(f"{lines:,} lines read as one sequence; a line >name above each keeps them apart")
    return notes


def _describe_removed(removed: Counter[str]) -> list[str]:
    gaps = [what for what in ("numbers", "spaces") if removed.pop(what, 0)]
    notes = [f"{' and '.join(gaps)} removed"] if gaps else []
    return notes + [f"{counted(removed.total(), 'sign')} ({' '.join(removed)}) removed"] * bool(removed)


def printable(text: str) -> str:
    """The text on one line, with a single space for whatever cannot be printed."""
    shown_text = text if text.isprintable() else "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(shown_text.split())


def short(name: str) -> str:
    """A name for a message: on one line, cut when long."""
    line = "".join(letter if letter.isprintable() else " " for letter in name[: SHORT_NAME + 1])
    return line if len(line) <= SHORT_NAME else f"{line[: SHORT_NAME - 3]}..."
