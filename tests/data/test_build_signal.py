"""Data sets built from a genome, a bigWig and regions, held against arrays that were written into the files."""

import gzip
import re
import struct
import tracemalloc
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pybigtools
import pytest
from hypothesis import given, strategies as st

from tfbind.data.build import SignalRule, SignalSources, build_signal, remarks
from tfbind.data.dataset import Windows, list_datasets
from tfbind.dna import bigwig, regions
from tfbind.dna.regions import Region, random_windows, read_regions

SIZES = {"chr1": 5000, "chr2": 3000}
GENOME = {name: "".join(np.random.default_rng(size).choice(list("ACGT"), size)) for name, size in SIZES.items()}
# Every base has its own value, but the first 100 of chr1 have none.
SIGNAL = {name: np.random.default_rng(size + 1).random(size, dtype=np.float32) * 50 for name, size in SIZES.items()}
BARE = 100
RULE = SignalRule(length=100)


def sources(
    folder: Path, regions: str, genome: dict[str, str] = GENOME, sizes: dict[str, int] = SIZES
) -> SignalSources:
    found = SignalSources(folder / "genome.fa.gz", folder / "signal.bw", folder / "regions.bed")
    text = "".join(f">{name}\n{letters}\n" for name, letters in genome.items())
    found.genome.write_bytes(gzip.compress(text.encode()))
    rows = [
        (name, at, at + 1, float(SIGNAL[name][at]))
        for name, size in sizes.items()
        for at in range(BARE if name == "chr1" else 0, size)
    ]
    pybigtools.open(str(found.signal), "w").write(sizes, iter(rows))
    found.regions.write_text(regions)
    return found


def built(folder: Path, regions: str, rule: SignalRule = RULE, **files: dict[str, str]) -> Windows:
    return build_signal(folder / "home", "own", sources(folder, regions, **files), rule)


def check(data: Windows, places: list[tuple[str, int]], length: int = 100) -> None:
    """These windows, each with the letters of the genome and the values that the bigWig was given."""
    assert data.names.tolist() == [f"{name}_{start}_{start + length - 1}".encode() for name, start in places]
    for (name, start), codes, scores in zip(places, data.codes, data.scores, strict=True):
        assert "".join("ACGT"[code] for code in codes) == GENOME[name][start : start + length]
        expected = SIGNAL[name][start : start + length].copy()
        expected[: max(0, BARE - start) if name == "chr1" else 0] = 0
        np.testing.assert_array_equal(scores, expected)


def test_windows_lie_around_middles_and_carry_the_signal_of_each_base(tmp_path: Path) -> None:
    data = built(tmp_path, "# c\ntrack name=x\nchr2\t1000\t1101\n\nchr1\t400\t500\tpeak\nchr1\t60\t70\n")
    check(data, [("chr1", 15), ("chr1", 400), ("chr2", 1000)])
    assert data.meta["origin"]["left_out"]["bases without a value, counted 0"] == 85


def test_summits_of_a_narrowpeak_are_the_middles(tmp_path: Path) -> None:
    line = "chr1\t1000\t1400\tp\t0\t.\t1\t1\t1"
    check(built(tmp_path, f"{line}\t20\n{line}\t-1\n"), [("chr1", 970), ("chr1", 1150)])


def test_windows_over_an_end_and_repeats_are_left_out_and_counted(tmp_path: Path) -> None:
    data = built(tmp_path, "chr1\t0\t20\nchr1\t4980\t5000\nchr2\t500\t600\nchr2\t510\t590\nchrX\t5\t9\n")
    check(data, [("chr2", 500)])
    left_out = data.meta["origin"]["left_out"]
    assert left_out["over an end, or the same window again"] == 3
    assert left_out["on chromosomes without signal"] == 1


def test_log1p_is_stated_and_applied(tmp_path: Path) -> None:
    data = built(tmp_path, "chr2\t1000\t1100\n", SignalRule(length=100, transform="log1p"))
    np.testing.assert_allclose(data.scores[0], np.log1p(SIGNAL["chr2"][1000:1100]), rtol=1e-6)
    assert data.meta["origin"]["transform"] == "log1p"


def test_names_with_and_without_chr_are_matched_and_it_is_said(tmp_path: Path) -> None:
    bare = {name.removeprefix("chr"): letters for name, letters in GENOME.items()}
    data = built(tmp_path, "1\t1000\t1100\nchr2\t1000\t1100\n", genome=bare)
    assert data.names.tolist() == [b"1_1000_1099", b"2_1000_1099"]
    assert data.meta["origin"]["renamed"] == [
        "1 of regions.bed is chr1 of signal.bw",
        "chr1 of signal.bw is 1 of genome.fa.gz",
        "chr2 of signal.bw is 2 of genome.fa.gz",
    ]


