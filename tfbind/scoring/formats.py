"""File formats of predictions, by suffix: .csv, .tsv, .bed, .bedgraph, .bw, and .fa with the called sites.

Scores are float32, one per base, and are written so that float32 reads them back exactly. Coordinates are 0-based and
half-open in BED, bedGraph and bigWig. A record whose name gives a place in a genome lies there in those files; every
other one is its own chromosome. A file is written aside and then replaces what was there.
"""

import csv
import io
import itertools
import math
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfbind.dna import (
    Codes,
    Placements,
    bed_name,
    bigwig_writer,
    check_apart,
    decode,
    place_records,
    reverse_complement,
    shorten,
)
from tfbind.metrics import COVERAGE, Bands
from tfbind.motifs import Scan
from tfbind.scoring.model import Scores, Site, lowest_in_sites
from tfbind.scoring.sites import STRETCH, Hit, Matches, find_sites
from tfbind.scoring.target import THRESHOLD, UNKNOWN, ScoreTarget
from tfbind.store import ODD_BYTES, atomic_write, plural, quote

BED_SCALE = 100  # a score of 10 is as dark as a genome browser draws
CHUNK_BASES = 1 << 20
MAX_COLUMNS = 1_000_000
BESIDE = ".about.json"  # ends the name of the file that says where predictions come from
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, eq=False)
class Track:
    """The scores of one record of `length` bases; `read` gives codes and scores from start to end (exclusive).

    `change` gives by how much each of these scores differs between two tiles, as in `Profile`; None where no score
    depends on tiles.
    """

    name: str
    length: int
    read: Callable[[int, int], tuple[Codes, Scores]]
    change: Callable[[int, int], Scores] | None = None

    def codes(self, start: int, end: int) -> Codes:
        """The codes from start to end (exclusive)."""
        return self.read(start, end)[0]

    def chunks(self) -> Iterator[tuple[int, Codes, Scores]]:
        """Start, codes and scores of consecutive chunks of the record."""
        for start in range(0, self.length, CHUNK_BASES):
            yield start, *self.read(start, min(start + CHUNK_BASES, self.length))


@dataclass(frozen=True)
class About:
    """The description of a file of predictions.

    `rule` says how the model scored, `threshold` is the least score of a called site, `changed` names the records
    that were edited on purpose, `target` is what is predicted, `bands` those around its scores.
    """

    model: str
    rule: str = ""
    threshold: float = THRESHOLD
    changed: str = ""
    target: ScoreTarget = UNKNOWN
    bands: Bands | None = None


def track(name: str, codes: Codes, scores: Scores, change: Scores | None = None) -> Track:
    """Make a track of a record in memory.

    Args:
        name: its name.
        codes: (L,).
        scores: (L,).
        change: (L,) as in `Profile`.

    Returns:
        The track.
    """
    read_change = None if change is None else lambda start, end: change[start:end]
    return Track(name, len(codes), lambda start, end: (codes[start:end], scores[start:end]), read_change)


def beside(out: Path) -> Path:
    """The path of the file with the provenance of `out`."""
    return out.with_name(out.name + BESIDE)


@contextmanager
def replaced(out: Path) -> Iterator[Path]:
    """Replace a file as `atomic_write` does, and delete the provenance of the old one."""
    with atomic_write(out) as draft:
        yield draft
        beside(out).unlink(missing_ok=True)


def write(path: Path, tracks: Sequence[Track], about: About) -> None:
    """Write predictions in the format that the suffix of `path` names; an old file is replaced.

    Raises:
        ValueError: another suffix, or predictions that this format cannot hold.
        OSError: the file cannot be written.
    """
    writer = writer_of(path)
    with replaced(path) as draft:
        writer(draft, tracks, about)


