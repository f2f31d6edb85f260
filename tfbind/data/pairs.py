"""Read the course's pair of text files, a table of sequences and one of scores; errors name file and line.

The sequences file has the columns `sequence` and `window_name`. The scores file is transposed: one column per window,
headed by its name, and one row per base. Both are tab-separated ASCII, plain or gzip. Windows are matched by name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import psutil
from numpy.typing import NDArray

from tfbind.dna import LETTERS, NOT_A_LETTER, Codes, codes_of_bytes, invalid_letter_message
from tfbind.store import Block, file_label, first_lines, is_number, parse_numbers, plural, quote, read_blocks

SEQUENCE_COLUMN, NAME_COLUMN = b"sequence", b"window_name"
LONGEST_NAME = 200
AT_ONCE = 1_000  # windows that are compared in memory together
BASE_BYTES, WINDOW_BYTES = 5, 60  # of memory for a base and its score, and for a window beside those and its name

Scores = NDArray[np.float32]
Progress = Callable[[float], None]


@dataclass(frozen=True)
class Pair:
    """Names (N,) bytes, codes (N, L) and scores (N, L), in the order of the sequences file."""

    names: NDArray[np.bytes_]
    codes: Codes
    scores: Scores


@dataclass(frozen=True)
class PairReport:
    """A summary of a valid pair; `notes` are remarks, not errors."""

    windows: int
    length: int
    letters: dict[str, int]
    scored: float
    coordinates: str | None
    notes: list[str]


def read_pair(sequences: Path, scores: Path, transpose: bool = False, progress: Progress | None = None) -> Pair:
    """Read and check a pair; the files are matched by window name, not by order.

    Args:
        sequences: the table with the columns `sequence` and `window_name`, in any order; others are ignored.
        scores: the table with one column per window; with `transpose` one row per window, its name first.
        transpose: the scores file has one row per window.
        progress: called with the share of the scores that is read.

    Returns:
        The windows.

    Raises:
        ValueError: one line that names the file and the place, and what was expected there.
        OSError: a file cannot be read.
    """
    names, codes = _read_sequences(sequences)
    read = _read_rows if transpose else _read_columns
    return Pair(np.array(names), codes, read(scores, names, codes.shape[1], progress or (lambda _: None)))


def check_pair(
    sequences: Path, scores: Path, transpose: bool = False, progress: Progress | None = None
) -> PairReport:
    """Check a pair as an import does, and write nothing; parameters and errors are those of `read_pair`."""
    return report(read_pair(sequences, scores, transpose, progress))


def report(data: Pair) -> PairReport:
    """Summarise a pair."""
    scored = data.scores != 0
    letters = {letter: int(np.count_nonzero(data.codes == code)) for code, letter in enumerate(LETTERS)}
    unscored = int(np.count_nonzero(~scored.any(axis=1)))
    convention = coordinate_convention(data)
    level = scored.any(axis=1) & (data.scores == data.scores[:, :1]).all(axis=1)
    flat, same = int(np.count_nonzero(level)), constant_score(data.scores)
    remarks = {
        constant_score_message(same or 0.0): same is not None,
        f"{plural(flat, 'window')} ({flat / len(level):.1%}) with one and the same score at every base": flat > 0,
        f"{plural(letters['N'], 'letter')} N, read as no base": letters["N"] > 0,
        f"{plural(unscored, 'window')} without any score": unscored > 0,
        "scores below zero": bool((data.scores < 0).any()),
        "window names that are not CHROMOSOME_START_END: no coordinates": convention is None,
    }
    return PairReport(
        windows=len(data.codes),
        length=data.codes.shape[1],
        letters=letters,
        scored=np.count_nonzero(scored) / scored.size,
        coordinates=convention,
        notes=[remark for remark, applies in remarks.items() if applies],
    )


def constant_score(scores: Scores, places: NDArray[np.intp] | None = None) -> float | None:
    """The score of all bases, where they have the same one.

    Args:
        scores: (N, L).
        places: the indices of the windows to look at; None for all.

    Returns:
        None where two scores differ.
    """
    windows = np.arange(len(scores)) if places is None else places
    first = scores[windows[0], 0]
    same = all((scores[windows[at : at + AT_ONCE]] == first).all() for at in range(0, len(windows), AT_ONCE))
    return float(first) if same else None


def constant_score_message(score: float) -> str:
    """The message on windows of which every base has this score."""
    return f"every score is {score:g}: there is nothing to learn from them, and no correlation is defined"


def coordinate_convention(data: Pair) -> str | None:
    """The convention of names like `chr22_300_599`: `0-based, end inclusive` or `exclusive`; None if not all fit."""
    spans = set()
    for name in data.names.tolist():
        start, end = [*name.rsplit(b"_", 2), b"", b""][1:3]
        spans.add(int(end) - int(start) if start.isdigit() and end.isdigit() else None)
    length = data.codes.shape[1]
    if spans == {length - 1}:
        return "0-based, end inclusive"
    return "0-based, end exclusive" if spans == {length} else None


def _listed(names: Sequence[bytes]) -> str:
    first = ", ".join(quote(name) for name in names[:3])
    return first if len(names) <= 3 else f"{first}, ..."


# The table of sequences


def _read_sequences(path: Path) -> tuple[list[bytes], Codes]:
    header = first_lines(path)[0]
    for column in (SEQUENCE_COLUMN, NAME_COLUMN):
        if header.count(column) != 1:
            swapped = "" if {SEQUENCE_COLUMN, NAME_COLUMN} & set(header) else "; were the two files swapped?"
            raise ValueError(
                f"{file_label(path)}: line 1 has {plural(header.count(column), 'column')} named {quote(column)}; "
                f"expected 'sequence' and 'window_name' once each, found {_listed(header)}{swapped}"
            )
    names: list[bytes] = []
    parts: list[Codes] = []
    needed, available = 0, psutil.virtual_memory().total // 2
    for block in read_blocks(path, len(header)):
        block_names = block.column(header.index(NAME_COLUMN))
        letters = block.column(header.index(SEQUENCE_COLUMN))
        parts.append(_codes(block, block_names, letters, parts[0].shape[1] if parts else len(letters[0])))
        names += block_names
        needed += BASE_BYTES * parts[-1].size + WINDOW_BYTES * len(block_names) + sum(map(len, block_names))
        if needed > available:
            raise ValueError(
                f"{file_label(path)}: over {plural(len(names), 'window')}, which need more than half of this "
                f"machine's memory of {2 * available / 1e9:.0f} GB; expected fewer"
            )
    if not names:
        raise ValueError(f"{file_label(path)}: a header and no windows; expected one line per window below it")
    _check_names(path, names, "line", first=2)
    return names, np.concatenate(parts)


def _codes(block: Block, names: list[bytes], letters: list[bytes], length: int) -> Codes:
    def fail(row: int, problem: str) -> NoReturn:
        raise ValueError(f"{block.file}: line {block.first_line + row}, window {quote(names[row])}: {problem}")

    for row, sequence in enumerate(letters):
        if len(sequence) != length or not length:
            fail(row, f"{plural(len(sequence), 'letter')}; expected {length or 'at least 1'}, as in the first window")
    codes = codes_of_bytes(b"".join(letters)).reshape(len(letters), length)
    if (codes == NOT_A_LETTER).any():
        row, place = np.argwhere(codes == NOT_A_LETTER)[0].tolist()
        fail(row, invalid_letter_message(chr(letters[row][place]), place))
    return codes


def _check_names(path: Path, names: Sequence[bytes], unit: str, first: int) -> None:
    """Refuse empty, overlong and repeated window names, found in each `unit` (line or column), counted from
    `first`."""
    lengths = [len(name) for name in names]
    if min(lengths, default=1) == 0 or max(lengths, default=1) > LONGEST_NAME:
        index = next(index for index, length in enumerate(lengths) if not 0 < length <= LONGEST_NAME)
        raise ValueError(
            f"{file_label(path)}: {unit} {first + index}: a window name of {lengths[index]} characters; "
            f"expected 1 to {LONGEST_NAME}"
        )
    if len(set(names)) < len(names):
        seen: dict[bytes, int] = {}
        number, name = next(pair for pair in enumerate(names, first) if seen.setdefault(pair[1], pair[0]) != pair[0])
        raise ValueError(
            f"{file_label(path)}: window {quote(name)} is there twice, in {unit} {seen[name]} and {unit} {number}; "
            "expected each window once"
        )


# The table of scores


def _read_columns(path: Path, names: list[bytes], length: int, tell: Progress) -> Scores:
    """Scores (N, L) from one column per window and one row per base."""
    header = _check_columns(path, names, length)
    index_of = {name: index for index, name in enumerate(names)}
    window = np.array([index_of[name] for name in header])
    scores = np.zeros((len(names), length), dtype=np.float32)
    read = 0
    for block in read_blocks(path, len(header)):
        rows, columns, values = parse_numbers(block, 0, lambda _, column: header[column])
        inside = rows < length - read
        scores[window[columns[inside]], rows[inside] + read] = values[inside]
        read += block.rows
        tell(min(read / length, 1.0))
    if read != length:
        raise ValueError(
            f"{file_label(path)}: {plural(read, 'row')} of scores; expected {length}, one per letter of a sequence"
        )
    return scores


def _check_columns(path: Path, names: list[bytes], length: int) -> list[bytes]:
    """The header of a scores file that has exactly the windows `names`, in any order."""
    header, below = first_lines(path)
    known = set(names)
    rows_named = header[0] not in known and below[0] in known  # below a header, or from the first line on
    rows_named |= header[0] in known and len(header) > 1 and header[1] not in known and is_number(header[1])
    if {SEQUENCE_COLUMN, NAME_COLUMN} <= set(header):
        raise ValueError(f"{file_label(path)}: a table of sequences; expected scores: were the two files swapped?")
    if not header[0] and known.issuperset(header[1:]):
        raise ValueError(
            f"{file_label(path)}: column 1 has no name; expected scores alone: was an index written too?"
        )
    if rows_named or not known & set(header):
        advice = "; the rows seem to be windows: if each begins with its window's name, use --transpose"
        example = f" in the sequences file, such as {quote(names[0])}" if names else ""
        raise ValueError(
            f"{file_label(path)}: line 1 has {plural(len(header), 'column')}, {_listed(header)}; expected one column "
            f"per window, headed by its name{example}"
            f"{advice if rows_named or len(header) in (length, length + 1) else ''}"
        )
    _check_names(path, header, "column", first=1)
    _check_same(path, header, names)
    return header


def _check_same(path: Path, scored_names: Sequence[bytes], names: Sequence[bytes]) -> None:
    """Refuse scores for other windows than those of the sequences file."""
    scored, expected = set(scored_names), set(names)
    surplus = [name for name in scored_names if name not in expected]
    missing = [name for name in names if name not in scored]
    if surplus or missing:
        parts = [
            f"{plural(len(group), 'window')} {problem} ({_listed(group)})"
            for group, problem in ((missing, "without scores"), (surplus, "without a sequence"))
            if group
        ]
        raise ValueError(f"{file_label(path)}: {' and '.join(parts)}; expected the same windows in both files")


def _read_rows(path: Path, names: list[bytes], length: int, tell: Progress) -> Scores:
    """Scores (N, L) from one row per window, its name first; with or without a header."""
    first = first_lines(path)[0]
    index_of = {name: index for index, name in enumerate(names)}
    if set(first) == set(names):
        raise ValueError(f"{file_label(path)}: line 1 names windows, so columns are windows: leave out --transpose")
    if len(first) != length + 1:
        raise ValueError(
            f"{file_label(path)}: line 1 has {plural(len(first), 'column')}; expected {length + 1}: a window's name "
            f"and its {length} scores, one per letter of its sequence"
        )
    scores = np.zeros((len(names), length), dtype=np.float32)
    scored_names: list[bytes] = []
    first_line = 1 if first[0] in index_of else 2
    for block in read_blocks(path, len(first), first_line):
        cells = block.column(0)
        rows, columns, values = parse_numbers(block, 1, lambda row, _, cells=cells: cells[row])  # type: ignore[misc]
        window = np.array([index_of.get(name, -1) for name in cells])[rows]
        known = window >= 0
        scores[window[known], columns[known]] = values[known]
        scored_names += cells
        tell(min(len(scored_names) / len(names), 1.0))
    _check_names(path, scored_names, "line", first_line)
    _check_same(path, scored_names, names)
    return scores
