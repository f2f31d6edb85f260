"""One variant has one effect: the same number, sites and words on the page, in its list and by the command, however
it is spelt."""

import csv
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from driven import app, checked
from scorers import FIXED, LENGTH, LOCAL, keep
from streamlit.testing.v1 import AppTest
from test_predict_page import SITE, line, read

from tfbind.__main__ import main
from tfbind.dna.codes import Codes, decode, encode, reverse_complement
from tfbind.dna.parser import Record
from tfbind.scoring.ism import Variant
from tfbind.scoring.model import Model, load_model, score
from tfbind.variants import edits
from tfbind.variants.effects import AlleleEffect, Scorer, effect_in_window
from tfbind.variants.parse import Call
from tfbind.variants.reference import FromRecords
from ui.predict.model import STRAND
from ui.predict.variants import VARIANTS

FIRST = 1001  # position of the first base of SITE
PLACED = f"chr22:{FIRST}-{FIRST + len(SITE) - 1}"
CHANGES = {  # place in SITE, from 1
    "SNV": (41, "T", "C"),
    "insertion": (39, "T", "TT"),
    "a site goes": (36, "GTGTTTACTTAGG", "G"),
    "an exchange": (38, "GTT", "CA"),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Model]:
    home = tmp_path_factory.mktemp("models")
    keep(home, "local", LOCAL)
    keep(home, "fixed", FIXED)
    return {name: load_model(home, name) for name in ("builtin", "local", "fixed")}


def in_the_list(model: Model, record: Record, call: Call, threshold: float = 3.0, both: bool = False) -> AlleleEffect:
    ((read, effect),) = Scorer(model, FromRecords([record]), threshold, both).effects([call])
    assert effect, read.skipped
    return effect


def in_the_record(model: Model, codes: Codes, change: Variant, threshold: float, both: bool) -> edits.VariantEffect:
    """As the page has it."""
    changed = edits.edit(codes, [change])
    if found := effect_in_window(model, codes, changed, threshold, both):
        return found
    before, after = (score(model, one, both=both).scores for one in (codes, changed.codes))
    found = edits.effect(before, after, changed, threshold)
    assert found
    return found


def by_command(folder: Path, call: str, strand: str) -> dict[str, str]:
    (folder / "g.fa").write_text(f">chr22\n{'N' * (FIRST - 1)}{SITE}{'N' * 500}\n")
    (folder / "v.vcf").write_text(f"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\n{call}\n")
    files = ["--data", str(folder / "v.vcf"), "--fasta", str(folder / "g.fa"), "--out", str(folder / "e.tsv")]
    assert main(["variants", "--model", "builtin", *files, "--strand", strand]) == 0
    lines = [line for line in (folder / "e.tsv").read_text().splitlines() if not line.startswith("#")]
    (row,) = csv.DictReader(lines, delimiter="\t")
    return row


def on_the_page(text: str, strand: str, typed: str = "", listed: str = "") -> AppTest:
    page = app()
    page.query_params["strand"] = strand
    page = checked(page.switch_page("pages/predict.py").run())
    page = checked(page.text_area[0].set_value(text).run())
    assert page.selectbox(key=STRAND.key).value == strand
    if typed:
        page = checked(page.text_input(key="variant").set_value(typed).run())
    return checked(page.text_area(key=VARIANTS.box).set_value(listed).run()) if listed else page


def said_of_a_change(page: AppTest) -> tuple[str, float]:
    """The words and the number above the profile of a changed record."""
    (said,) = [
        block.value.replace("\\", "")
        for block in page.markdown
        if "largest change" in block.value and "at base" in block.value
    ]
    words, _, rest = said.partition("**: ")
    return words.removeprefix("**"), float(rest.removeprefix("largest change ").split()[0].strip(","))


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("what", "strand"),
    [("SNV", "both"), ("insertion", "forward"), ("a site goes", "forward"), ("an exchange", "both")],
)
def test_page_brackets_list_and_command_agree(tmp_path: Path, what: str, strand: str) -> None:
    place, reference, alternative = CHANGES[what]
    position = FIRST + place - 1
    row = by_command(tmp_path, f"chr22\t{position}\t.\t{reference}\t{alternative}", strand)
    expected = float(row["effect"])

    typed = on_the_page(f">{PLACED}\n{SITE}", strand, f"{place} {reference}>{alternative}")
    least = Variant(place - 1, encode(reference), encode(alternative)).trimmed()
    inside = f"[{decode(least.reference) or '-'}/{decode(least.alternative) or '-'}]"
    bracketed = f">{PLACED}\n{SITE[: least.start]}{inside}{SITE[least.start + len(least.reference) :]}"
    pasted = on_the_page(bracketed, strand, listed=f"chr22:{position} {reference}>{alternative}")

    for page in (typed, pasted):
        words, change = said_of_a_change(page)
        assert change == pytest.approx(expected, abs=0.006)  # two digits are shown
        assert (words.count("estroys"), words.count("akes")) == (int(row["sites_lost"]), int(row["sites_gained"]))
    (table,) = [frame.value for frame in pasted.dataframe if "Effect" in frame.value]
    assert table["Effect"][0] == pytest.approx(expected, abs=1e-4)
    assert (table["Lost"][0], table["Gained"][0]) == (int(row["sites_lost"]), int(row["sites_gained"]))
    if not table["Lost"][0] and not table["Gained"][0]:
        assert table["Does"][0] == words
    else:
        assert [word in table["Does"][0].lower() for word in ("destroys", "makes")] == [
            word in words.lower() for word in ("destroys", "makes")
        ]


