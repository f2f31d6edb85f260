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
from tfbind.fasta_stream import contigs
from tfbind.history import local
from tfbind.motif_files import read_motifs
from tfbind.pairs import read_pair
from tfbind.records import Record, read_pieces, read_records
from tfbind.regions import read_regions
from tfbind.runs import Run
from tfbind.sequences import encode
from tfbind.sweep_folder import EXAMPLE
from tfbind.sweep_spec import parse_spec
from tfbind.variants import parse_change, read_with_variants
from tfbind.vcf import read_calls


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


SWEEPS = [
    EXAMPLE.read_bytes(),
    b"method: bayes\nmetric: {name: val_pearsonr, goal: maximize}\nrun_cap: 20\nparameters:\n"
    b"  learning_rate: {distribution: log_uniform_values, min: 1e-5, max: 0.1}\n"
    b"  num_res_blocks: {min: 1, max: 4}\n  norm: {values: [layer, batch]}\n"
    b"early_terminate: {type: hyperband, min_iter: 2, eta: 3}\n",
]
MOTIFS = [
    b">TGTTTAC\tFOXA1/test\t6.3\n0.1\t0.1\t0.1\t0.7\n0.01\t0.01\t0.97\t0.01\n0.25\t0.25\t0.25\t0.25\n",
    b"MEME version 4\n\nALPHABET= ACGT\n\nMOTIF M1 FOXA1\nletter-probability matrix: alength= 4 w= 2 nsites= 20\n"
    b" 0.1 0.2 0.3 0.4\n 0.7 0.1 0.1 0.1\n",
    b">MA0148.5\tFOXA1\nA [ 10 0 3 ]\nC [ 1 20 3 ]\nG [ 1 0 3 ]\nT [ 8 0 11 ]\n",
    b"10 0 3\n1 20 3\n1 0 3\n8 0 11\n",
]
VCF = (
    b"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    b"chr1\t10\trs1\tA\tG,T\t.\tPASS\t.\nchr1\t12\t.\tAC\tA\t9\t.\tX=1\nchr2\t7\t.\tG\t<DEL>\t.\t.\t.\n"
)
BRACKETS = [b"ACGTACGTACGT[A/G]TTTACGT", b">a [x/y]\nACG[-/TT]TACG\n>b\nGG[C/]A\n", b"WT: ACGT\nMut: AC[G/A]T\n"]
BED = [
    b"track name=x\nchr1\t10\t400\tpeak1\t5\t+\n# a remark\nchr2\t0\t17\n",
    b"chr1\t100\t500\tp\t0\t.\t1.5\t2\t3\t120\nchr1\t900\t950\tq\t0\t.\t1\t2\t3\t-1\n",
]
CHANGES = [b"12 A>G", b"chr1:105 C>T", b"chr1:103-104 GT>G"]
PLACED = Record("chr1:100-119", encode("ACGTACGTACGTACGTACGT"), [])


def _read_by(reader: Callable[[Path], object]) -> Callable[[bytes, Path], object]:
    """A reader of files, from a file."""

    def read(data: bytes, folder: Path) -> object:
        path = folder / "input"
        path.write_bytes(data)
        return reader(path)

    return read


def _sweep(data: bytes, _: Path) -> object:
    return parse_spec(data.decode(errors="replace"))


def _change(data: bytes, _: Path) -> object:
    return parse_change(data.decode(errors="replace"), [PLACED])


def _brackets(data: bytes, _: Path) -> object:
    text = data.decode(errors="replace")
    return [read_with_variants(text, 100, 10_000, repair) for repair in (True, False)]


def _genome(path: Path) -> object:
    return [(name, sum(map(len, pieces))) for name, pieces in contigs(path)]


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
    (run.folder / runs.PROGRESS).write_text(
        '{"epoch": 2, "num_epochs": 3, "batches": 4, "batches_per_epoch": 5, "windows_per_second": 9.5, '
        '"seconds_left": null, "cores": 1.5, "memory": 10}'
    )
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
    Parser("sweep", SWEEPS, _sweep),
    Parser("motifs", [*MOTIFS, gzip.compress(MOTIFS[1], mtime=0)], _read_by(read_motifs)),
    Parser("vcf", [VCF, gzip.compress(VCF, mtime=0)], _read_by(lambda path: list(read_calls(path)))),
    Parser("bed", BED, _read_by(read_regions)),
    Parser("genome", [FASTA, gzip.compress(FASTA, mtime=0)], _read_by(_genome)),
    Parser("change", CHANGES, _change),
    Parser("pasted", [FASTA, GENBANK, LETTERS, TABLE, gzip.compress(FASTA, mtime=0)], lambda d, _: read_records(d)),
    Parser("brackets", BRACKETS, _brackets),
    Parser("pieces", [FASTA, TABLE, LETTERS, gzip.compress(FASTA, mtime=0)], _pieces),
    Parser("sequences", [TABLE, gzip.compress(TABLE, mtime=0)], _sequences),
    Parser("scores", [score_table().encode(), gzip.compress(score_table().encode(), mtime=0)], _scores),
    *(
        # A state that cannot be read is an answer: the run has crashed.
        Parser(f"run-{name}", [content], _run_with(name), refuses=name != runs.STATE)
        for name, content in sorted(_run_files().items())
    ),
]
