"""Read motif files: HOMER, MEME (minimal), JASPAR (.jaspar, .pfm), recognised by content; errors name the line.

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

SITES = 20  # assumed of a probability matrix with zeros and without nsites
WIDEST = 200
MIN_PROBABILITY = 1e-9  # less is as good as 0, and its log-odds would need a score histogram too large for memory
MOST_LINES, MOST_LETTERS = 1_000_000, 64 << 20
TOLERANCE = 0.005
NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")

Matrix = NDArray[np.float64]
Lines = Sequence[tuple[int, str]]


@dataclass(frozen=True)
class FileMotif:
    """A motif, and the log-odds threshold in its file (HOMER, natural logarithms), None without one."""

    motif: Motif
    threshold: float | None = None


def get_motif(file_id_or_name: str, name: str | None = None) -> FileMotif:
    """Load a motif from a file, if there is one of that name, else from JASPAR by id or name.

    Args:
        file_id_or_name: a path, an id such as MA0148.5 or a factor's name such as FOXA1.
        name: which motif of a file that holds several.

    Returns:
        The motif, with its file's threshold.

    Raises:
        ValueError: no such motif, or a file that is not one of motifs.
    """
    path = Path(file_id_or_name)
    if path.is_file():
        return choose(read_motifs(path), path, name)
    if "/" in file_id_or_name or path.suffix in (".motif", ".meme", ".jaspar", ".pfm", ".txt"):
        raise ValueError(f"{path}: no such file; expected a motif file (HOMER, MEME or JASPAR)")
    return FileMotif(find_motif(file_id_or_name))


def choose(motifs: Sequence[FileMotif], path: Path, name: str | None) -> FileMotif:
    """The motif of a file by name or id; without a name, its only one.

    Raises:
        ValueError: none or several match.
    """
    matches = [entry for entry in motifs if name in (None, entry.motif.name, entry.motif.matrix_id)]
    if len(matches) != 1:
        names = ", ".join(entry.motif.name or entry.motif.matrix_id for entry in motifs[:10])
        count = f"{len(matches)} motifs" + (f" named {quote(name)}" if name else "")
        raise ValueError(f"{file_label(path)}: {count}; name one of: {names}{', ...' if len(motifs) > 10 else ''}")
    return matches[0]


def read_motifs(path: Path) -> list[FileMotif]:
    """Read every motif of a file.

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
            motifs = list(self._meme())
        elif first.startswith(">"):
            motifs = [self._homer_or_jaspar(header, rows) for header, rows in self._records()]
        elif self._is_row(first):
            motifs = [self._jaspar(self.path.stem, "", self.lines)]
        else:
            self._fail(
                self.lines[0][0],
                f"{quote(first)}; expected '>' and a name (HOMER, JASPAR), 'MEME version' or a row of counts",
            )
        if not motifs:
            raise ValueError(f"{file_label(self.path)}: no motif; expected a line that begins with 'MOTIF'")
        return motifs

    def _fail(self, line: int, problem: str) -> NoReturn:
        raise ValueError(f"{file_label(self.path)}: line {line}: {problem}")

    def _is_row(self, line: str) -> bool:
        cells = re.sub(r"^[ACGT]\b[\s:|]*\[?|\]$", "", line).split()
        return bool(cells) and all(NUMBER.fullmatch(cell) for cell in cells)

    def _records(self) -> Iterator[tuple[tuple[int, str], Lines]]:
        """Headers that begin with '>', each with the lines below it."""
        starts = [place for place, (_, line) in enumerate(self.lines) if line.startswith(">")]
        for start, end in pairwise([*starts, len(self.lines)]):
            yield self.lines[start], self.lines[start + 1 : end]

    def _homer_or_jaspar(self, header: tuple[int, str], rows: Lines) -> FileMotif:
        number, line = header
        if not rows:
            self._fail(number, f"{quote(line)} and no matrix below it")
        words = line[1:].split("\t") if "\t" in line else line[1:].split()
        words = [word.strip() for word in words if word.strip()]
        lettered = rows[0][1][0] in "ACGT"
        if lettered or (len(rows) == 4 and not self._is_homer(rows)):
            return self._jaspar(" ".join(words[1:] or words), words[0] if words else "", rows)
        return self._homer(number, words, rows)

    def _is_homer(self, rows: Lines) -> bool:
        values = [self._numbers(number, line.split()) for number, line in rows]
        return all(len(row) == 4 and abs(sum(row) - 1) <= 2 * TOLERANCE for row in values)

    def _homer(self, number: int, words: list[str], rows: Lines) -> FileMotif:
        name = words[0] if words else ""
        if len(words) > 1:
            name = words[1]
        threshold = self._numbers(number, words[2:3])[0] if len(words) > 2 else None
        return FileMotif(self._probabilities(name.split("/")[0], name, rows, SITES), threshold)

    def _jaspar(self, name: str, matrix_id: str, rows: Lines) -> FileMotif:
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
        fields = {key: self._numbers(at, [value])[0] for key, value in re.findall(r"\b(\w+)\s*=\s*(\S+)", head)}
        if fields.get("alength", 4) != 4:
            self._fail(at, f"alength= {fields['alength']:g}; expected 4")
        rows = []
        for row in lines[heads[0] + 1 :]:
            if not self._is_row(row[1]):
                break
            rows.append(row)
        if not rows:
            self._fail(at, "no matrix below it")
        if len(rows) != fields.get("w", len(rows)):
            self._fail(at, f"{len(rows)} rows of numbers; expected {fields['w']:,.0f}")
        name = " ".join(words[1:]) or words[0]
        return FileMotif(self._probabilities(name, words[0], rows, fields.get("nsites", SITES)))

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
        if (matrix >= MIN_PROBABILITY).all():
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