def as_bytes(suffix: str, tracks: Sequence[Track], about: About) -> bytes:
    """Encode predictions as the bytes of a file.

    Args:
        suffix: of the file, such as `.bw`.
        tracks: the predictions.
        about: their description.

    Returns:
        The bytes that `write` writes.

    Raises:
        ValueError: as for `write`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"predictions{suffix}"
        write(path, tracks, about)
        return path.read_bytes()


Writer = Callable[[Path, Sequence[Track], About], None]
Lines = Callable[[Sequence[Track], About], Iterator[str]]


def writer_of(path: Path) -> Writer:
    """The writer of the format that the suffix of `path` names.

    Raises:
        ValueError: no format has this suffix.
    """
    suffix = path.suffix.lower()
    if suffix == ".bw":
        return _write_bigwig
    if suffix not in TEXT_FORMATS:
        known = ", ".join([*TEXT_FORMATS, ".bw"])
        raise ValueError(f"no format for files that end in {quote(suffix)}; expected one of {known}")
    lines = TEXT_FORMATS[suffix]

    def write_text(draft: Path, tracks: Sequence[Track], about: About) -> None:
        with draft.open("w", encoding="utf-8", errors=ODD_BYTES, newline="\n") as file:
            file.writelines(lines(tracks, about))

    return write_text


def check(suffix: str, records: Sequence[tuple[str, int]]) -> None:
    """Check that a format can hold some records.

    Args:
        suffix: of the file.
        records: name and length of each.

    Raises:
        ValueError: it cannot, in one line.
    """
    if suffix == ".csv":
        check_columns(records)
    if suffix in (".bedgraph", ".bw"):
        check_apart(records, place_records(records))


# Tables


def check_columns(records: Iterable[tuple[str, int]]) -> int:
    """Check that records, given as name and length, have one length, as a .csv needs, and return it.

    Raises:
        ValueError: two lengths, or more positions than a table can have columns.
    """
    first, length = "", 0
    for name, bases in records:
        first, length = (first, length) if length else (name, bases)
        if bases != length or bases > MAX_COLUMNS:
            record = f"record {shorten(name)}: {plural(bases, 'base')}"
            expected = f"{length:,}, as in {shorten(first)}" if bases != length else f"at most {MAX_COLUMNS:,}"
            message = f"{record}; a .csv has one column for each position"
            raise ValueError(f"{message}: expected {expected}, or a .tsv file")
    return length


def _csv(tracks: Sequence[Track], _about: About) -> Iterator[str]:
    length = check_columns(names_and_lengths(tracks))
    yield ",".join(["window_name", *map(str, range(length))]) + "\n"
    row = ",".join(["%.9g"] * length)
    for track in tracks:
        _, scores = track.read(0, length)
        yield f"{quoted(safe_cell(track.name))},{row % tuple(scores.tolist())}\n"


def safe_cell(name: str) -> str:
    """Escape a name that a spreadsheet would take for a formula."""
    return f"'{name}" if name.startswith(_DANGEROUS) else name


def quoted(cell: str) -> str:
    """Quote a cell of a .csv where it needs that."""
    if not any(sign in cell for sign in ',"\n\r'):
        return cell
    text = io.StringIO()
    csv.writer(text, lineterminator="", quoting=csv.QUOTE_ALL).writerow([cell])
    return text.getvalue()


def _tsv(tracks: Sequence[Track], about: About) -> Iterator[str]:
    tiled = any(track.change for track in tracks)
    column_note = f"; low to high: holds {COVERAGE:.0%} of the true scores" if about.bands else ""
    column_note += (
        "; change: by how much the score differs between the two tiles that a base lies in" if tiled else ""
    )
    yield f"# {about_line(about)}; {coordinates('.tsv', names_and_lengths(tracks))}{column_note}\n"
    columns = [*(["low", "high"] if about.bands else []), *(["change"] if tiled else [])]
    yield "\t".join(["name", "position", "base", "score", *columns]) + "\n"
    for track in tracks:
        name = safe_cell(re.sub(r"[\t\n\r]", " ", track.name))
        for start, codes, scores in track.chunks():
            cells = _change_cells(track, start, start + len(codes)) if tiled else [""] * len(codes)
            if about.bands:
                low, high = (edge.tolist() for edge in about.bands.around(scores, start, track.length))
                cells = [f"\t{a:.4g}\t{b:.4g}{cell}" for a, b, cell in zip(low, high, cells, strict=True)]
            rows = zip(itertools.count(start), decode(codes), scores.tolist(), cells, strict=False)
            yield "".join([f"{name}\t{place}\t{base}\t{score:.9g}{cell}\n" for place, base, score, cell in rows])


def _change_cells(track: Track, start: int, end: int) -> list[str]:
    """The cells of the column `change`, empty where a base lies in one tile only."""
    if track.change is None:
        return ["\t"] * (end - start)
    return ["\t" if math.isnan(change) else f"\t{change:.9g}" for change in track.change(start, end).tolist()]


def _largest_change(tracks: Iterable[Track]) -> float | None:
    """The largest difference of a score between two tiles; None where no base lies in two."""
    largest = [
        float(np.nanmax(change))
        for track in tracks
        if track.change
        for start in range(0, track.length, CHUNK_BASES)
        if not np.isnan(change := track.change(start, min(start + CHUNK_BASES, track.length))).all()
    ]
    return max(largest, default=None)


def facts(suffix: str, tracks: Sequence[Track], about: About) -> dict[str, Any]:
    """Describe a file of predictions for its provenance.

    Args:
        suffix: of the file.
        tracks: the predictions.
        about: their description.

    Returns:
        The description as JSON values.
    """
    return {
        "factor": about.target.factor or None,
        "score_in": about.target.scale,
        "rule": about.rule,
        "coordinates": coordinates(suffix, names_and_lengths(tracks)),
        "threshold": about.threshold,
        "largest_change_between_tiles": _largest_change(tracks),
    } | ({"changed": about.changed} if about.changed else {})


def about_line(about: About) -> str:
    """The description of a file on one line."""
    words = [f"tfbind; model {about.model}", about.target.words, about.rule]
    words += [f"changed: {about.changed}"] if about.changed else []
    return "; ".join(" ".join(word.split()) for word in words if word)


# Places in a genome


def coordinates(suffix: str, records: Sequence[tuple[str, int]]) -> str:
    """Describe the coordinates of a file.

    Args:
        suffix: of the file.
        records: name and length of each.

    Returns:
        How bases are counted, and where in the genome the records lie, in words.
    """
    if suffix == ".csv":
        return "one column for each base of a record, the first is 0"
    if suffix == ".tsv":
        return "position is 0-based within the record"
    return _coordinate_note(place_records(records))


def _coordinate_note(placements: Placements) -> str:
    return "; ".join(filter(None, ("0-based half-open", placements.rule, placements.note)))


def unplaced(suffix: str, records: Sequence[tuple[str, int]]) -> str:
    """A note on records without a place in the genome where others have one; "" if there are none."""
    return "" if suffix in (".csv", ".tsv") else place_records(records).note


def names_and_lengths(tracks: Sequence[Track]) -> list[tuple[str, int]]:
    """Name and length of each track."""
    return [(track.name, track.length) for track in tracks]


class _Placed(NamedTuple):
    """A record along the forward strand of its chromosome, from `start` on."""

    track: Track
    chromosome: str
    start: int


def _placed(tracks: Sequence[Track], placements: Placements) -> list[_Placed]:
    return [
        _Placed(_forward(track) if place.reverse else track, place.chromosome, place.start)
        for track, place in zip(tracks, placements.places, strict=True)
    ]


def _forward(track: Track) -> Track:
    """The track of the reverse complement of a record."""

    def read(start: int, end: int) -> tuple[Codes, Scores]:
        codes, scores = track.read(track.length - end, track.length - start)
        return reverse_complement(codes), scores[::-1]

    return replace(track, read=read, change=None)


def _in_order(tracks: Sequence[Track], placements: Placements) -> list[_Placed]:
    """The records along each chromosome, chromosomes as they first appear.

    Raises:
        ValueError: two records cover the same base.
    """
    check_apart(names_and_lengths(tracks), placements)
    placed = _placed(tracks, placements)
    order = {chromosome: rank for rank, chromosome in reversed(list(enumerate(entry.chromosome for entry in placed)))}
    placed.sort(key=lambda entry: (order[entry.chromosome], entry.start))
    return placed


# Tracks and sites


def _bed(tracks: Sequence[Track], about: About) -> Iterator[str]:
    placements, motif_scan = place_records(names_and_lengths(tracks)), about.target.scan
    placed = _placed(tracks, placements)
    strand = f"strand of the match of {motif_scan.motif.name} (. where none)" if motif_scan else "no strand (.)"
    yield f"# {about_line(about)}; {_coordinate_note(placements)}\n"
    yield f"# sites that score at least {about.threshold:g}: chrom, start (0-based), end (exclusive), record, "
    yield f"score x {BED_SCALE} in 0-1000, {' '.join(strand.split())}, score\n"
    all_matches = _matches([track for track, *_ in placed], motif_scan)
    for (track, chromosome, first), matches in zip(placed, all_matches, strict=True):
        name = bed_name(track.name)
        for site, _ in sites_of(track.chunks(), track.length, about.threshold, matches):
            start, end = first + site.start, first + site.end
            shade = min(max(round(BED_SCALE * site.score), 0), 1000)
            columns = chromosome, start, end, name, shade, site.strand, f"{site.score:.4f}"
            yield "\t".join(map(str, columns)) + "\n"


def _matches(tracks: Sequence[Track], motif_scan: Scan | None) -> Iterator[Matches]:
    for length, group in itertools.groupby(tracks, key=lambda track: track.length):
        while batch := list(itertools.islice(group, max(1, STRETCH // length))):
            yield from Matches.of_several([track.codes for track in batch], length, motif_scan)


def _fasta(tracks: Sequence[Track], about: About) -> Iterator[str]:
    placements, model = place_records(names_and_lengths(tracks)), " ".join(about.model.split())
    all_matches = _matches(tracks, about.target.scan)
    for track, place, matches in zip(tracks, placements.places, all_matches, strict=True):
        for site, codes in sites_of(track.chunks(), track.length, about.threshold, matches):
            start = place.lowest(site.start, site.end, track.length)
            name = f"{place.chromosome}:{start}-{start + len(codes)}{'(-)' if place.reverse else ''}"
            note = f"model={model} coordinates={_coordinate_note(placements)}"
            yield f">{name} score={site.score:.4f} {note}\n{decode(codes)}\n"


def sites_of(
    chunks: Iterable[tuple[int, Codes, Scores]], length: int, threshold: float, matches: Matches
) -> Iterator[tuple[Site, Codes]]:
    """The sites of a record in chunks, each with its codes; a site may span several chunks."""
    open_codes, open_scores, offset = np.empty(0, np.uint8), np.empty(0, np.float32), 0
    for start, codes, scores in chunks:
        open_codes, open_scores = np.concatenate([open_codes, codes]), np.concatenate([open_scores, scores])
        hits = [
            Hit(hit.start - offset, hit.end - offset, hit.strand, hit.score)
            for hit in matches.between(offset, start + len(codes))
        ]
        closed = len(open_scores) if start + len(codes) == length else _closed_bases(open_scores, hits, threshold)
        for site in find_sites(open_scores[:closed], threshold, [hit for hit in hits if hit.end <= closed]):
            yield site.shifted(offset), open_codes[site.start : site.end]
        open_codes, open_scores, offset = open_codes[closed:], open_scores[closed:], offset + closed


def _closed_bases(scores: Scores, hits: Sequence[Hit], threshold: float) -> int:
    """The bases from the start on whose sites do not go on behind them."""
    ends_here = scores < lowest_in_sites(threshold)
    for hit in hits:
        ends_here[hit.start : hit.end - 1] = False
    places = np.flatnonzero(ends_here)
    return int(places[-1]) + 1 if len(places) else 0


def _bedgraph(tracks: Sequence[Track], about: About) -> Iterator[str]:
    placements = place_records(names_and_lengths(tracks))
    placed = _in_order(tracks, placements)
    yield f"# {about_line(about)}; {_coordinate_note(placements)}\n"
    for track, chromosome, offset in placed:
        for start, _, scores in track.chunks():
            rows = enumerate(scores.tolist(), offset + start)
            yield "".join([f"{chromosome}\t{position}\t{position + 1}\t{score:.9g}\n" for position, score in rows])


def _write_bigwig(draft: Path, tracks: Sequence[Track], _about: About) -> None:
    placed = _in_order(tracks, place_records(names_and_lengths(tracks)))
    sizes: dict[str, int] = {}
    for track, chromosome, start in placed:
        sizes[chromosome] = max(sizes.get(chromosome, 0), start + track.length)
    rank = {chromosome: index for index, chromosome in enumerate(bigwig_writer.chromosome_order(sizes))}
    placed.sort(key=lambda entry: (rank[entry.chromosome], entry.start))
    intervals = (
        (entry.chromosome, entry.start + start, scores)
        for entry in placed
        for start, _, scores in entry.track.chunks()
    )
    bigwig_writer.write(draft, sizes, intervals)


TEXT_FORMATS: dict[str, Lines] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".bed": _bed,
    ".bedgraph": _bedgraph,
    ".fa": _fasta,
}
