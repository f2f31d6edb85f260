"""Small files that unpack to very many lines, or to very long ones: read or refused soon, in memory that others can
spare."""

import contextlib
import gzip
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from tfbind.config import PROJECT
from tfbind.dna.parser import read_chunks
from tfbind.motifs.formats import read_motifs
from tfbind.variants.parse import read_lines, read_list, read_with_variants

SECONDS, MEGABYTES = 120, 2_500

READ = {
    "motifs": "from tfbind.motifs.formats import read_motifs; read_motifs(path)",
    "variants": "from tfbind.variants.parse import read_list; read_list(path.read_bytes())",
    "dna": "from tfbind.dna.parser import read_chunks; list(read_chunks(path.open('rb')))",
}
PROGRAM = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_DATA, ({bytes}, {bytes}))
path = Path(sys.argv[1])
try:
    {read}
except ValueError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only there the limit counts all memory")
@pytest.mark.parametrize(
    ("reader", "line", "megabytes", "said"),
    [
        ("motifs", b"0.25\t0.25\t0.25\t0.25\n", 1000, "bomb: line 1000001: too much for a file of motifs"),
        ("variants", b"##\n", 250, "no variant in it"),
        ("dna", b"AC\n", 250, "over 5,000,000 lines and not FASTA; expected FASTA for so many"),
    ],
)
def test_very_many_lines_are_refused_in_little_memory(
    reader: str, line: bytes, megabytes: int, said: str, tmp_path: Path
) -> None:
    (tmp_path / "bomb").write_bytes(gzip.compress(line * (10_000_000 // len(line))) * (megabytes // 10))
    program = PROGRAM.format(bytes=MEGABYTES << 20, read=READ[reader])
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "bomb")],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.stderr == ""
    (answer,) = done.stdout.splitlines()
    assert answer.startswith(said)


@pytest.mark.parametrize(
    ("header", "line", "copies"),
    [
        (b"", b"ACGT" * 2_500 + b"\n", 2.2),  # the text, and its lines
        (b"window_name\tsequence\n", b"w\t" + b"ACGT" * 2_500 + b"\n", 2.2),  # the text as it came, and stripped
        (b"window_name,sequence\n", b"w," + b"ACGT" * 2_500 + b"\n", 3.2),  # the text, its lines, and these joined
    ],
    ids=["lines", "table", "commas"],
)
def test_dna_that_is_not_fasta_is_held_few_times(header: bytes, line: bytes, copies: float, tmp_path: Path) -> None:
    (tmp_path / "dna.txt").write_bytes(header + line * 4_000)
    with (tmp_path / "dna.txt").open("rb") as file:
        tracemalloc.start()
        bases = sum(len(piece.codes) for piece in read_chunks(file))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert bases == 40_000_000
    assert most < copies * bases


LONG = 40_000
VCF = b"##fileformat=VCFv4.2\nchr1\t1\t.\t"
MATRIX = b"\n0.1 0.2 0.3 0.4\n"


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (read_motifs, b"1" * LONG + b"x\n"),
        (lambda path: list(read_lines(path)), VCF + b"A" * (1 << 18) + b"\t" + b",".join([b"G"] * 50_000) + b"\n"),
        (read_motifs, b"MEME version 4\nMOTIF a\nletter-probability matrix: " + b"w" * LONG + MATRIX),
        (lambda path: read_list(path.read_bytes()), (b"1A" + b" " * 9_000 + b"!\n") * 30),
        (lambda path: read_with_variants(path.read_text(), 100, 10**6), b"ACGT[A/" + b" " * LONG),
        (lambda path: read_with_variants(path.read_text(), 100, 10**6), b"ACGT[" + b" " * LONG),
    ],
    ids=["number", "alleles", "head of a matrix", "changes", "open bracket", "brackets"],
)
def test_a_long_line_takes_no_longer_than_its_length(
    read: Callable[[Path], object], text: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "long.txt"
    path.write_bytes(text)
    begun = time.process_time()
    with contextlib.suppress(ValueError):
        read(path)
    assert time.process_time() - begun < 2