@pytest.mark.usefixtures("home")
def test_the_list_scores_a_record_of_the_other_strand_as_the_page_does() -> None:
    """A record that its name puts on the reverse strand has one number for its change and in the list."""
    other = decode(reverse_complement(encode(SITE)))
    page = on_the_page(f">{PLACED}(-)\n{other}", "forward", f"{len(SITE) - 40} A>G", f"chr22:{FIRST + 40} T>C")
    _, change = said_of_a_change(page)
    (table,) = [frame.value for frame in page.dataframe if "Effect" in frame.value]
    assert table["Effect"][0] == pytest.approx(change, abs=0.006)
    before, after = line(page, "reference"), line(page, "with the variant")
    assert np.nanmax(np.abs(after - before)) == pytest.approx(abs(change), abs=0.006)


def test_strand_both_is_kept_in_what_the_command_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFBIND_HOME", str(tmp_path / "home"))
    call = f"chr22\t{FIRST + 40}\t.\tT\tC"
    forward, both = (by_command(tmp_path, call, strand) for strand in ("forward", "both"))
    assert forward["effect"] != both["effect"]
    assert "both strands averaged" in (tmp_path / "e.tsv").read_text().splitlines()[0]
    assert '"both": true' in (tmp_path / "e.tsv.about.json").read_text()


def repeat(rng: np.random.Generator) -> tuple[str, str, int, int]:
    """DNA with a repeat beside a site, the repeat's unit, where it begins, and how many copies it has."""
    unit = decode(rng.integers(0, 4, rng.integers(1, 5), dtype=np.uint8))
    copies = int(rng.integers(2, 9))
    before, after = (decode(rng.integers(0, 4, 60, dtype=np.uint8)) for _ in "ab")
    site = ["TGTTTACTTAGG", "CCTAAGTAAACA", ""][int(rng.integers(3))]
    gap = decode(rng.integers(0, 4, rng.integers(0, 4), dtype=np.uint8))
    left = before + (site + gap if rng.random() < 0.5 else "")
    right = (gap + site if len(left) == len(before) else "") + after
    return left + unit * copies + right, unit, len(left), copies


def spellings(dna: str, changed: str) -> Iterator[tuple[int, str, str]]:
    """Every place, reference and alternative with no more than five bases beside what comes or goes."""
    longer = abs(len(dna) - len(changed))
    for start, extra in product(range(len(dna)), range(6)):
        sizes = (extra + longer, extra) if len(dna) > len(changed) else (extra, extra + longer)
        reference, alternative = dna[start : start + sizes[0]], changed[start : start + sizes[1]]
        if not reference or not alternative or len(reference) < sizes[0]:
            continue
        if dna[:start] + alternative + dna[start + len(reference) :] == changed:
            yield start, reference, alternative


@pytest.mark.parametrize(
    ("name", "indels"),
    [
        ("local", 100),
        pytest.param("local", 1_000, marks=pytest.mark.slow),
        pytest.param("fixed", 1_000, marks=pytest.mark.slow),
    ],
)
def test_all_spellings_of_random_indels_in_repeats_agree_exactly(models, name, indels) -> None:
    """In the list by their effects; on the page by what follows from the change: the same pairs, the same DNA."""
    rng = np.random.default_rng(31)
    records, calls, numbers = [], [], []
    for number in range(indels):
        dna, unit, start, copies = repeat(rng)
        less = int(rng.integers(1, copies)) * len(unit)
        changed = dna[:start] + dna[start + less :] if number % 2 else dna[:start] + unit + dna[start:]
        codes, edited = encode(dna), set()
        records.append(Record(f"r{number}", codes, []))
        for at, before, after in spellings(dna, changed):
            calls.append(Call(1, f"r{number}", at + 1, ".", before, after, ""))
            numbers.append(number)
            made = edits.edit(codes, [Variant(at, encode(before), encode(after))])
            edited.add((made.codes.tobytes(), made.paired.tobytes()))
        assert len(edited) == 1
    effects = [set() for _ in range(indels)]
    for number, (call, effect) in zip(
        numbers, Scorer(models[name], FromRecords(records), 2.0).effects(calls), strict=True
    ):
        assert effect, call.skipped
        effects[number].add(effect)
    assert [len(of_one) for of_one in effects] == [1] * indels
    assert len(calls) > 20 * indels


