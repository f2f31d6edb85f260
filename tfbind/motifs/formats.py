"""Read motif files of MEME and its kin, HOMER, JASPAR, TRANSFAC, HOCOMOCO, CIS-BP, UniPROBE, recognised by content.

The readers are written here because Biopython reads no HOMER files and names no line when something is wrong.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfbind.motifs.jaspar import find_motif
from tfbind.motifs.pwm import Motif, from_counts
from tfbind.store import file_label, plural, quote, read_whole_lines

SITES = 20  # assumed of a probability matrix with zeros and without nsites
WIDEST = 200
MIN_PROBABILITY = 1e-9  # less is as good as 0, and its log-odds would need a score histogram too large for memory
MOST_LINES, MOST_LETTERS = 1_000_000, 64 << 20
TOLERANCE, MOST_OFF = 0.005, 0.02  # of the sum of probabilities from 1: as it is written, and scaled
MOST_NAMED = 3
FORMATS = "MEME, HOMER, JASPAR, TRANSFAC, CIS-BP or UniPROBE"
NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")

_MEME = re.compile(r"MEME version|letter-probability matrix", re.IGNORECASE)
_SEPARATORS = re.compile(r"[\s,;|:\[\]\"]+")
_HEAD = re.compile(
    r"(?:P[0O]|pos(?:ition)?|\"\")?[\s,;]*([ACGTU])[\s,;]+([ACGTU])[\s,;]+([ACGTU])[\s,;]+([ACGTU])", re.I
)
_KEY = re.compile(r"(AC|ID|NA|DE|TF Name|TF|Motif)[ \t]+(\S.*)")  # of TRANSFAC, STAMP and CIS-BP
_OTHER_KEY = re.compile(r"[B-Z][A-Z](?:\s.*)?|(?:Gene|Family|Species)\t.*")
_CONSENSUS = re.compile(r"[ACGTRYSWKMBDHVN]+", re.I)

Matrix = NDArray[np.float64]
Lines = Sequence[tuple[int, str]]


@dataclass(frozen=True)
class FileMotif:
    """A motif, the log-odds threshold in its file (HOMER, natural logarithms), None without one, and notes on what
    was changed in reading it and on motifs of the file that cannot be used."""

    motif: Motif
    threshold: float | None = None
    notes: tuple[str, ...] = ()


@dataclass
class _Entry:
    """A motif as it stands in a file.

    `words` are those of its title; `bases` the heads of the columns, "" where nothing says that rows are positions;
    `rows` have their line, label and cells; `problem` says why it cannot be used, as far as that is known.
    """

    line: int
    title: str = ""
    words: list[str] = field(default_factory=list)
    bases: str = ""
    indexed: bool = False
    sites: float = SITES
    probabilities: bool = False
    rows: list[tuple[int, str, list[str]]] = field(default_factory=list)
    problem: str = ""


class _Unusable(ValueError):
    """Why a motif cannot be used, at a line."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line, self.problem = line, problem


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
        raise ValueError(f"{path}: no such file; expected a motif file ({FORMATS})")
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
    """Read every motif of a file that can be used; the notes of each name the others.

    Probabilities are taken as they are written, or scaled where the sum of a column is off by 0.005 to 0.02. A matrix
    of probabilities with a zero (or less than 1e-9) is read as counts of its `nsites` (20 where that is not said);
    counts get one pseudocount per column, shared by the four bases.

    Raises:
        ValueError: one line: the file, the line, what is there and what was expected.
    """
    lines = _lines(path)
    is_meme = any(_MEME.match(line) for _, line in lines)
    motifs, problems = [], []
    for entry in _meme(path, lines) if is_meme else _entries(lines, path.stem):
        try:
            motifs.append(_motif(entry))
        except _Unusable as error:
            problems.append(str(error))
    if not motifs:
        rest = f" (none of {len(problems):,} motifs can be used)" if problems[1:] else ""
        raise ValueError(f"{file_label(path)}: {problems[0] if problems else f'no motif; expected {FORMATS}'}{rest}")
    if not problems:
        return motifs
    note = f"{plural(len(problems), 'motif')} of {file_label(path)} passed over: {'; '.join(problems[:MOST_NAMED])}"
    note += "; ..." if problems[MOST_NAMED:] else ""
    return [replace(entry, notes=(*entry.notes, note)) for entry in motifs]