def test_random_windows_keep_away_from_regions_and_from_each_other(tmp_path: Path) -> None:
    data = built(tmp_path, "chr1\t1000\t1300\nchr2\t700\t720\n", SignalRule(length=100, random=20, seed=3))
    places = [name.decode().split("_") for name in data.names.tolist()]
    spans = sorted((chromosome, int(start), int(end)) for chromosome, start, end in places)
    assert len(spans) == 22
    for (name, _, end), (other, start, _) in pairwise(spans):
        assert name != other or end < start
    drawn = [span for span in spans if span not in (("chr1", 1100, 1199), ("chr2", 660, 759))]
    assert len(drawn) == 20
    assert not [span for span in drawn if span[0] == "chr1" and span[1] < 1300 and span[2] >= 1000]
    again = build_signal(
        tmp_path / "home",
        "again",
        sources(tmp_path, "chr1\t1000\t1300\nchr2\t700\t720\n"),
        SignalRule(length=100, random=20, seed=3),
    )
    assert again.hash == data.hash


def test_random_windows_lie_on_chromosomes_of_the_genome_that_have_regions(tmp_path: Path) -> None:
    """Of three chromosomes with signal one has no region, and one that has some is not in the genome."""
    more, regions = SIZES | {"chr3": 9000}, "chr1\t1000\t1300\nchr3\t1000\t1300\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SIGNAL, "chr3", np.ones(9000, np.float32))
        data = built(tmp_path, regions, SignalRule(length=100, random=10), sizes=more)
    assert {name.split(b"_")[0] for name in data.names.tolist()} == {b"chr1"}
    left_out = data.meta["origin"]["left_out"]
    assert len(data) == 11
    assert left_out["on chromosomes that genome.fa.gz lacks"] == 1
    assert not left_out["random windows without a free place"]


def test_random_windows_without_a_free_place_are_counted(tmp_path: Path) -> None:
    data = built(tmp_path, "chr2\t1000\t1300\n", SignalRule(length=100, random=300))
    missing = data.meta["origin"]["left_out"]["random windows without a free place"]
    assert 270 < missing == 301 - len(data)
    assert f"left out: {missing} random windows without a free place" in remarks(data.meta["origin"])


def test_the_share_that_is_told_rises_over_both_readings_of_the_genome(tmp_path: Path) -> None:
    told: list[float] = []
    build_signal(tmp_path / "home", "own", sources(tmp_path, REGION), SignalRule(length=100, random=5), told.append)
    assert told == sorted(told)
    assert told[-1] == 1


@given(st.integers(0, 12), st.integers(5, 40), st.integers(0, 99))
def test_there_are_as_many_random_windows_as_there_is_room_for(count: int, length: int, seed: int) -> None:
    found = random_windows({"chr1": [(100, 120)]}, {"chr1": 220, "chr2": 3}, count, length, seed)
    starts = found.get("chr1", [])
    assert len(starts) <= count
    assert all(start + length <= 100 or start >= 120 for start in starts)
    assert all(b - a >= length for a, b in pairwise(starts))
    assert length > 10 or count > 2 or len(starts) == count


REGION = "chr1\t1000\t1100\n"


