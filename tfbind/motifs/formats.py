"""Motif files: HOMER, MEME (minimal), JASPAR (.jaspar, .pfm), told apart by their content, with a diagnosis by line.

The readers are written here because Biopython reads no HOMER files and names no line when something is wrong.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from tfbind.motifs.jaspar import find_motif
from tfbind.motifs.pwm import Motif, from_counts
from tfbind.store import file_label, quote, read_whole_lines

SITES = 20  # what a probability matrix is taken to be made from when it holds zeros and does not say
WIDEST = 200
LEAST = 1e-9  # of a probability; less is as good as 0, and would make a scale of scores that no memory holds
MOST_LINES, MOST_LETTERS = 1_000_000, 64 << 20
TOLERANCE = 0.005
NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")

Matrix = NDArray[np.float64]
Lines = Sequence[tuple[int, str]]


@dataclass(frozen=True)
class FileMotif:
    """A motif, and the log-odds threshold that its file gives, if it does (HOMER, natural logarithms)."""

    motif: Motif
    threshold: float | None = None


def get_motif(file_id_or_name: str, name: str | None = None) -> FileMotif:
    """A motif from a file where there is one of that name, else from JASPAR by id or name.

    Args:
        name: which motif of a file that holds several.

    Raises:
        ValueError: no such motif, or a file that is not one of motifs.
    """
    path = Path(file_id_or_name)
    if path.is_file():
        return choose(read_motifs(path), path, name)
    if "/" in file_id_or_name or path.suffix in (".motif", ".meme", ".jaspar", ".pfm", ".txt"):
        raise ValueError(f"{path}: no such file; expected a motif file (HOMER, MEME or JASPAR)")
    return FileMotif(find_motif(file_id_or_name))


def choose(found: Sequence[FileMotif], path: Path, name: str | None) -> FileMotif:
    """The one motif that is meant.

    Raises:
        ValueError: none or several are.
    """
    wanted = [one for one in found if name in (None, one.motif.name, one.motif.matrix_id)]
    if len(wanted) != 1:
        names = ", ".join(one.motif.name or one.motif.matrix_id for one in found[:10])
        what = f"{len(wanted)} motifs" + (f" named {quote(name)}" if name else "")
        raise ValueError(f"{file_label(path)}: {what}; name one of: {names}{', ...' if len(found) > 10 else ''}")
    return wanted[0]


def read_motifs(path: Path) -> list[FileMotif]:
    """Every motif of a file.

    Probabilities are taken as they are written. A matrix of probabilities with a zero (or less than 1e-9) is read as
    counts of its `nsites` (20 where that is not said); counts get one pseudocount per column, shared by the four
    bases.

    Raises:
        ValueError: one line: the file, the line, what is there and what was expected.
    """
    return _Reader(path).read()


class _Reader:
    """Reads one file. Lines are counted from 1; blank ones and comments are passed over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[tuple[int, str]] = []
        letters = 0
        numbered = enumerate((line for lines in read_whole_lines(path) for line in lines.split(b"\n")[:-1]), start=1)
        for number, raw in numbered:
            line = raw.decode("ascii", "backslashreplace").strip()
            letters += len(line)
            if number > MOST_LINES or letters > MOST_LETTERS:
                self._fail(number, "too much for a file of motifs; expected a HOMER, MEME or JASPAR file")
            if line and not line.startswith("#"):
                self.lines.append((number, line))

    def read(self) -> list[FileMotif]:
        if not self.lines:
            raise ValueError(f"{file_label(self.path)}: no motif; expected a HOMER, MEME or JASPAR file")
        first = self.lines[0][1]
        if first.upper().startswith("MEME VERSION"):
            found = list(self._meme())
        elif first.startswith(">"):
            found = [self._one(header, rows) for header, rows in self._records()]
        elif self._is_row(first):
            found = [self._counted(self.path.stem, "", self.lines)]
        else:
            self._fail(
                self.lines[0][0],
                f"{quote(first)}; expected '>' and a name (HOMER, JASPAR), 'MEME version' or a row of counts",
            )
        if not found:
            raise ValueError(f"{file_label(self.path)}: no motif; expected a line that begins with 'MOTIF'")
        return found

    def _fail(self, line: int, what: str) -> NoReturn:
        raise ValueError(f"{file_label(self.path)}: line {line}: {what}")

    def _is_row(self, line: str) -> bool:
        cells = re.sub(r"^[ACGT]\b[\s:|]*\[?|\]$", "", line).split()
        return bool(cells) and all(NUMBER.fullmatch(cell) for cell in cells)

    def _records(self) -> Iterator[tuple[tuple[int, str], Lines]]:
        """Headers that begin with '>', each with the lines below it."""
        starts = [place for place, (_, line) in enumerate(self.lines) if line.startswith(">")]
        for start, end in pairwise([*starts, len(self.lines)]):
            yield self.lines[start], self.lines[start + 1 : end]

    def _one(self, header: tuple[int, str], rows: Lines) -> FileMotif:
        number, line = header
        if not rows:
            self._fail(number, f"{quote(line)} and no matrix below it")
        words = line[1:].split("\t") if "\t" in line else line[1:].split()
        words = [word.strip() for word in words if word.strip()]
        lettered = rows[0][1][0] in "ACGT"
        if lettered or (len(rows) == 4 and not self._is_homer(rows)):
            return self._counted(" ".join(words[1:]) or words[0] if words else "", words[0] if words else "", rows)
        return self._homer(number, words, rows)

    def _is_homer(self, rows: Lines) -> bool:
        values = [self._numbers(number, line.split()) for number, line in rows]
        return all(len(row) == 4 and abs(sum(row) - 1) <= 2 * TOLERANCE for row in values)

    def _homer(self, number: int, words: list[str], rows: Lines) -> FileMotif:
        threshold = None
        if len(words) > 2:
            threshold = self._numbers(number, words[2:3])[0]
        name = words[1] if len(words) > 1 else words[0] if words else ""
        return FileMotif(self._probabilities(name.split("/")[0], name, rows, SITES), threshold)

    def _counted(self, name: str, matrix_id: str, rows: Lines) -> FileMotif:
        """JASPAR: four rows A C G T, with or without letters and brackets."""
        first = rows[0][0]
        if len(rows) != 4:
            self._fail(first, f"{len(rows)} rows; expected 4, of the counts of A, C, G and T")
        counts = []
        for (number, line), letter in zip(rows, "ACGT", strict=True):
            body = line
            if line[0].isalpha():
                if line[0] != letter:
                    self._fail(number, f"a row of {quote(line[0])}; expected the row of {letter}")
                body = line[1:].strip(" \t:|[]")
            counts.append(self._numbers(number, body.split()))
            if len(counts[-1]) != len(counts[0]):
                self._fail(number, f"{len(counts[-1])} counts; expected {len(counts[0])}, as in the first row")
            if min(counts[-1], default=-1) < 0:
                self._fail(number, "no counts, or one below 0; expected counts of 0 and above")
        self._check_width(first, len(counts[0]))
        matrix = np.array(counts)
        if not matrix.sum(axis=0).all():
            column = int(matrix.sum(axis=0).argmin())
            self._fail(first, f"column {column + 1} holds no count; expected one of A, C, G or T at least")
        if np.allclose(matrix.sum(axis=0), 1, atol=TOLERANCE):
            return FileMotif(self._matrix(first, name, matrix_id, matrix, SITES))
        return FileMotif(from_counts(name, matrix_id, matrix))

    def _meme(self) -> Iterator[FileMotif]:
        starts = [place for place, (_, line) in enumerate(self.lines) if re.match(r"MOTIF\b", line)]
        alphabet = [(number, line) for number, line in self.lines if line.upper().startswith("ALPHABET")]
        for number, line in alphabet:
            if line.split("=")[-1].strip().strip('"') != "ACGT" and "DNA" not in line.upper():
                self._fail(number, f"{quote(line)}; expected ALPHABET= ACGT")
        for start, end in pairwise([*starts, len(self.lines)]):
            yield self._meme_motif(self.lines[start:end])

    def _meme_motif(self, lines: Lines) -> FileMotif:
        number, title = lines[0]
        words = title.split()[1:]
        if not words:
            self._fail(number, "a motif without a name; expected MOTIF and its name")
        heads = [place for place, (_, line) in enumerate(lines) if line.startswith("letter-probability matrix")]
        if len(heads) != 1:
            self._fail(number, f"{len(heads)} matrices of {quote(words[0])}; expected one letter-probability matrix")
        at, head = lines[heads[0]]
        said = {key: self._numbers(at, [value])[0] for key, value in re.findall(r"\b(\w+)\s*=\s*(\S+)", head)}
        if said.get("alength", 4) != 4:
            self._fail(at, f"alength= {said['alength']:g}; expected 4")
        rows = []
        for row in lines[heads[0] + 1 :]:
            if not self._is_row(row[1]):
                break
            rows.append(row)
        if len(rows) != said.get("w", len(rows)) or not rows:
            self._fail(
                at,
                f"{len(rows)} rows of numbers; expected {said['w']:g}"
                if rows and "w" in said
                else "no matrix below it",
            )
        name = " ".join(words[1:]) or words[0]
        return FileMotif(self._probabilities(name, words[0], rows, said.get("nsites", SITES)))

    def _probabilities(self, name: str, matrix_id: str, rows: Lines, sites: float) -> Motif:
        """A row per column of the motif, A C G T across."""
        values = [self._numbers(number, line.split()) for number, line in rows]
        for (number, _), row in zip(rows, values, strict=True):
            if len(row) != 4:
                self._fail(number, f"{len(row)} numbers; expected 4, the probabilities of A, C, G and T")
            if min(row) < 0 or abs(sum(row) - 1) > TOLERANCE:
                self._fail(number, f"probabilities that sum to {sum(row):g}; expected 1, none of them below 0")
        self._check_width(rows[0][0], len(rows))
        return self._matrix(rows[0][0], name, matrix_id, np.array(values).T, sites)

    def _matrix(self, line: int, name: str, matrix_id: str, matrix: Matrix, sites: float) -> Motif:
        if (matrix >= LEAST).all():
            return Motif(name, matrix_id, matrix)
        if not 1 <= sites <= 1e9:
            self._fail(line, f"made from {sites:g} sites; expected 1 or more")
        return from_counts(name, matrix_id, matrix * sites)

    def _check_width(self, line: int, width: int) -> None:
        if not 1 <= width <= WIDEST:
            self._fail(line, f"a motif of {width} bases; expected 1 to {WIDEST}")

    def _numbers(self, number: int, cells: Sequence[str]) -> list[float]:
        for cell in cells:
            if not NUMBER.fullmatch(cell) or abs(float(cell)) > 1e12:
                self._fail(number, f"{quote(cell)} is not a number that can stand there")
        return [float(cell) for cell in cells]