def _lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a file with their numbers, without blank ones and comments."""
    lines, letters = [], 0
    pieces = read_whole_lines(path, f"expected a motif file ({FORMATS})")
    for number, raw in enumerate((line for piece in pieces for line in piece.split(b"\n")[:-1]), start=1):
        line = raw.decode("ascii", "backslashreplace").strip()
        letters += len(line)
        if number > MOST_LINES or letters > MOST_LETTERS:
            raise ValueError(f"{file_label(path)}: line {number}: too much for a file of motifs; expected {FORMATS}")
        if line and not line.startswith("#"):
            lines.append((number, line))
    return lines


def _entries(lines: Lines, stem: str) -> Iterator[_Entry]:
    """The motifs of a file that is not MEME's; one without a name is called `stem`."""
    entry = _Entry(lines[0][0] if lines else 0)
    for number, line in lines:
        key, head = _KEY.fullmatch(line), _HEAD.fullmatch(line.replace('"', ""))
        cells = None if key or head else _row(entry, line)
        if entry.rows and cells is None and (head or key or not _OTHER_KEY.fullmatch(line)):
            yield entry
            entry = _Entry(number)
        if line.startswith((">", "//")) and entry.title:
            yield entry
            entry = _Entry(number)
        if line.startswith(">"):
            words = line[1:].split("\t") if "\t" in line else line[1:].split()
            entry = _Entry(number, line, [word.strip() for word in words if word.strip()])
        elif key:
            entry.words = _key_words(entry.words, key[1], key[2].strip())
            entry.title, entry.bases, entry.indexed = entry.title or line, "ACGT", True
        elif head:
            entry.bases = "".join(head.groups()).upper().replace("U", "T")
            entry.indexed |= not line.upper().startswith(head[1].upper())
        elif cells is not None:
            entry.rows.append((number, *cells))
        elif not (entry.title or line.startswith("//") or _OTHER_KEY.fullmatch(line)):
            name = re.sub(r"^(?:Protein|Gene):\s*", "", line).split("\t")[0]
            entry.line, entry.title, entry.words = number, line, [name]
    if entry.rows or entry.title or entry.bases:
        entry.words = entry.words or [stem]
        yield entry


def _key_words(words: list[str], key: str, value: str) -> list[str]:
    """The words of a title, id and name, with those of one more line of TRANSFAC or CIS-BP."""
    if key in ("NA", "TF Name"):
        return [*words[:1], value]
    return [value, *words[1:]] if key == "Motif" else [*words, *value.split("\t")]


def _row(entry: _Entry, line: str) -> tuple[str, list[str]] | None:
    """The label and the cells of a row of a matrix, None where a line is something else."""
    cells = [cell for cell in _SEPARATORS.split(line) if cell]
    labelled = entry.indexed or (entry.bases and len(cells) == 5)
    label = cells.pop(0) if cells and (labelled or (len(cells[0]) == 1 and cells[0].isalpha())) else ""
    if entry.indexed and cells[4:] and cells[-1].isalpha():  # the consensus of TRANSFAC
        cells.pop()
    numbers = sum(NUMBER.fullmatch(cell) is not None for cell in cells)
    named = not label and cells and cells[0][0].isalpha() and cells[0].isalnum() and cells[0].lower() != "nan"
    return None if 2 * numbers < len(cells) or not cells or named else (label, cells)


