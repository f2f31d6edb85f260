"""Bgzip files that were cut between two blocks, in whatever reader; whole ones, and what else is gzip."""

import gzip
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from stand_in import make_pair
from zipped import bgzip

from tfbind.__main__ import main
from tfbind.dna.fasta import Genome, contigs, keep_fasta
from tfbind.dna.parser import assemble_records, read_chunks, read_records
from tfbind.dna.regions import read_regions
from tfbind.motifs.formats import read_motifs
from tfbind.store.tsv import END_MARKER, decompress, is_bgzip, read_whole_lines
from tfbind.variants.parse import read_lines, read_list

FASTA = b"".join(b">chr%d\n%s\n" % (number, b"ACGTTGCA" * 5) for number in range(1, 9))
VCF = b"##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\n" + b"chr1\t2\t.\tC\tT\n" * 30
BED = b"chr1\t10\t20\n" * 30
MOTIFS = b">MA1 one\nA [1 2]\nC [1 2]\nG [1 2]\nT [1 2]\n" * 5
SAID = "stops before its end marker"


def read_all(path: Path, content: bytes, read) -> list:
    path.write_bytes(content)
    return list(read(path))


def of_bytes(read):
    return lambda path: read(path.read_bytes())


def kept(path: Path) -> list[bytes]:
    with path.open("rb") as stream:
        return [keep_fasta(stream, path.parent / "kept").read_bytes()]


READERS = {
    "pieces of FASTA": (FASTA, of_bytes(lambda raw: assemble_records(read_chunks(io.BytesIO(raw))))),
    "records": (FASTA, of_bytes(read_records)),
    "one pass over a genome": (FASTA, lambda path: [name for name, pieces in contigs(path) if list(pieces)]),
    "a genome from the middle": (FASTA, lambda path: Genome(path, path.parent / "cache").lengths),
    "a genome that was uploaded": (FASTA, kept),
    "a list of variants": (VCF, of_bytes(lambda raw: read_list(raw).calls)),
    "lines of variants": (VCF, read_lines),
    "regions": (BED, read_regions),
    "motifs": (MOTIFS, read_motifs),
    "tables": (BED, lambda path: [b"".join(read_whole_lines(path))]),
}


@pytest.mark.parametrize("kind", READERS)
def test_a_bgzip_file_cut_between_blocks_is_refused_by_every_reader(tmp_path, kind):
    content, read = READERS[kind]
    whole = bgzip(content, 64)
    cuts = [match.start() for match in re.finditer(re.escape(END_MARKER[:16]), whole)][1:]
    assert read_all(tmp_path / "x.gz", whole, read)
    assert gzip.decompress(whole[: cuts[-1]]) == content  # nothing else tells
    for at in (cuts[-1], cuts[1], cuts[-1] + 9, len(whole) - 1):
        with pytest.raises(ValueError, match=SAID) as caught:
            read_all(tmp_path / "x.gz", whole[:at], read)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("kind", [kind for kind in READERS if kind != "a genome from the middle"])
def test_gzip_in_several_members_and_bgzip_joined_to_bgzip_are_whole(tmp_path, kind):
    content, read = READERS[kind]
    first, second = content[:100], content[100:]
    expected = str(read_all(tmp_path / "x.gz", content, read))
    for joined in (gzip.compress(first) + gzip.compress(second), bgzip(first) + bgzip(second)):
        assert str(read_all(tmp_path / "x.gz", joined, read)) == expected


