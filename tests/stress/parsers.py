"""What reads a user's file, each with valid files to begin from."""

import gzip
import io
import shutil
import struct
import sys
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import pybigtools
import torch
from kept_parsers import TAKE_ALL, kept
from pair_files import score_table, sequence_table, write_pair
from safetensors.numpy import save
from toy import toy_config, toy_home
from zipped import bgzip

from tfbind.cli.compare import read_keys
from tfbind.data.dataset import ARRAYS, META, open_validated
from tfbind.data.pairs import read_pair
from tfbind.dna import bigwig
from tfbind.dna.codes import encode
from tfbind.dna.fasta import Genome, contigs
from tfbind.dna.parser import Record, read_chunks, read_records
from tfbind.dna.regions import read_regions
from tfbind.motifs.formats import read_motifs
from tfbind.nn.model import build_model
from tfbind.nn.weights import convert, pack_weights
from tfbind.runs import folder as runs, summary
from tfbind.runs.folder import Run
from tfbind.runs.record import pack_validation, read_run_record, read_validation
from tfbind.scoring.model import load_weights
from tfbind.sweeps.spec import parse_spec
from tfbind.sweeps.sweep_folder import EXAMPLE
from tfbind.tracking import cache
from tfbind.tracking.client import WandbError
from tfbind.tracking.pull import import_offline
from tfbind.variants.parse import parse_changes, read_lines, read_list, read_with_variants

SLOW, BY_PROCESS = 2_500, 20  # mutants of what takes a millisecond each, and of what takes a process each


@dataclass(frozen=True)
class Parser:
    """`read(data, folder)` reads `data`, through a file in `folder` where the reader wants one.

    At most `most` mutants are tried, each in so many `seconds`.
    """

    name: str
    valid: list[bytes]
    read: Callable[[bytes, Path], object]
    refuses: bool = True
    most: int = 10_000
    seconds: float = 5.0


FASTA = b">chr1:100-120 a gene\nACGTNNacgtuRY\nGATTACA\n\n>second\r\nTGTTTACTTTG\r\n"
GENBANK = b"LOCUS       X1  24 bp DNA\nORIGIN\n        1 gatcctccat atacaacggt\n       21 acgt\n//\n"
EMBL = b"ID   X1; SV 1; linear; DNA; STD; SYN; 12 BP.\nSQ   Sequence 12 BP;\n     gatcctccat ac    12\n//\n"
LETTERS = b"ACGTACGTACGTACGTTGTTTAC\nGGGACCATATAT\n"
OLIGOS = [b"Fwd: 5'-ACGTTGCA-3'\nRev: 5'-GGGTAC-3'\n", b'name,sequence\n"first, of two",ACGTTT\nsecond,GGAC\n']
TABLE = sequence_table().encode()
PASTED = [FASTA, GENBANK, EMBL, LETTERS, *OLIGOS, TABLE]

