"""A genome read from the middle, with no index, a good one, and ones that lie."""

import gzip
import os

import numpy as np
import pytest
from zipped import bgzip

from tfbind.dna import fasta
from tfbind.dna.codes import decode
from tfbind.dna.fasta import Genome

TEXT = b">chr1 first of two\nACGT\nTtgc\nAN\n>chr2\nGGGA"
CONTIGS = {"chr1": "ACGTTTGCAN", "chr2": "GGGA"}


def contigs(path) -> dict[str, str]:
    """All that a genome holds, by an index kept beside its folder."""
    opened = Genome(path, path.parent.parent / "cache")
    return {name: decode(opened.codes(name, 0, length)) for name, length in opened.lengths.items()}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "genomes").mkdir()
    return tmp_path / "genomes"


@pytest.mark.parametrize("text", [TEXT, TEXT + b"\n\n", TEXT.replace(b"\n", b"\r\n")])
def test_contigs_are_read_whatever_the_line_ends_and_nothing_is_written_beside_them(folder, text):
    (folder / "g.fa").write_bytes(text)
    for _ in range(2):
        assert contigs(folder / "g.fa") == CONTIGS
    assert [path.name for path in folder.iterdir()] == ["g.fa"]
    assert len(list((folder.parent / "cache").glob("*.fai"))) == 1


def test_a_bgzip_file_is_read_from_the_middle(folder):
    (folder / "g.fa.gz").write_bytes(bgzip(TEXT))
    assert gzip.decompress(bgzip(TEXT)) == TEXT
    assert contigs(folder / "g.fa.gz") == CONTIGS == contigs(folder / "g.fa.gz")


def test_any_stretch_is_that_of_the_contig_across_the_blocks_that_are_read(folder):
    random = np.random.default_rng(0)
    codes = random.integers(0, 5, 2 * fasta.CACHE_BLOCK + 12_345, dtype=np.uint8)
    letters = decode(codes)
    lines = "\n".join(letters[start : start + 61] for start in range(0, len(letters), 61))
    (folder / "g.fa").write_text(f">a\nACGT\n>b\n{lines}\n")
    opened = Genome(folder / "g.fa", folder.parent / "cache")
    edges = [
        0,
        1,
        fasta.CACHE_BLOCK - 1,
        fasta.CACHE_BLOCK,
        fasta.CACHE_BLOCK + 1,
        2 * fasta.CACHE_BLOCK,
        len(codes) - 1,
        len(codes),
    ]
    for start in edges:
        for end in (edge for edge in edges if edge > start):
            assert np.array_equal(opened.codes("b", start, end), codes[start:end])
        assert len(opened.codes("b", start, start)) == 0


INDEX = "chr1\t10\t19\t4\t5\nchr2\t4\t38\t4\t5\n"
# An index beside the file that must not be believed, though it is newer.
LIES = {
    "empty": "",
    "no index": "nonsense\n",
    "letters for numbers": "chr1\tx\t19\t4\t5\n",
    "too long": INDEX.replace("chr2\t4", "chr2\t400"),
    "line ends of exabytes": INDEX.replace("38\t4\t5", "38\t4\t5999999999999999999"),
    "below zero": INDEX.replace("\t19\t", "\t-19\t"),
}


def test_an_index_beside_the_file_that_fits_is_used(folder):
    (folder / "g.fa").write_bytes(TEXT)
    (folder / "g.fa.fai").write_text(INDEX)
    assert contigs(folder / "g.fa") == CONTIGS
    assert not (folder.parent / "cache").exists()


@pytest.mark.parametrize("lie", LIES)
def test_an_index_beside_the_file_that_cannot_be_of_the_file_is_not_believed(folder, lie):
    (folder / "g.fa").write_bytes(TEXT)
    (folder / "g.fa.fai").write_text(LIES[lie])
    assert contigs(folder / "g.fa") == CONTIGS
    assert (folder / "g.fa.fai").read_text() == LIES[lie]


def test_an_index_older_than_its_file_is_stale_here_and_in_the_cache(folder):
    path, index = folder / "g.fa", folder / "g.fa.fai"
    path.write_bytes(TEXT)
    assert contigs(path) == CONTIGS
    index.write_text(INDEX)
    path.write_bytes(TEXT.replace(b"GGGA", b"GGGACC"))
    os.utime(index, ns=(0, path.stat().st_mtime_ns - 1))
    assert contigs(path) == {**CONTIGS, "chr2": "GGGACC"}


REFUSED = {
    "nothing": (b"", "not readable as FASTA"),
    "no header": (b"ACGT\n", "not readable as FASTA: Unexpected text before the first"),
    "lines of different lengths": (b">a\nAC\nACGT\nA\n", "not readable as FASTA: Line length"),
    "two contigs of one name": (b">a\nACG\n>a\nAC\n", 'not readable as FASTA: Duplicate key "a"'),
    "binary": (bytes(range(256)), "not readable as FASTA"),
    "a protein": (b">a\nMKVLEFIPQ\n", "record a: letter 'L' at position 4 (1-based); this looks like a protein"),
    "blanks": (b">a\nAC GT\nACGTT\n", "a, positions 1 to 10: 9 letters; expected lines of letters without blanks"),
    "gzip": (gzip.compress(TEXT), "gzip, which cannot be read from the middle; `gunzip -k g.fa.gz` makes"),
    "half a bgzip file": (bgzip(TEXT)[:100], "damaged, or not completely copied"),
    "a bgzip file with a hole": (bgzip(TEXT)[:70] + bytes(8) + bgzip(TEXT)[78:], "damaged, or not completely copied"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_genome_is_refused_in_one_line_and_leaves_no_index(folder, what):
    content, said = REFUSED[what]
    path = folder / ("g.fa.gz" if content.startswith(b"\x1f") else "g.fa")
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r".") as caught:
        contigs(path)
    assert said in str(caught.value)
    assert str(caught.value).isprintable()
    assert [path.name for path in folder.iterdir()] == [path.name]
    assert not list((folder.parent / "cache").glob(".*"))


def test_a_file_that_is_not_there_is_said(folder):
    with pytest.raises(ValueError, match=r"none\.fa: no such file; expected a FASTA file"):
        contigs(folder / "none.fa")


@pytest.mark.parametrize(("name", "pack"), [("g.fa", bytes), ("g.fa.gz", bgzip)])
def test_a_line_that_memory_should_not_hold_is_refused_before_an_index_is_made(folder, monkeypatch, name, pack):
    monkeypatch.setattr(fasta, "CHUNK", 8)
    monkeypatch.setattr(fasta, "LONGEST_LINE", 20)
    (folder / name).write_bytes(pack(b">chr1\n" + b"ACGTACGTACGTACGTACGT\n" * 5))
    assert contigs(folder / name) == {"chr1": "ACGT" * 25}
    (folder / name).write_bytes(pack(b">chr1\n" + b"ACGT" * 25))
    with pytest.raises(ValueError, match=rf"{name}: not readable as FASTA: a line of over 0 MB$"):
        contigs(folder / name)
