"""A small pair of the course's files, written as text, whole or damaged in one place."""

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tfbind.data.pairs import read_pair

NAMES = ("chr1_0_5", "chr1_6_11", "chr1_30_35")
SEQUENCES = ("ACGTAC", "GGNTTA", "CCCCAT")
SCORES = ((0.0, 6.5, 6.5, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0, 7.25, 7.25), (8.123456, 0.0, 0.0, 0.0, 0.0, 9.0))


def sequence_table(names: Sequence[str] = NAMES, sequences: Sequence[str] = SEQUENCES) -> str:
    """The sequences file's text: a header, then a line per window."""
    lines = [f"{sequence}\t{name}\n" for sequence, name in zip(sequences, names, strict=True)]
    return "sequence\twindow_name\n" + "".join(lines)


def score_table(names: Sequence[str] = NAMES, scores: Sequence[Sequence[float]] = SCORES) -> str:
    """The scores file's text: a column per window, headed by its name, and a row per base."""
    rows = ["\t".join(str(float(score)) for score in row) for row in zip(*scores, strict=True)]
    return "\t".join(names) + "\n" + "".join(row + "\n" for row in rows)


def write_pair(
    folder: Path, sequences: str | bytes | None = None, scores: str | bytes | None = None
) -> tuple[Path, Path]:
    """Write the small pair, or other content, and return the paths of sequences and scores."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "toy_sequences.txt", folder / "toy_scores.txt"
    contents = (sequence_table() if sequences is None else sequences, score_table() if scores is None else scores)
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return paths


Edit = Callable[[bytes], bytes]


def edited_pair(folder: Path, **edits: Edit) -> tuple[Path, Path]:
    """Write the small pair with its `sequences` or `scores` changed by a function of the text."""
    texts = {"sequences": sequence_table().encode(), "scores": score_table().encode()}
    return write_pair(folder, **{role: edits.get(role, bytes)(text) for role, text in texts.items()})


def replaced(old: str, new: str, count: int = 1) -> Edit:
    """Put `new` for the first `old`, or for all with a count of -1."""

    def edit(text: bytes) -> bytes:
        assert old.encode() in text
        return text.replace(old.encode(), new.encode(), count)

    return edit


def with_cell(line: int, column: int, new: str) -> Edit:
    """Put `new` in a cell; lines and columns are counted from 1, the header being line 1."""

    def edit(text: bytes) -> bytes:
        rows = [row.split("\t") for row in text.decode().splitlines()]
        rows[line - 1][column - 1] = new
        return "".join("\t".join(cells) + "\n" for cells in rows).encode()

    return edit


def turned(text: bytes) -> bytes:
    """A table with rows for columns."""
    rows = [line.split("\t") for line in text.decode().splitlines()]
    return "".join("\t".join(cells) + "\n" for cells in zip(*rows, strict=True)).encode()


def zipped(text: bytes) -> bytes:
    """gzip without a date, so that the same text gives the same bytes."""
    return gzip.compress(text, mtime=0)


def refusal_of(paths: tuple[Path, Path], transpose: bool = False) -> str:
    """What is said of a pair that must be refused, in one line."""
    with pytest.raises(ValueError, match=r".") as caught:
        read_pair(*paths, transpose)
    assert str(caught.value).isprintable()
    return str(caught.value)