WRITTEN = {
    "Windows line ends": lambda text: text.replace(b"\n", b"\r\n"),
    "line ends of an old Mac": lambda text: text.replace(b"\n", b"\r"),
    "a byte order mark": lambda text: b"\xef\xbb\xbf" + text,
    "UTF-16": lambda text: text.decode().encode("utf-16"),
    "UTF-16 as on a Mac": lambda text: b"\xfe\xff" + text.replace(b"\n", b"\r").decode().encode("utf-16-be"),
    "UTF-16 without a mark": lambda text: text.decode().encode("utf-16-le"),
    "empty lines before and behind": lambda text: text.replace(b"\n", b"\n\n") + b"\n\n",
}


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bgzip], ids=["plain", "gzip", "bgzip"])
@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("kind", [kind for kind in READERS if kind != "a genome from the middle"])
def test_a_text_is_the_same_whoever_wrote_it(tmp_path, kind, written, pack):
    content, read = READERS[kind]
    same = [str(read_all(tmp_path / "x", pack(text), read)) for text in (content, WRITTEN[written](content))]
    if written.startswith("empty lines"):
        same = [re.sub(r"line=\d+|\\n *|b''", "", text) for text in same]
    assert same[0] == same[1]


def test_an_end_marker_alone_is_an_empty_file(tmp_path):
    assert bgzip(b"") == END_MARKER
    with decompress(io.BytesIO(END_MARKER)) as stream:
        assert stream.read() == b""
    with pytest.raises(ValueError, match=r"x\.gz: no region"):
        read_all(tmp_path / "x.gz", END_MARKER, read_regions)


def test_bgzip_is_told_by_its_subfield_also_behind_another_one():
    behind = END_MARKER[:10] + b"\x0c\0" + b"XX\x02\0ab" + END_MARKER[12:18] + END_MARKER[18:]
    assert is_bgzip(END_MARKER)
    assert is_bgzip(behind)
    for other in (gzip.compress(b"a"), END_MARKER[:10], END_MARKER[:14], b"", b"ACGT" * 9):
        assert not is_bgzip(other)
    with pytest.raises(EOFError, match=SAID):
        decompress(io.BytesIO(behind[:-1]))


@pytest.mark.parametrize("cut", [0, len(END_MARKER)])
def test_a_stream_that_cannot_be_read_from_the_middle_is_judged_at_its_end(cut):
    content = bgzip(FASTA, 64)
    receiving, sending = os.pipe()
    os.write(sending, content[: len(content) - cut])
    os.close(sending)
    with os.fdopen(receiving, "rb") as pipe:
        stream = decompress(pipe)
        if not cut:
            assert stream.read() == FASTA
            return
        with pytest.raises(EOFError, match=SAID):
            stream.read()


def test_every_command_that_reads_gzip_refuses_one_that_was_cut(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TFBIND_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    sequences, scores = make_pair(tmp_path)
    files = {"g.fa": FASTA, "v.vcf": VCF, "m.jaspar": MOTIFS[:43]}
    files |= {"s.txt": sequences.read_bytes(), "c.txt": scores.read_bytes()}
    for name, content in files.items():
        (tmp_path / f"{name}.gz").write_bytes(bgzip(content, 500)[: -len(END_MARKER)])
        (tmp_path / name).write_bytes(content)
    for words in (
        "predict --model builtin --data g.fa.gz --out p.bed",
        "predict --model builtin --data s.txt.gz --out p.csv",
        "variants --model builtin --data v.vcf.gz --fasta g.fa --out e.tsv",
        "variants --model builtin --data v.vcf.gz --fasta g.fa --out e.tsv --keep-going",
        "variants --model builtin --data v.vcf --fasta g.fa.gz --out e.tsv",
        "data build own --genome g.fa.gz --motif FOXA1",
        "data build own --genome g.fa --motif m.jaspar.gz --threshold 0.1 --length 10",
        "data import --name a --sequences s.txt.gz --scores c.txt",
        "data import --name a --sequences s.txt --scores c.txt.gz",
    ):
        assert main(words.split()) == 2, words
        said = capsys.readouterr().err
        assert SAID in said, words
        assert said.count("\n") == 1
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".csv", ".tsv", ".bed", ".parts")]
    command = [sys.executable, "-m", "tfbind", *f"predict --model builtin --data - --out {tmp_path}/p.bed".split()]
    packed = (tmp_path / "g.fa.gz").read_bytes()
    done = subprocess.run(command, input=packed, capture_output=True, cwd=Path(__file__).parents[2])
    assert (done.returncode, SAID in done.stderr.decode()) == (2, True)