def _meme(path: Path, lines: Lines) -> Iterator[_Entry]:
    """The motifs of MEME, STREME and DREME, as minimal format or as whole report."""
    for number, line in lines:
        if line.upper().startswith("ALPHABET") and not re.search(r"ACG[TU]\b|[DR]NA", line.upper()):
            raise ValueError(f"{file_label(path)}: line {number}: {quote(line)}; expected ALPHABET= ACGT")
    starts = [place for place, (_, line) in enumerate(lines) if re.match(r"MOTIF\b", line)]
    for start, end in pairwise([*starts, len(lines)]):
        try:
            entry = _meme_entry(lines[start:end])
        except _Unusable as error:
            entry = _Entry(error.line, problem=error.problem)
        yield entry


def _meme_entry(lines: Lines) -> _Entry:
    number, title = lines[0]
    words = re.split(r"\s+width\s*=", title)[0].split()[1:]
    entry = _Entry(
        number, title, words[:1] + ([" ".join(words[1:])] if words[1:] else []), "ACGT", probabilities=True
    )
    heads = [place for place, (_, line) in enumerate(lines) if line.startswith("letter-probability matrix")]
    if not words:
        entry.problem = "a motif without a name; expected MOTIF and its name"
    elif len(heads) != 1:
        entry.problem = f"{len(heads)} matrices of {quote(words[0])}; expected one letter-probability matrix"
    if entry.problem:
        return entry
    entry.line, head = lines[heads[0]]
    fields = dict(re.findall(r"\b(alength|w|nsites)\s*=\s*(\S+)", head))
    for at, row in lines[heads[0] + 1 :]:
        cells = _row(entry, row)
        if cells is None:
            break
        entry.rows.append((at, *cells))
    (entry.sites,) = _numbers(entry.line, [fields.get("nsites", str(SITES))])
    for key, expected in (("alength", 4), ("w", len(entry.rows))):
        (value,) = _numbers(entry.line, [fields.get(key, str(expected))])
        if value != expected:
            entry.problem = (
                f"alength= {value:g}; expected 4"
                if key == "alength"
                else f"{expected} rows of numbers; expected {value:,.0f}"
            )
    return entry


def _motif(entry: _Entry) -> FileMotif:
    """The motif of an entry.

    Raises:
        _Unusable: it has none that can be used.
    """
    if entry.problem:
        raise _Unusable(entry.line, entry.problem)
    if not entry.rows:
        is_name = entry.title.startswith(">") or entry.indexed or entry.bases
        advice = " and no matrix below it" if is_name else f"; expected '>' and a name, or a matrix ({FORMATS})"
        raise _Unusable(entry.line, f"{quote(entry.title or entry.bases)}{advice}")
    rows = [_numbers(line, cells) for line, _, cells in entry.rows]
    labels = "".join(label for _, label, _ in entry.rows).upper().replace("U", "T")
    across, notes = (True, ()) if entry.bases else _orientation(entry, labels, rows)
    for (line, _, _), row in zip(entry.rows, rows, strict=True):
        if len(row) != (4 if across else len(rows[0])):
            expected = "4, of A, C, G and T" if across else f"{len(rows[0])}, as in the first row"
            raise _Unusable(line, f"{len(row)} {'numbers' if across else 'counts'}; expected {expected}")
        if min(row) < 0:
            raise _Unusable(line, "a number below 0; expected counts or probabilities, which log-odds are not")
    order = entry.bases or (labels if sorted(labels) == sorted("ACGT") and not across else "ACGT")
    matrix = (np.array(rows).T if across else np.array(rows))[[order.index(base) for base in "ACGT"]]
    if not 1 <= matrix.shape[1] <= WIDEST:
        raise _Unusable(entry.rows[0][0], f"a motif of {matrix.shape[1]} bases; expected 1 to {WIDEST}")
    name, matrix_id, threshold = _named(entry, across)
    motif, scaling = _from_matrix(entry, name, matrix_id, matrix, across)
    return FileMotif(motif, threshold, (*notes, *scaling))