SWEEPS = [
    EXAMPLE.read_bytes(),
    b"method: bayes\nmetric: {name: val_pearsonr, goal: maximize}\nrun_cap: 20\nparameters:\n"
    b"  learning_rate: {distribution: log_uniform_values, min: 1e-5, max: 0.1}\n"
    b"  num_res_blocks: {min: 1, max: 4}\n  norm: {values: [layer, batch]}\n"
    b"early_terminate: {type: hyperband, min_iter: 2, eta: 3}\n",
    b'{"method": "random", "run_cap": 3, "parameters": {"learning_rate": {"min": 0.001, "max": 0.1}, '
    b'"norm": {"value": "batch"}}}',
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
LISTS = [
    b"chr1:10 A>G\nchr1:103-104 GT>G\nrs12\n",
    b"chrom\tpos\tid\tref\talt\nchr1\t10\trs1\tA\tG\nchr1\t12\t.\tAC\tA\n",
]
TABLE_OF_RUNS = b'key,name,learning_rate,val_loss\r\nlocal:toy,"toy, lr 0.01",0.01,0.5\r\nlocal:other,\'=x,0.1,\r\n'
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
    return parse_changes(data.decode(errors="replace"), [PLACED])


def _brackets(data: bytes, _: Path) -> object:
    text = data.decode(errors="replace")
    return [read_with_variants(text, 100, 10_000, repair) for repair in (True, False)]


def _genome(path: Path) -> object:
    return [(name, sum(map(len, pieces))) for name, pieces in contigs(path)]


def _pieces(data: bytes, folder: Path) -> object:
    path = folder / "dna.fa"
    path.write_bytes(data)
    with path.open("rb") as stream:
        return list(read_chunks(stream))


def _sequences(data: bytes, folder: Path) -> object:
    return read_pair(*write_pair(folder, sequences=data))


def _scores(data: bytes, folder: Path) -> object:
    return read_pair(*write_pair(folder, scores=data))


def _variants(data: bytes, folder: Path) -> object:
    path = folder / "list.txt"
    path.write_bytes(data)
    return read_list(data, ["chr1"]), list(read_lines(path))


def _genome_beside(data: bytes, folder: Path) -> object:
    """A genome by the index beside it."""
    path = folder / "g.fa"
    path.write_bytes(GENOME)
    path.with_name("g.fa.fai").write_bytes(data)
    return _all_of(Genome(path, folder / "cache"))


def _genome_packed(data: bytes, folder: Path) -> object:
    path = folder / "g.fa.gz"
    path.write_bytes(data)
    try:
        return _all_of(Genome(path, folder / "cache"))
    finally:
        shutil.rmtree(folder / "cache", ignore_errors=True)


def _all_of(genome: Genome) -> object:
    return [len(genome.codes(contig, 0, length)) for contig, length in genome.lengths.items()]


GENOME = b">chr1 first\nACGT\nTTGC\nAN\n>chr2\nGGGA\n"
INDEX = b"chr1\t10\t12\t4\t5\nchr2\t4\t31\t4\t5\n"


def _pulled_with(file: str) -> Callable[[bytes, Path], object]:
    """What is kept of W&B, with other content in one of its files."""

    def read(data: bytes, folder: Path) -> object:
        if not (folder / "wandb").exists():
            _keep_pulled(folder)
        (path,) = (folder / "wandb").rglob(file)
        was = path.read_bytes()
        path.write_bytes(data)
        try:
            return cache.stored_runs(folder)
        finally:
            path.write_bytes(was)

    return read


def _keep_pulled(home: Path) -> None:
    facts = {"id": "p1", "name": "theirs", "state": "finished", "config": {"lr": 0.01}, "summary": {"val_loss": 0.5}}
    facts |= {"sweep": None, "group": "", "tags": ["t"], "note": "", "created": "2026-01-01T00:00:00Z"}
    project = cache.offline_project(home, "pulled")
    project = cache.save_offline_run(project, facts, [{"epoch": 1, "val_loss": 0.9}, {"epoch": 2, "val_loss": 0.5}])
    cache.save_names(project, {"lr": "learning_rate"})


def _pulled_files() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        _keep_pulled(Path(name))
        found = {path.name: path.read_bytes() for path in (Path(name) / "wandb").rglob("*.json")}
    return {"history.json" if name[0] in "0123456789abcdef" else name: content for name, content in found.items()}


def _data_with(file: str) -> Callable[[bytes, Path], object]:
    """A data set with other content in one of its files."""

    def read(data: bytes, folder: Path) -> object:
        home = folder / "home" if (folder / "home").exists() else toy_home(folder)
        path = home / "data" / "toy" / file
        was = path.read_bytes()
        path.write_bytes(data)
        try:
            return open_validated(home, "toy")
        finally:
            path.write_bytes(was)

    return read


def _data_files() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        home = toy_home(Path(name))
        return {file: (home / "data" / "toy" / file).read_bytes() for file in (META, *ARRAYS)}


def _held_out() -> bytes:
    figures = np.array([0.25, 0.5], np.float32)
    return pack_validation(np.array([3, 7]), np.zeros((2, 20), np.float32), figures, figures)


def _weights() -> list[bytes]:
    """Weights of a small network as this project writes them, and as others do: without a hash of themselves."""
    model = build_model(toy_config(num_channels=4, num_res_blocks=1, norm="batch"), 20)
    return [pack_weights(model, {}), save({name: value.numpy() for name, value in model.state_dict().items()})]


def _state_dict() -> bytes:
    packed = io.BytesIO()
    torch.save(build_model(toy_config(num_channels=4, num_res_blocks=1), 20).state_dict(), packed)
    return packed.getvalue()


def _torch(data: bytes, folder: Path) -> None:
    """What the process does that reads weights."""
    (folder / "w.pt").write_bytes(data)
    convert(folder / "w.pt", folder / "w.safetensors")


def _signal(data: bytes, folder: Path) -> object:
    path = folder / "s.bw"
    path.write_bytes(data)
    found = bigwig.chromosomes(path)
    inside = [(name, 0) for name, bases in found.items() if bases >= 10]
    return bigwig.values(path, inside[:3], 10, path.with_suffix(".f32")) if inside else None


def _bigwig() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.bw"
        sizes = {f"chromosome_{number:03}": 100 for number in range(200)}
        values = [(name, 0, 10, 1.5) for name in sizes]
        pybigtools.open(str(path), "w").write(sizes, values)
        return path.read_bytes()


# The settings, two epochs and the end of an offline run, as W&B's client packs them.
OFFLINE = (
    b'\x08\x01\x8a\x01\x1a\n\x03abc\x1a\x01p"\r\n\x0b\n\x02lr\x82\x01\x040.01B\x01n',
    b"\x08\x02\x12\x1f\n\x0b\n\x05epoch\x82\x01\x011\n\x10\n\x08val_loss\x82\x01\x031.5",
    b"\x08\x03\x12 \n\x0b\n\x05epoch\x82\x01\x012\n\x11\n\x08val_loss\x82\x01\x040.75",
    b"\x08\x04\x92\x01\x00",
)
BETWEEN = b"\n--\n"


def _log(*records: bytes) -> bytes:
    """Records as a `.wandb` file: LevelDB's format, each with its checksum."""
    framed = (struct.pack("<IHB", zlib.crc32(b"\x01" + one), len(one) & 0xFFFF, 1) + one for one in records)
    return b":W&B" + struct.pack("<HB", 0xBEE1, 0) + b"".join(framed)


def _offline(data: bytes, folder: Path) -> object:
    (folder / "run.wandb").write_bytes(data)
    try:
        return import_offline(folder / "home", folder / "run.wandb")
    except WandbError as error:  # which is one of the system to others
        raise ValueError(str(error)) from None


def _run_with(file: str) -> Callable[[bytes, Path], object]:
    def read(data: bytes, folder: Path) -> object:
        run = Run(folder / "runs" / "toy")
        if not run.folder.exists():
            run = _make_run(folder)
        was = (run.folder / file).read_bytes()
        (run.folder / file).write_bytes(data)
        try:
            run.status()
            return summary(run), runs.read_progress(run), read_run_record(run), runs.read_config(run)
        finally:
            (run.folder / file).write_bytes(was)

    return read


def _make_run(folder: Path) -> Run:
    run = runs.create(folder, toy_config(), id="toy", facts={"sweep": None, "dataset_hash": "0" * 64})
    for row in ROWS:
        runs.append_row(run, row)
    run.set_state("finished", started=1.0, ended=2.0, device="cpu")
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
    with tempfile.TemporaryDirectory() as name:
        run = _make_run(Path(name))
        return {path.name: path.read_bytes() for path in run.folder.iterdir()}


def _kept() -> list[tuple[str, bytes, Callable[[bytes, Path], object]]]:
    with tempfile.TemporaryDirectory() as name:
        return kept(Path(name))


PARSERS = [
    Parser("sweep", SWEEPS, _sweep),
    Parser("motifs", [*MOTIFS, gzip.compress(MOTIFS[1], mtime=0)], _read_by(read_motifs)),
    Parser("vcf", [VCF, gzip.compress(VCF, mtime=0)], _read_by(lambda path: list(read_lines(path)))),
    Parser("bed", BED, _read_by(read_regions)),
    Parser("genome", [FASTA, gzip.compress(FASTA, mtime=0)], _read_by(_genome)),
    Parser("change", CHANGES, _change),
    Parser("pasted", [*PASTED, gzip.compress(FASTA, mtime=0)], lambda data, _: read_records(data)),
    Parser("brackets", BRACKETS, _brackets),
    Parser("pieces", [FASTA, TABLE, LETTERS, gzip.compress(FASTA, mtime=0)], _pieces),
    Parser("sequences", [TABLE, gzip.compress(TABLE, mtime=0)], _sequences),
    Parser("scores", [score_table().encode(), gzip.compress(score_table().encode(), mtime=0)], _scores),
    *(
        # A state that cannot be read is an answer: the run has crashed.
        Parser(f"run-{name}", [content], _run_with(name), refuses=name != runs.STATE)
        for name, content in sorted(_run_files().items())
    ),
    Parser("variants", [VCF, *LISTS, gzip.compress(VCF, mtime=0)], _variants),
    Parser("index", [INDEX], _genome_beside, most=SLOW),
    Parser("bgzip", [bgzip(GENOME)], _genome_packed),
    Parser("table-of-runs", [TABLE_OF_RUNS], _read_by(read_keys)),
    Parser("weights", _weights(), _read_by(load_weights)),
    Parser("torch", [_state_dict()], _torch, most=SLOW),
    Parser("held-out", [_held_out()], _read_by(lambda path: read_validation(path, 8, 20))),
    *(Parser(f"data-{name}", [content], _data_with(name), most=SLOW) for name, content in _data_files().items()),
    *(
        Parser(f"pulled-{name}", [content], _pulled_with(name.replace("history", "histories/*")), most=SLOW)
        for name, content in sorted(_pulled_files().items())
    ),
    *(Parser(name, [content], read, refuses=name not in TAKE_ALL, most=SLOW) for name, content, read in _kept()),
    Parser("bigwig", [_bigwig()], _signal, most=2 * BY_PROCESS, seconds=60),
    Parser("offline", [_log(*OFFLINE)], _offline, most=BY_PROCESS, seconds=60),
    Parser(
        "offline-records",
        [BETWEEN.join(OFFLINE)],
        lambda data, folder: _offline(_log(*data.split(BETWEEN)), folder),
        most=BY_PROCESS,
        seconds=60,
    ),
]
