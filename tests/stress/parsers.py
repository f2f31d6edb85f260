"""What reads a user's file, each with valid files to begin from."""

import gzip
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from pair_files import score_table, sequence_table, write_pair
from toy import toy_config

from tfbind import runs
from tfbind.history import local
from tfbind.pairs import read_pair
from tfbind.records import read_pieces, read_records
from tfbind.runs import Run


@dataclass(frozen=True)
class Parser:
    """`read(data, folder)` reads `data`, through a file in `folder` where the reader wants one."""

    name: str
    valid: list[bytes]
    read: Callable[[bytes, Path], object]
    refuses: bool = True


FASTA = b">chr1:100-120 a gene\nACGTNNacgtuRY\nGATTACA\n\n>second\r\nTGTTTACTTTG\r\n"
GENBANK = b"LOCUS       X1  24 bp DNA\nORIGIN\n        1 gatcctccat atacaacggt\n       21 acgt\n//\n"
LETTERS = b"ACGTACGTACGTACGTTGTTTAC\nGGGACCATATAT\n"
TABLE = sequence_table().encode()


def _pieces(data: bytes, folder: Path) -> object:
    path = folder / "dna.fa"
    path.write_bytes(data)
    with path.open("rb") as stream:
        return list(read_pieces(stream))


def _sequences(data: bytes, folder: Path) -> object:
    return read_pair(*write_pair(folder, sequences=data))


def _scores(data: bytes, folder: Path) -> object:
    return read_pair(*write_pair(folder, scores=data))


def _run_with(file: str) -> Callable[[bytes, Path], object]:
    def read(data: bytes, folder: Path) -> object:
        run = Run(folder / "runs" / "toy")
        if not run.folder.exists():
            run = _make_run(folder)
        was = (run.folder / file).read_bytes()
        (run.folder / file).write_bytes(data)
        try:
            runs.read_status(run)
            return runs.summary(run), runs.read_progress(run), local(run), runs.read_config(run)
        finally:
            (run.folder / file).write_bytes(was)

    return read


def _make_run(folder: Path) -> Run:
    run = runs.create(folder, toy_config(), id="toy", facts={"sweep": None, "dataset_hash": "0" * 64})
    for row in ROWS:
        runs.append_row(run, row)
    runs.take_over(run, "finished", started=1.0, ended=2.0, device="cpu")
    (run.folder / runs.PROGRESS).write_text('{"epoch": 2, "num_epochs": 3, "batches": 4, "batches_per_epoch": 5}')
    return run


ROWS = [
    {
        "epoch": epoch,
        "train_loss": 2.0 / epoch,
        "val_loss": 1.5 / epoch,
        "val_pearsonr": 0.5,
        "val_pearsonr_window": None,
        "val_windows_undefined": 3,
        "learning_rate": 0.01,
        "seconds": 0.25,
        "windows_per_second": 100.0,
    }
    for epoch in (1, 2, 3)
]


def _run_files() -> dict[str, bytes]:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        run = _make_run(Path(name))
        return {path.name: path.read_bytes() for path in run.folder.iterdir()}


PARSERS = [
    Parser("pasted", [FASTA, GENBANK, LETTERS, TABLE, gzip.compress(FASTA, mtime=0)], lambda d, _: read_records(d)),
    Parser("pieces", [FASTA, TABLE, LETTERS, gzip.compress(FASTA, mtime=0)], _pieces),
    Parser("sequences", [TABLE, gzip.compress(TABLE, mtime=0)], _sequences),
    Parser("scores", [score_table().encode(), gzip.compress(score_table().encode(), mtime=0)], _scores),
    *(
        # A state that cannot be read is an answer: the run has crashed.
        Parser(f"run-{name}", [content], _run_with(name), refuses=name != runs.STATE)
        for name, content in sorted(_run_files().items())
    ),
]