def _orientation(entry: _Entry, labels: str, rows: list[list[float]]) -> tuple[bool, tuple[str, ...]]:
    """Whether the rows of a matrix are positions, not bases, and a note where that is told by their sums."""
    square = len(rows) == 4 and all(len(row) == 4 for row in rows)
    if labels.isalpha() and len(labels) == len(rows):
        sums_to_one = all(len(row) == 4 and abs(sum(row) - 1) <= MOST_OFF for row in rows)
        if sorted(labels) == sorted("ACGT"):
            return square and sums_to_one and not _is_level(zip(*rows, strict=True)), ()
        if len(rows) != 4 or sums_to_one:
            return True, ()  # ENCODE begins each position with its consensus
        for (line, label, _), base in zip(entry.rows, "ACGT", strict=True):
            if label.upper() != base:
                raise _Unusable(line, f"a row of {quote(label)}; expected the row of {base}")
    if not square:
        return len(rows) != 4, ()
    level, level_columns = _is_level(rows), _is_level(zip(*rows, strict=True))
    homer = entry.title.startswith(">") and all(abs(sum(row) - 1) <= MOST_OFF for row in rows)
    across = level and (homer or not level_columns)
    if level == level_columns:
        return across, (f"four rows of four numbers, read as {'positions' if across else 'A, C, G and T'}",)
    return across, ("its rows are positions, as their sums tell",) if across else ()


def _is_level(rows: Iterable[Sequence[float]]) -> bool:
    """Whether all rows have one sum, but for rounding."""
    sums = [sum(row) for row in rows]
    return max(sums) - min(sums) <= MOST_OFF * max(sums)


def _named(entry: _Entry, across: bool) -> tuple[str, str, float | None]:
    """Name, id and threshold of a motif, by its title."""
    words = entry.words
    if not entry.title.startswith(">"):
        name = next(iter(words[1:2] or words), f"line {entry.line}")
        return name, words[0] if entry.title and words else "", None
    numeric = across and len(words) > 2 and NUMBER.fullmatch(words[2])
    if numeric or (across and words and _CONSENSUS.fullmatch(words[0])):  # HOMER
        name = words[1] if len(words) > 1 else words[0]
        return name.split("/")[0], name, float(words[2]) if numeric else None
    return " ".join(words[1:] or words), words[0] if words else "", None


def _from_matrix(
    entry: _Entry, name: str, matrix_id: str, matrix: Matrix, across: bool
) -> tuple[Motif, tuple[str, ...]]:
    """The motif of counts or probabilities (4, W), and a note where they were scaled."""
    sums, line = matrix.sum(axis=0), entry.rows[0][0]
    if not sums.all():
        raise _Unusable(
            line, f"column {int(sums.argmin()) + 1} holds no count; expected one of A, C, G or T at least"
        )
    off = np.abs(sums - 1)
    notes: tuple[str, ...] = ()
    if TOLERANCE < off.max() <= MOST_OFF:
        matrix, notes = (
            matrix / sums,
            (f"probabilities that sum to {sums.min():g} to {sums.max():g} are scaled to 1",),
        )
    elif off.max() > MOST_OFF:
        if entry.probabilities or (matrix.max() <= 1 and (matrix % 1).any()):
            column = int(off.argmax())
            line = entry.rows[column][0] if across else line
            raise _Unusable(line, f"probabilities that sum to {sums[column]:g}; expected 1")
        return from_counts(name, matrix_id, matrix), ()
    if (matrix >= MIN_PROBABILITY).all():
        return Motif(name, matrix_id, matrix), notes
    if not 1 <= entry.sites <= 1e9:
        raise _Unusable(line, f"made from {entry.sites:g} sites; expected 1 or more")
    return from_counts(name, matrix_id, matrix * entry.sites), notes


def _numbers(line: int, cells: Sequence[str]) -> list[float]:
    for cell in cells:
        if not NUMBER.fullmatch(cell) or abs(float(cell)) > 1e12:
            raise _Unusable(line, f"{quote(cell)} is not a number that can stand there")
    return [float(cell) for cell in cells]