@pytest.mark.parametrize(("name", "both"), [("builtin", False), ("local", True), ("fixed", False)])
def test_all_spellings_of_a_change_in_a_repeat_have_one_effect(models, name, both) -> None:
    rng = np.random.default_rng(17)
    spelt = 0
    for number in range(40):
        dna, unit, start, copies = repeat(rng)
        less = int(rng.integers(1, copies)) * len(unit)
        changed = dna[:start] + dna[start + less :] if number % 2 else dna[:start] + unit + dna[start:]
        ways = list(spellings(dna, changed))
        chosen = [ways[at] for at in sorted({0, len(ways) - 1, *rng.integers(0, len(ways), 4).tolist()})]
        spelt += len(chosen)
        codes = encode(dna)
        calls = [Call(1, "r", at + 1, ".", before, after, "") for at, before, after in chosen]
        listed = [in_the_list(models[name], Record("r", codes, []), call, 2.0, both) for call in calls]
        assert len(set(listed)) == 1, (dna, changed, list(zip(chosen, listed, strict=True)))
        variants = [Variant(at, encode(before), encode(after)) for at, before, after in chosen]
        shown = {repr(in_the_record(models[name], codes, variant, 2.0, both)) for variant in variants[:3]}
        assert len(shown) == 1
    assert spelt > 160


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("name", ["builtin", "local", "fixed"])
def test_list_and_record_agree_on_random_changes_of_every_kind(models, name, both) -> None:
    rng = np.random.default_rng(23)
    model, compared = models[name], 0
    for _ in range(20):
        dna, unit, start, copies = repeat(rng)
        place = start + int(rng.integers(-12, len(unit) * copies + 12))
        sizes = [(1, 1), (3, 3), (4, 1), (1, 4), (2, 3), (3, 1)][int(rng.integers(6))]
        reference = dna[place : place + sizes[0]]
        alternative = decode(rng.integers(0, 4, sizes[1], dtype=np.uint8))
        if alternative == reference:
            continue
        codes = encode(dna)
        threshold = float(np.quantile(score(model, codes).scores, 0.8))
        found = in_the_record(model, codes, Variant(place, encode(reference), encode(alternative)), threshold, both)
        names = {"r": 1, f"chr1:101-{100 + len(dna)}": 101}
        for record, first in names.items():
            call = Call(1, record.split(":")[0], place + first, ".", reference, alternative, "")
            effect = in_the_list(model, Record(record, codes, []), call, threshold, both)
            assert effect.change == pytest.approx(found.change, abs=1e-4)
            assert (effect.lost, effect.gained) == (len(found.lost), len(found.gained))
            if abs(found.change) > 1e-3:
                assert effect.position - first == found.place
            compared += 1
    assert compared > 25
    assert len(dna) > LENGTH  # so that the record is no single window of the model of fixed length


@pytest.mark.parametrize("name", ["builtin", "local", "fixed"])
def test_a_reverse_record_has_the_effect_of_the_same_letters_without_a_place(models, name) -> None:
    rng = np.random.default_rng(29)
    for _ in range(8):
        dna, unit, start, copies = repeat(rng)
        place = start + int(rng.integers(0, len(unit) * copies))
        sizes = [(1, 1), (4, 1), (1, 4), (2, 3)][int(rng.integers(4))]
        reference, alternative = dna[place : place + sizes[0]], decode(rng.integers(0, 4, sizes[1], dtype=np.uint8))
        if reference == alternative:
            continue
        codes, last = encode(dna), 100 + len(dna)
        plain = in_the_list(
            models[name], Record("r", codes, []), Call(1, "r", place + 1, ".", reference, alternative, "")
        )
        turned = [decode(reverse_complement(encode(letters))) for letters in (reference, alternative)]
        call = Call(1, "chr1", last - place - len(reference) + 1, ".", *turned, "")
        there = in_the_list(models[name], Record(f"chr1:101-{last}(-)", codes, []), call)
        assert there._replace(position=0) == plain._replace(position=0)
        assert there.position == last + 1 - plain.position


def test_both_strands_do_not_care_which_strand_is_written(models) -> None:
    """A deletion in a run that touches a site: the effect of the reverse complement is the same."""
    dna = "ACGGATCTACGATCGGATCAGC" + "AAAAA" + "TGTTTACTTAGG" + "TTTTT" + "GCATCGATCGGACTAGCAT"
    codes = encode(dna)
    for place in (23, 24, 34, 41):
        one = in_the_record(models["builtin"], codes, Variant(place, codes[place : place + 1], encode("")), 3.0, True)
        other = reverse_complement(codes)
        there = len(dna) - place - 1
        two = in_the_record(models["builtin"], other, Variant(there, other[there : there + 1], encode("")), 3.0, True)
        assert one.change == pytest.approx(two.change, abs=1e-5)
        assert (len(one.lost), len(one.gained)) == (len(two.lost), len(two.gained))


