"""Variants of a VCF through the command line: each effect against scoring both sequences whole."""

import csv
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scorers import LENGTH, home_of_both

from tfbind.__main__ import main
from tfbind.dna.codes import decode, encode
from tfbind.scoring.ism import Variant, apply_variant
from tfbind.scoring.model import load_model, score
from tfbind.variants import edits, effects

BASES = 400
HEADER = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\n"
CALLED_FROM = "sites are called from 3, since the lowest score of a site in the data behind the model is not known"
DNA = decode(np.random.default_rng(5).integers(0, 4, BASES, dtype=np.uint8))
COLUMNS = ["chrom", "pos", "id", "ref", "alt", "effect", "effect_pos", "ref_score", "alt_score"]
COLUMNS += ["sites_lost", "sites_gained", "skipped"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return home_of_both(tmp_path_factory.mktemp("home"))


@pytest.fixture
def cli(home, tmp_path, monkeypatch, capsys):
    """Runs `variants` on the text of a VCF and of a genome; gives exit code, standard output and standard error."""
    monkeypatch.setenv("TFBIND_HOME", str(home))
    monkeypatch.chdir(tmp_path)

    def call(
        lines: str, *words: str, fasta: str = f">chr22 test\n{DNA}\n", model: str = "local"
    ) -> tuple[int, str, str]:
        Path("g.fa").write_text(fasta)
        Path("v.vcf").write_text(HEADER + lines)
        code = main(["variants", "--model", model, "--data", "v.vcf", "--fasta", "g.fa", "--out", "e.tsv", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def rows(path: str = "e.tsv") -> list[dict[str, str]]:
    lines = [line for line in Path(path).read_text().splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines, delimiter="," if path.endswith(".csv") else "\t"))


def other(base: str) -> str:
    return "ACGT"[("ACGT".index(base) + 1) % 4]


def changes(places: list[int]) -> Iterator[tuple[int, str, str]]:
    """At each place, counted from 1: a changed base, a deletion, an insertion, and a longer exchange."""
    for place in places:
        here = DNA[place - 1 : place + 4]
        yield place, here[0], other(here[0])
        yield place, here[:4], here[0]
        yield place, here[0], here[0] + "GTAAACA"
        yield place, here[:3], "TTTACGG"


def written(found: list[tuple[int, str, str]]) -> str:
    return "".join(f"chr22\t{place}\t.\t{reference}\t{alternative}\n" for place, reference, alternative in found)


def test_a_local_models_effects_are_those_of_scoring_both_contigs_whole(cli, home):
    found = list(changes([1, 2, 7, 60, 200, 390, 396]))
    assert cli(written(found))[0] == 0
    model = load_model(home, "local")
    before = score(model, encode(DNA)).scores
    table = rows()
    assert [list(row) for row in table] == [COLUMNS] * len(found)
    for (place, reference, alternative), row in zip(found, table, strict=True):
        start, end = place - 1, place - 1 + len(reference)
        after = score(model, encode(DNA[:start] + alternative + DNA[end:])).scores
        variant = Variant(start, encode(reference), encode(alternative))
        wide = variant.widened(lambda first, last: encode(DNA[first:last]), BASES)
        near = slice(max(0, wide.start - model.reach), None)
        best = before[near][: wide.start + len(wide.reference) + model.reach - near.start].max()
        best_after = after[near][: wide.start + len(wide.alternative) + model.reach - near.start].max()
        assert (row["chrom"], row["pos"], row["skipped"]) == ("chr22", str(place), "")
        assert (row["ref"], row["alt"]) == (reference, alternative)
        assert float(row["ref_score"]) == pytest.approx(best, abs=1e-4)
        assert float(row["alt_score"]) == pytest.approx(best_after, abs=1e-4)
        if len(reference) == len(alternative):
            difference = after - before
            assert int(row["effect_pos"]) == int(np.abs(difference).argmax()) + 1
            assert float(row["effect"]) == pytest.approx(difference[int(row["effect_pos"]) - 1], abs=1e-4)
        else:
            found_here = edits.effect(before, after, edits.edit(encode(DNA), [variant]), 3.0)
            assert float(row["effect"]) == pytest.approx(found_here.change, abs=1e-4)
            assert int(row["effect_pos"]) == found_here.place + 1


def test_a_model_of_fixed_length_scores_windows_with_the_variant_in_the_middle(cli, home):
    found = [(place, DNA[place - 1], other(DNA[place - 1])) for place in (1, 10, 100, 391, BASES)]
    assert cli(written(found), model="fixed")[0] == 0
    model, codes = load_model(home, "fixed"), encode(DNA)
    for (place, reference, alternative), row in zip(found, rows(), strict=True):
        start = min(max(0, place - 1 - (LENGTH - 1) // 2), BASES - LENGTH)  # as near to the middle as the contig lets
        window = codes[start : start + LENGTH]
        changed = apply_variant(window, Variant(place - 1 - start, encode(reference), encode(alternative)))
        difference = score(model, changed).scores - score(model, window).scores
        where = int(np.abs(difference).argmax())
        assert int(row["effect_pos"]) == start + where + 1
        assert float(row["effect"]) == pytest.approx(difference[where], abs=1e-4)


def test_a_contig_without_room_for_a_window_is_skipped_with_its_reason(cli):
    code, out, _ = cli("chr22\t3\t.\tG\tT\n", fasta=">chr22\nACGTACGT\n", model="fixed")
    assert code == 0
    assert out.splitlines()[:-1] == ["skipped 1: no window of 40 bases around it"]
    assert (rows()[0]["effect"], rows()[0]["skipped"]) == ("", "no window of 40 bases around it")


def test_each_allele_has_its_row_in_the_order_of_the_file_and_says_why_it_has_no_score(cli):
    base = DNA[99]
    alleles = [other(base), "<DEL>", "*", "N"]
    lines = f"chr22\t100\trs7\t{base}\t{','.join(alleles)}\n"
    lines += f"chr9\t5\t.\tA\tC\nchr22\t50\t.\t{DNA[49].lower()}\t{other(DNA[49]).lower()}\n"
    code, out, err = cli(lines, "--json")
    assert (code, err) == (0, "")
    answer = json.loads(out)
    assert (answer["variants"], answer["scored"], answer["out"]) == (6, 3, "e.tsv")
    assert answer["skipped"] == {
        "symbolic allele": 1,
        "allele lost with another deletion": 1,
        "contig not in the FASTA": 1,
    }
    table = rows()
    assert [row["alt"] for row in table] == [*alleles, "C", other(DNA[49]).lower()]
    assert [bool(row["effect"]) for row in table] == [True, False, False, True, False, True]
    assert [row["id"] for row in table] == ["rs7"] * 4 + ["."] * 2


def test_a_csv_holds_the_same_and_no_formula(cli):
    lines = f"chr22\t100\t=cmd()\t{DNA[99]}\t{other(DNA[99])}\nchr22\t100\t-1,2\t{DNA[99]}\t<DEL>\n"
    assert cli(lines)[0] == cli(lines, "--out", "e.csv")[0] == 0
    assert rows("e.csv") == rows("e.tsv")
    assert [row["id"] for row in rows("e.csv")] == ["'=cmd()", "'-1,2"]


@pytest.mark.parametrize(
    ("ours", "theirs"), [("chr22", "22"), ("22", "chr22"), ("chrM", "MT"), ("MT", "chrM"), ("X", "chrX")]
)
def test_a_contig_is_found_by_the_other_convention_and_that_is_said(cli, ours, theirs):
    code, _, err = cli(f"{theirs}\t100\t.\t{DNA[99]}\t{other(DNA[99])}\n", fasta=f">{ours}\n{DNA}\n")
    assert code == 0
    assert err == f"{CALLED_FROM}\n1 contig called otherwise in the FASTA, such as {ours} for {theirs}\n"
    assert (rows()[0]["chrom"], rows()[0]["skipped"]) == (theirs, "")


def test_lower_case_and_unknown_bases_of_the_genome_are_read(cli, home):
    base = DNA[99]
    lines = f"chr22\t100\t.\t{base}\t{other(base)}\n"
    assert cli(lines)[0] == 0
    upper = rows()
    assert cli(lines, fasta=f">chr22\n{DNA.lower()}\n")[0] == 0
    assert rows() == upper
    assert cli("chr22\t3\t.\tN\tC\n", fasta=f">chr22\nACN{DNA}\n")[0] == 0
    model = load_model(home, "local")
    before, after = (score(model, encode(f"AC{base}{DNA}")).scores for base in "NC")
    assert float(rows()[0]["effect"]) == pytest.approx((after - before)[np.abs(after - before).argmax()], abs=1e-4)


def test_a_vcf_without_variants_gives_a_table_without_rows(cli):
    code, out, err = cli("")
    assert (code, err) == (0, f"{CALLED_FROM}\n")
    assert out.startswith("0 of 0 variants scored in ")
    assert rows() == []
    assert Path("e.tsv").read_text().splitlines()[-1].split("\t") == COLUMNS


def test_the_table_says_what_it_was_made_of(cli, home):
    assert cli(f"chr22\t100\t.\t{DNA[99]}\t{other(DNA[99])}\n")[0] == 0
    model = load_model(home, "local")
    said = [line for line in Path("e.tsv").read_text().splitlines() if line.startswith("#")]
    assert said[0] == (
        f"# tfbind; model local {model.hash}; score in the unit of data set builtin; "
        f"scored with {2 * model.reach} bases on either side"
    )
    assert said[1] == "# variants of v.vcf in g.fa; positions count from 1"


WRONG = other(DNA[99])
GOOD = f"chr22\t50\t.\t{DNA[49]}\t{other(DNA[49])}\n"
ODD = {
    "another base": (f"chr22\t100\t.\t{WRONG}\tN", f"REF is '{WRONG}'; the FASTA has '{DNA[99]}' there"),
    "past the end": ("chr22\t401\t.\tA\tC", "outside chr22 of the FASTA, which has the positions 1 to 400"),
    "over the end": (f"chr22\t400\t.\t{DNA[399]}A\tC", "outside chr22 of the FASTA"),
    "before the start": ("chr22\t0\t.\tA\tC", "outside chr22 of the FASTA"),
    "no number": ("chr22\tfive\t.\tA\tC", "POS is 'five'; expected a whole number"),
    "2^63": (f"chr22\t{2**63}\t.\tA\tC", "POS is '9223372036854775808': no chromosome is that long"),
    "no reference": ("chr22\t5\t.\t.\tC", "REF is '.'"),
    "no allele": (f"chr22\t100\t.\t{DNA[99]}\t?", "ALT is '?'"),
    "another contig": ("chr9\t5\t.\tA\tC", "contig not in the FASTA"),
    "a torn line": ("chr22\t5", "2 columns; expected at least 5, as in the header"),
}


@pytest.mark.parametrize("what", ODD)
def test_an_odd_line_is_a_row_with_its_reason(cli, what):
    line, why = ODD[what]
    code, _, _ = cli(f"{GOOD}{line}\n{GOOD}")
    good, odd, again = rows()
    assert (code, bool(good["effect"]), good, odd["effect"]) == (0, True, again, "")
    assert odd["skipped"].startswith(why)


def of_another_assembly(fitting: int, others: int) -> str:
    wrong = f"chr22\t100\t.\t{WRONG}\tN\n"
    return wrong + GOOD * fitting + wrong * (others - 1)


def test_a_file_of_another_assembly_is_refused_unless_it_is_to_go_on(cli):
    lines = of_another_assembly(88, 312)
    said = "312 of 400 variants do not fit the FASTA: another assembly? The first: line 3: chr22:100: REF is"
    code, _, err = cli(lines)
    assert (code, err.startswith(f"tfbind: v.vcf: {said}"), Path("e.tsv").exists()) == (2, True, False)
    code, _, err = cli(lines, "--keep-going")
    assert (code, said in err, len(rows())) == (0, True, 400)
    for fitting, others in ((0, effects.MISFITS - 1), (20, 20)):
        code, _, err = cli(of_another_assembly(fitting, others))
        assert (code, "assembly?" in err, len(rows())) == (0, False, fitting + others)


REFUSED = {
    "no contig in common": (
        "ctg1\t5\t.\tA\tC\nctg2\t5\t.\tA\tC\n",
        "v.vcf: no contig of the FASTA: found ctg1, ctg2; expected such as chr22",
    ),
    "no variant": ("hello\nworld\n", "v.vcf: no variant in it; expected a VCF, or one change on each line, such as"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_ends_in_2_and_one_line_and_leaves_what_was_there(cli, tmp_path, what):
    lines, said = REFUSED[what]
    (tmp_path / "e.tsv").write_text("mine")
    code, out, err = cli(f"{lines}")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("tfbind: ")
    assert said in err
    assert (tmp_path / "e.tsv").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.tsv", "g.fa", "v.vcf"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", "none.vcf"], "none.vcf: no such file; expected a VCF file"),
        (["--fasta", "none.fa"], "none.fa: no such file; expected a FASTA file"),
        (["--data", "g.fa"], "g.fa: no variant in it; expected a VCF, or one change on each line"),
        (["--fasta", "v.vcf"], "v.vcf: not readable as FASTA"),
        (["--out", "e.txt"], "e.txt: expected the name of a .tsv or .csv file"),
        (["--out", "none/e.tsv"], "none/e.tsv: expected the name of a .tsv or .csv file in a folder that exists"),
        (["--model", "nobody"], "--model nobody: expected builtin"),
    ],
)
def test_flags_that_lead_nowhere_end_in_2_and_one_line(cli, words, said):
    code, out, err = cli("", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err


def test_the_list_that_is_read_is_not_written_over(cli):
    Path("e.tsv").write_text("chr22:100 A>G\n")
    code, _, err = cli("", "--data", "e.tsv", "--keep-going")
    assert (code, Path("e.tsv").read_text()) == (2, "chr22:100 A>G\n")
    assert err.startswith("tfbind: e.tsv: the file that is read; expected another")


def test_an_allele_that_is_too_long_is_skipped(cli):
    inserted = "A" * (effects.LONGEST_ALLELE + 1)
    assert cli(f"chr22\t100\t.\t{DNA[99]}\t{inserted}\n")[0] == 0
    assert rows()[0]["skipped"] == "allele of over 10,000 bases"


def test_effects_do_not_depend_on_which_calls_are_scored_together(cli):
    """A file of more calls than one batch holds: each variant has the effect that it has alone."""
    places = list(range(1, BASES + 1))
    calls = [(place, DNA[place - 1], base) for place in places for base in "ACGT" if base != DNA[place - 1]]
    repeated = calls * (effects.BATCH // len(calls) + 1)
    assert len(repeated) > effects.BATCH
    assert cli(written(repeated))[0] == 0
    table = rows()
    for first, again in zip(table, table[effects.BATCH // len(calls) * len(calls) :], strict=False):
        assert first == again
    assert cli(written(calls[300:301]))[0] == 0
    assert float(rows()[0]["effect"]) == pytest.approx(float(table[300]["effect"]), abs=1e-5)


def test_gzip_of_both_and_a_process_of_its_own(home, tmp_path):
    """A gzip VCF in a real process; a gzip genome is refused with what to do about it."""
    (tmp_path / "g.fa").write_text(f">chr22\n{DNA}\n")
    (tmp_path / "g.fa.gz").write_bytes(gzip.compress(f">chr22\n{DNA}\n".encode()))
    lines = f"{HEADER}chr22\t100\t.\t{DNA[99]}\t{other(DNA[99])}\n"
    (tmp_path / "v.vcf.gz").write_bytes(gzip.compress(lines.encode()))
    words = ["variants", "--model", "local", "--data", "v.vcf.gz", "--out", "e.tsv", "--fasta"]
    environment = {**os.environ, "TFBIND_HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])}

    def run(fasta: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tfbind", *words, fasta]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    done = run("g.fa")
    assert (done.returncode, done.stderr) == (0, f"{CALLED_FROM}\n")
    assert done.stdout.startswith("1 of 1 variants scored in ")
    refused = run("g.fa.gz")
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert "gzip, which cannot be read from the middle; `gunzip -k g.fa.gz` makes a FASTA file" in refused.stderr


def test_sites_that_a_variant_takes_away_and_makes_are_counted(cli, home):
    """Against calling the sites of the whole contig with and without it, at a threshold that random DNA passes."""
    found = list(changes([60, 100, 200, 300]))
    model, codes = load_model(home, "local"), encode(DNA)
    before = score(model, codes).scores
    threshold = float(np.quantile(before, 0.9))
    assert cli(written(found), "--threshold", str(threshold))[0] == 0
    counted = []
    for (place, reference, alternative), row in zip(found, rows(), strict=True):
        changed = edits.edit(codes, [Variant(place - 1, encode(reference), encode(alternative))])
        effect = edits.effect(before, score(model, changed.codes).scores, changed, threshold)
        assert (int(row["sites_lost"]), int(row["sites_gained"])) == (len(effect.lost), len(effect.gained))
        counted += effect.lost + effect.gained
    assert counted


def test_a_list_of_any_form_has_a_row_for_each_line_and_says_how_it_was_read(cli):
    wrong, here = other(DNA[99]), DNA[199]
    listed = f"rs1 22 200 {here} {other(here)}\nchr22:100 {wrong}>{DNA[99]}\nhello\nchr22:5000 A>C\n"
    listed += f"chr22 199 200 {here} {other(here)}\nNC_000022.11:g.200{here}>{other(here)}\n"
    Path("list.txt").write_text(listed)
    code, out, error = cli("", "--data", "list.txt")
    assert (code, error.splitlines()) == (
        0,
        [
            CALLED_FROM,
            "2 contigs called otherwise in the FASTA, such as chr22 for 22",
            "1 variant read with start and end as in BED, which counts from 0",
        ],
    )
    assert out.splitlines()[-2:-1] == ["1 line without a variant: rows with the reason"]
    assert out.splitlines()[-1].startswith("3 of 5 variants scored")
    table = rows()
    assert [(row["pos"], bool(row["effect"])) for row in table] == [
        ("200", True),
        ("100", False),
        ("", False),
        ("5000", False),
        ("200", True),
        ("200", True),
    ]
    assert len({row["effect"] for row in table if row["effect"]}) == 1
    assert f"REF is '{wrong}'" in table[1]["skipped"]
    assert (table[2]["id"], table[2]["skipped"].startswith("'hello' is no change")) == ("hello", True)
    assert table[3]["skipped"] == f"outside chr22 of the FASTA, which has the positions 1 to {BASES}"