@pytest.mark.parametrize(
    ("regions", "rule", "said"),
    [
        ("chr1\t4000\t5001\n", {}, "line 1: chr1:4000-5001 reaches past the end of chr1, which has 5,000 bases"),
        ("chr9\t1\t2\n", {}, "regions.bed and signal.bw have no chromosome in common: chr9 against chr1, chr2"),
        ("chr1 x\n", {}, "regions.bed: line 1: 'chr1 x'; expected BED"),
        ("\nchr1\tx\t9\n", {}, "line 2: start 'x'; expected a whole number"),
        ("chr1\t9\t9\n", {}, "line 1: chr1:9-9 is empty; expected start < end"),
        ("chr1\t9\t8\n", {}, "line 1: chr1:9-8 ends before it starts; expected start < end"),
        ("chr1\t9\t8\n" * 4 + REGION * 9, {}, "expected start < end (4 of 13 lines cannot be used)"),
        ("chr1\t4000\t5001\n" * 4 + REGION * 9, {}, "as 4 of 13 regions do: made for another assembly?"),
        ("chr1\t9\t9999999999999\n", {}, "line 1: end '9999999999999'; no chromosome is that long"),
        (
            "track type=narrowPeak\nchr1\t1000\t1400\tp\t0\t.\t1\t1\t1\t400\n",
            {},
            "a summit '400' bases from the start; expected less",
        ),
        ("", {}, "regions.bed"),
        ("# nothing\n", {}, "no region; expected BED"),
        (REGION, {"length": 5}, "windows of 5 bases; expected 10 to 100,000"),
        (REGION, {"random": -1}, "-1 random windows"),
        ("chr1\t50\t150\n", {"missing": "refuse"}, "signal.bw: chr1:50 (0-based) has no value"),
        ("chr1\t0\t20\n", {}, "no window without an N lies in genome.fa.gz; left out: 1 over an end"),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_line(
    tmp_path: Path, regions: str, rule: dict[str, int], said: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        built(tmp_path, regions, replace(SignalRule(length=100), **rule))  # type: ignore[arg-type]
    assert str(caught.value).isprintable()
    assert list_datasets(tmp_path / "home") == []


def test_another_assembly_is_seen_by_its_lengths(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"chr1 has 4,999 bases in genome.fa.gz and 5,000 in signal.bw"):
        built(tmp_path, REGION, genome=GENOME | {"chr1": GENOME["chr1"][1:]})


def test_another_assembly_is_seen_before_random_windows_are_drawn(tmp_path: Path) -> None:
    """Else a claim of four billion bases would make lists of that size."""
    found = sources(tmp_path, REGION, genome=GENOME | {"chr1": GENOME["chr1"][1:]})
    told: list[float] = []
    with pytest.raises(ValueError, match=r"chr1 has 4,999 bases in genome.fa.gz and 5,000 in signal.bw"):
        build_signal(tmp_path / "home", "own", found, SignalRule(length=100, random=5), told.append)
    assert max(told) <= 0.5


def test_regions_of_whole_chromosomes_take_little_memory() -> None:
    tracemalloc.start()
    assert random_windows({"chr1": [(0, 30_000_000)]}, {"chr1": 30_000_000}, 1, 10, 0) == {}
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 10_000_000


@pytest.mark.timeout(120)
@pytest.mark.parametrize("children", [1, 2])
def test_an_index_that_goes_round_in_circles_is_refused(tmp_path: Path, children: int) -> None:
    found = sources(tmp_path, REGION)
    content = found.signal.read_bytes()
    (index,) = struct.unpack_from("<Q", content, 24)
    place = index + 48
    node = struct.pack("<BxH", 0, children) + struct.pack("<4IQ", 0, 0, 1, 5000, place) * children
    found.signal.write_bytes(content[:place] + node + content[place + len(node) :])
    with pytest.raises(ValueError, match=r"signal.bw.*not a readable bigWig file, or a damaged one"):
        build_signal(tmp_path / "home", "own", found, SignalRule(length=100))


def test_a_reader_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bigwig, "SECONDS", 0.01)
    with pytest.raises(OSError, match=r"signal.bw: reading it took over 0.01 s and was ended"):
        built(tmp_path, REGION)


@pytest.mark.parametrize("damage", [b"", b"chr1\t1\t2\t3\n", None])
def test_a_file_that_is_no_bigwig_or_is_cut_is_refused(tmp_path: Path, damage: bytes | None) -> None:
    found = sources(tmp_path, REGION)
    found.signal.write_bytes(found.signal.read_bytes()[:3000] if damage is None else damage)
    with pytest.raises(ValueError, match=r"signal.bw.*not a readable bigWig file, or a damaged one"):
        build_signal(tmp_path / "home", "own", found, SignalRule(length=100))


def test_infinite_and_undefined_values_are_told_by_their_place(tmp_path: Path) -> None:
    found = sources(tmp_path, REGION)
    rows = [("chr1", at, at + 1, float("inf") if at == 1042 else -2.0 if at == 1043 else 1.0) for at in range(2000)]
    pybigtools.open(str(found.signal), "w").write(SIZES, iter(rows))
    with pytest.raises(ValueError, match=r"chr1:1042 \(0-based\) is not finite"):
        build_signal(tmp_path / "home", "own", found, SignalRule(length=100))
    found.regions.write_text("chr1\t1050\t1130\n")
    with pytest.raises(ValueError, match=r"chr1:1043 \(0-based\) is -1 or below, which has no log1p"):
        build_signal(tmp_path / "home", "own", found, SignalRule(length=94, transform="log1p"))


def test_regions_are_read_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "r.bed"
    path.write_text("browser x\n\nchr1 5 10\r\nchr2\t0\t1\tname\n")
    assert read_regions(path) == ([Region("chr1", 5, 10, 7, 3), Region("chr2", 0, 1, 0, 4)], [])


def test_very_many_lines_are_no_file_of_regions_also_where_they_hold_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regions, "MAX_LINES", 3)
    path = tmp_path / "r.bed"
    path.write_text("#\n" * 2 + "chr1\t5\t10\n")
    assert len(read_regions(path).regions) == 1
    path.write_text("#\n" * 4)
    with pytest.raises(ValueError, match=r"^r.bed: over 3 lines; expected fewer regions$"):
        read_regions(path)


NARROW = "chr1\t100\t300\tpeak1\t500\t.\t12.5\t30.1\t-1\t50\n"
GENES = "chr1\t100\t300\tgene\t0\t+\t100\t200\t0\t2\n"  # thick from 100 to 200, and a column of somebody's
MACS = "# MACS version 2\n\nchr\tstart\tend\tlength\tabs_summit\tpileup\nchr1\t101\t300\t200\t151\t10\n"


@pytest.mark.parametrize(
    ("name", "text", "middle", "note"),
    [
        ("x.bed", NARROW, 150, "read as narrowPeak"),
        ("x.bed", GENES, 200, "ten columns that are not those of narrowPeak"),
        ("x.bed", NARROW.replace("12.5", "ENSG1"), 200, "ten columns that are not those of narrowPeak"),
        ("x.bed", NARROW.replace("\t50\n", "\t200\n"), 200, "ten columns that are not those of narrowPeak"),
        ("x.narrowPeak.gz", NARROW.replace("12.5", "NA?"), 150, "read as narrowPeak"),
        ("x.bed", f"track type=narrowPeak\n{GENES}", 102, "read as narrowPeak"),
        (
            "x.bed",
            NARROW * 9 + NARROW.replace("\t50\n", "\t200\n"),
            150,
            "1 line passed over, the first: line 10: a summit '200'",
        ),
        ("x.bed", GENES.replace("\t2\n", "\t2,\t0,\n"), 200, ""),  # eleven columns
        ("x_peaks.xls", MACS, 150, "counts from 1"),
        ("x.bed", "chrom\tstart\tend\nchr1\t100\t300\n", 200, ""),
        ("x.bed", "chrom,start,end\nchr1,100,300\n", 200, ""),
        ("x.bed", 'chr1\t1e+02\t300.0\t"x"\n', 200, ""),  # as R writes
        (
            "x.bed",
            "chr1\t100\t300\n" * 9 + "chr1\t5\t5\n",
            200,
            "1 line passed over, the first: line 10: chr1:5-5 is empty",
        ),
        ("x.bed", "chr1\t100\t300\nchr1\tx\t5\n", 200, "line 2: start 'x'; expected a whole number"),
        ("x.bed", "chr1\t100\t300\tHigh Signal Region\nchr1\t-5\t300\n", 200, "start '-5'"),
    ],
)  # as igv.js's tests of bed and peak, bedtools' of general, MACS and ENCODE's blacklists have them
def test_regions_are_read_whoever_wrote_them_and_it_is_said(
    tmp_path: Path, name: str, text: str, middle: int, note: str
) -> None:
    (tmp_path / name).write_text(text)
    found, notes = read_regions(tmp_path / name)
    assert {(region.contig, region.start, region.end, region.middle) for region in found} == {
        ("chr1", 100, 300, middle)
    }
    assert note in "; ".join(notes)
    assert bool(note) == bool(notes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "##gff-version 3\nchr1\t.\tgene\t1\t4\t.\t+\t.\tID=g\n",
            "this is GFF or GTF, which counts from 1; expected BED",
        ),
        ("chr1\tH\texon\t1\t4\t.\t+\t0\tgene_id\n", "this is GFF or GTF"),
        ("##fileformat=VCFv4.2\n", "this is a VCF file"),
        ("chr1:1-9\n", "this is a list of places"),
        ("@HD\tVN:1\nchr1\t2\t9\t+\tx\n", "this is an interval list"),
        ("#PeakID\tchr\tstart\tend\np1\tchr1\t1\t9\n", "this is a file of peaks by HOMER"),
        ("chr1\t1000\n", "this is a list of chromosome sizes"),
        (">a\nACGT\n", "this is FASTA"),
    ],
)
def test_what_is_no_bed_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "x.bed").write_text(text)
    with pytest.raises(ValueError, match=rf"^x\.bed: line 1: {said}"):
        read_regions(tmp_path / "x.bed")


def test_a_few_regions_past_an_end_are_left_out_and_counted(tmp_path: Path) -> None:
    data = built(tmp_path, REGION * 3 + "chr1\t4800\t5001\n")
    assert data.meta["origin"]["left_out"]["of regions that reach past the end of their chromosome"] == 1