def test_two_changes_far_apart_keep_their_own_effects(models) -> None:
    """A lost site counts though an insertion was made elsewhere: bases between the two are compared one to one."""
    codes = encode(SITE + SITE[:40])
    single = in_the_record(models["builtin"], codes, Variant(40, encode("T"), encode("C")), 3.0, False)
    before = score(models["builtin"], codes).scores
    changed = edits.edit(codes, [Variant(100, encode(""), encode("A")), Variant(40, encode("T"), encode("C"))])
    found = edits.effect(before, score(models["builtin"], changed.codes).scores, changed, 3.0)
    assert found
    assert (found.change, found.place) == (pytest.approx(single.change, abs=1e-5), single.place)
    assert len(found.lost) == len(single.lost) == 1


@pytest.mark.parametrize(
    ("one", "several"),
    [
        ([(40, "", "G")], [(40, "", "T"), (40, "T", "G")]),
        ([(40, "", "G")], [(36, "", "T"), (40, "T", "G")]),
        ([(40, "TAC", "GTCC")], [(40, "T", "G"), (41, "", "T"), (42, "A", "C")]),
        ([(40, "TAC", "AA")], [(42, "C", ""), (40, "T", "A")]),
        ([], [(38, "", "T"), (41, "T", "")]),
        ([(38, "TTTA", "CTTC")], [(38, "T", "C"), (41, "A", "C")]),
    ],
)
def test_changes_one_after_the_other_are_the_one_variant_that_they_make(models, one, several) -> None:
    dna = SITE[:36] + "TTTTTACTTAGG" + SITE[48:]
    before = score(models["builtin"], encode(dna)).scores
    found = []
    for changes in (one, several):
        edited = edits.edit(encode(dna), [Variant(at, *map(encode, alleles)) for at, *alleles in changes])
        after = score(models["builtin"], edited.codes).scores
        found.append((decode(edited.codes), edits.effect(before, after, edited, 3.0)))
    assert found[0] == found[1]


def test_a_copy_of_a_site_that_comes_is_a_site_gained_and_one_that_goes_is_lost(models) -> None:
    unit = SITE[26:58]
    flanks = SITE[:20], SITE[60:]
    one, two = (encode(flanks[0] + unit * copies + flanks[1]) for copies in (1, 2))
    added = in_the_record(models["builtin"], one, Variant(20, encode(""), encode(unit)), 3.0, False)
    gone = in_the_record(models["builtin"], two, Variant(20, encode(unit), encode("")), 3.0, False)
    assert (len(added.lost), len(added.gained)) == (0, 1)
    assert (len(gone.lost), len(gone.gained)) == (1, 0)


def test_a_repeat_without_end_is_passed_over_with_its_reason(models) -> None:
    codes = np.zeros(12_000, np.uint8)
    for position in (1, 6_000, 11_990):
        call = Call(1, "r", position, ".", "AA", "A", "")
        ((read, effect),) = Scorer(models["builtin"], FromRecords([Record("r", codes, [])])).effects([call])
        assert (read.skipped, effect) == ("in a repeat of over 10,000 bases", None)


def test_by_hand_the_stretch_that_every_spelling_may_name() -> None:
    codes = encode("ACGTTTTGA")
    for start, reference, alternative in [(2, "GT", "G"), (3, "T", ""), (5, "TT", "T"), (6, "TG", "G")]:
        found = Variant(start, encode(reference), encode(alternative)).widened(
            lambda first, last: codes[first:last], len(codes)
        )
        assert (found.start, decode(found.reference), decode(found.alternative)) == (3, "TTTT", "TTT")


def test_a_model_of_one_length_sees_a_change_on_the_page_as_in_the_list(home: Path) -> None:
    run = keep(home, "fixed", FIXED)
    run.set_state("finished")
    page = app()
    page.query_params["model"] = "fixed"
    page = checked(page.switch_page("pages/predict.py").run())
    page = checked(page.text_area[0].set_value(f">{PLACED}\n{SITE[:40]}[T/C]{SITE[41:]}").run())
    page = checked(page.text_area(key=VARIANTS.box).set_value(f"chr22:{FIRST + 40} T>C").run())
    _, change = said_of_a_change(page)
    (table,) = [frame.value for frame in page.dataframe if "Effect" in frame.value]
    assert table["Effect"][0] == pytest.approx(change, abs=0.006)
    assert f"Of the change in the middle of one window of {LENGTH} bases." in read(page)
