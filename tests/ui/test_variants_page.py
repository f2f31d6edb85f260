"""Many variants on the Predict page: from a list or a VCF to effects and profiles, and what cannot be scored."""

import shlex
from pathlib import Path

import pytest
from driven import address, checked, click, opened, read
from driving import wait_until
from streamlit.testing.v1 import AppTest
from test_predict_page import SITE, drawn, line, predict

from tfbind.scoring import jobs
from tfbind.variants.parse import MAX_CALLS
from ui.predict.variants import FILE, GENOME, GENOME_PATH, VARIANTS

pytestmark = pytest.mark.usefixtures("home")

PLACED = f">chr22:1001-{1000 + len(SITE)}\n{SITE}"
HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
KILLS = "22\t1041\trs1\tT\tC\t.\t.\t.\n"  # in the core of the site, as a VCF without `chr` has it
FAR = "22\t1003\tquiet\tA\tG\t.\t.\t.\n"
ELSEWHERE = "22\t1041\telsewhere\tG\tC\t.\t.\t.\n"  # of another assembly
INDEL = "22\t1039\tindel\tTTTA\tT\t.\t.\t.\n"


def with_variants(page: AppTest, text: str) -> AppTest:
    return checked(page.text_area(key=VARIANTS.box).set_value(text).run())


def with_genome(page: AppTest, path: str | Path) -> AppTest:
    return checked(page.text_input(key=GENOME_PATH).set_value(str(path)).run())


def open_vcf(page: AppTest, text: str, name: str = "mine.vcf") -> AppTest:
    page.file_uploader(key=FILE.name).upload(name, text.encode())
    return checked(page.run())


def effects(page: AppTest):
    (table,) = [frame.value for frame in page.dataframe if "Effect" in frame.value]
    return table


def refused(page: AppTest) -> dict[int, str]:
    """Why lines have no score, by line."""
    (table,) = [frame.value for frame in page.dataframe if "Why" in frame.value]
    return dict(zip(table["Line"], table["Why"], strict=True))


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    path = tmp_path / "genome.fa"
    path.write_text(f">chr22\n{'N' * 1000}{SITE}{'N' * 500}\n")
    return path


def test_effects_come_with_the_largest_first_and_its_profiles_and_come_back_by_an_id() -> None:
    page = predict(PLACED)
    for text in ("chr22:1041 T>C\nchr22:1003 A>G", HEADER + KILLS + FAR):
        table = effects(with_variants(page, text))
        assert [name.removeprefix("chr") for name in table["Variant"]] == ["22:1041 T>C", "22:1003 A>G"]
        assert table["Effect"][0] < -2
        assert abs(table["Effect"][1]) < 0.5
        assert list(table["Lost"]) == [1, 0]
        assert {"reference", "with the variant"} <= drawn(page)
        assert "2 variants scored, the largest effect first" in read(page)
        assert line(page, "reference").max() > line(page, "with the variant").max() + 2
    assert "1041" not in str(address(page))
    page = opened("predict", **address(page))
    assert page.text_area(key=VARIANTS.box).value == HEADER + KILLS + FAR
    assert effects(page)["Lost"][0] == 1


def test_a_deletion_is_scored_and_the_page_says_which_positions_are_drawn() -> None:
    page = with_variants(predict(PLACED), HEADER + INDEL)
    assert effects(page)["Lost"][0] == 1
    assert "Behind it, positions are those of the changed sequence." in read(page)


def test_lines_without_a_score_say_why_and_the_others_are_scored() -> None:
    outside = "22\t5000\toutside\tA\tC\t.\t.\t.\n"
    page = with_variants(predict(PLACED), HEADER + KILLS + ELSEWHERE + outside)
    assert len(effects(page)) == 1
    why = refused(page)
    assert list(why) == [4, 5]
    assert "'T'" in why[4]
    assert "'G'" in why[4]
    assert why[5] == "outside the sequence, which has the positions 1,001 to 1,082"
    (reason,) = refused(with_variants(page, "hello there")).values()
    assert "is no change of a base" in reason
    assert "with the variant" not in drawn(page)


def test_a_list_says_how_it_was_read_and_when_most_of_it_does_not_fit() -> None:
    page = with_variants(predict(PLACED), "rs1 chr22 1040 1041 T C")
    assert (list(effects(page)["ID"]), list(effects(page)["Variant"])) == (["rs1"], ["chr22:1041 T>C"])
    assert "1 variant read with start and end as in BED, which counts from 0" in read(page)
    page = with_variants(page, "chr22:1041 T>C\n" + "chr22:1041 G>C\n" * 12)
    assert "12 of 13 variants do not fit the sequence: another assembly?" in read(page)
    assert len(effects(page)) == 1


def test_bases_come_from_a_genome_named_with_chr_or_without(genome: Path) -> None:
    page = with_variants(predict(), HEADER + KILLS)
    assert "The bases around the variants are missing" in read(page)
    assert effects(with_genome(page, genome))["Lost"][0] == 1
    assert "bases from genome.fa" in read(page)


def test_a_genome_that_is_not_there_is_one_line_and_the_list_stays() -> None:
    page = with_variants(with_genome(predict(), "/no/such/genome.fa"), HEADER + KILLS)
    assert ["/no/such/genome.fa" in error.value.replace("\\", "") for error in page.error] == [True]
    assert page.text_area(key=VARIANTS.box).value == HEADER + KILLS


def test_an_uploaded_vcf_counts_before_the_box() -> None:
    page = open_vcf(with_variants(predict(PLACED), "chr22:1003 A>G"), HEADER + KILLS)
    assert list(effects(page)["ID"]) == ["rs1"]
    assert "From the file mine.vcf" in read(page)
    assert "mine.vcf" not in read(click(page, "Clear variants"))
    assert not page.text_area(key=VARIANTS.box).value


def test_a_list_too_long_for_the_page_goes_on_in_the_background(home: Path, genome: Path) -> None:
    page = open_vcf(with_genome(predict(), genome), HEADER + KILLS + ELSEWHERE * (MAX_CALLS + 100), "many.vcf")
    assert "The list goes on: the first 20,000 lines are here." in read(page)
    shown = next(block.value for block in page.code if "tfbind variants" in block.value)
    click(page, "Start")
    (job,) = jobs.list_jobs(home)
    assert shlex.split(shown) == jobs.command(job, jobs.read_request(job))
    wait_until(lambda: jobs.read_status(job).state != "running", 60)
    assert jobs.read_status(job).state == "finished", jobs.read_status(job).message
    assert "Effects of variants (TSV)" in read(checked(page.run()))
    written = jobs.output(job, jobs.read_request(job)).read_text()
    lines = [text for text in written.splitlines() if text and not text.startswith("#")]
    assert len(lines) == 1 + 1 + MAX_CALLS + 100  # the names of the columns, then every variant
    assert sum("rs1" in text for text in lines) == 1


def test_an_uploaded_genome_is_called_by_its_name() -> None:
    page = opened("predict")
    page.text_area(key=VARIANTS.box).set_value("chr9:30 C>G").run()
    page.file_uploader(key=GENOME).upload("my genome.fa", f">chr9\n{'ACGT' * 50}\n".encode())
    assert "bases from my genome.fa" in read(checked(page.run()))
