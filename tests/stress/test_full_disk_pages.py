"""What people upload to pages while the disk is full: one line says so, the page goes on, and nothing half-written is
left behind."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from driven import app, button, checked
from life import as_read, wait_until
from streamlit.testing.v1 import AppTest
from test_full_disk import DNA, disk, full, kept, source

from tfbind.__main__ import main
from tfbind.scoring import jobs
from ui.widgets.session import plain

__all__ = ["disk", "source"]

VCF = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\nchr1\t1601\t.\tA\tG\n"
MOTIF = b">TGTT\tmine\t4\n" + b"".join(
    b"\t".join(b"0.97" if letter == base else b"0.01" for letter in b"ACGT") + b"\n" for base in b"TGTT"
)
Given = Callable[[AppTest, Path], object]


def pair(page: AppTest, source: Path) -> None:
    for box, name in enumerate(("toy_sequences.txt", "toy_scores.txt")):
        page.file_uploader[box].upload(name, (source / name).read_bytes())
    page.text_input("import-name").set_value("again")
    button(page.run(), "Import").click()


def motif(page: AppTest, source: Path) -> None:
    page.file_uploader("motif-genome").upload("g.fa", (source / "chr.fa").read_bytes())
    page.text_input("motif-id").set_value("MA0148.5")
    page.text_input("motif-name").set_value("built").run()
    page.button("build-motif").click()


def motif_file(page: AppTest, source: Path) -> None:
    page.text_input("motif-genome-path").set_value(str(source / "chr.fa"))
    page.file_uploader("motif-file").upload("m.motif", MOTIF)
    page.text_input("motif-name").set_value("built").run()
    page.button("build-motif").click()


def signal(page: AppTest, source: Path) -> None:
    page.file_uploader("signal-genome").upload("g.fa", (source / "chr.fa").read_bytes())
    page.file_uploader("signal-regions").upload("r.bed", b"chr1\t400\t500\n")
    main(["predict", "--model", "builtin", "--data", str(source / "chr.fa"), "--out", str(source / "s.bw")])
    page.file_uploader("signal-signal").upload("s.bw", (source / "s.bw").read_bytes())
    page.text_input("signal-name").set_value("built").run()
    page.button("build-signal").click()


def weights(page: AppTest, source: Path) -> None:
    page.file_uploader(key="weights-file").upload("w.safetensors", (source / "w.safetensors").read_bytes())
    button(page.run(), "Import").click()


def dna(page: AppTest, source: Path) -> None:  # noqa: ARG001
    page.file_uploader[0].upload("my.fa", DNA.encode())
    button(page.run(), "Start").click()


def genome(page: AppTest, source: Path) -> None:
    page.file_uploader(key="variants-genome").upload("g.fa", (source / "chr.fa").read_bytes())
    page.file_uploader(key="variants-file").upload("v.vcf", VCF.encode())


# The page, what is done there, and the folders of the home in which that leaves something.
UPLOADS: dict[str, tuple[str, Given, set[str]]] = {
    "pair": ("data", pair, {"data"}),
    "motif": ("data", motif, {"data"}),
    "motif file": ("data", motif_file, {"data"}),
    "signal": ("data", signal, {"data"}),
    "weights": ("predict", weights, {"models"}),
    "dna": ("predict", dna, {"jobs", "queries"}),
    "genome": ("predict", genome, set()),
}


@pytest.mark.parametrize("what", UPLOADS)
def test_an_upload_to_a_page_on_a_full_disk(what: str, disk: Path, source: Path) -> None:
    name, give, folders = UPLOADS[what]
    before = kept(disk)
    page = checked(app().switch_page(f"pages/{name}.py").run())
    with full(disk):
        give(page, source)
        page = checked(page.run())
        (said,) = [error.value for error in page.error]
        assert re.search(r"the disk is full$|needs about 0\.1 MB of disk; 0\.0 MB are free in", as_read(said)), said
        assert plain(str(disk)) in said
    assert kept(disk) == before
    give(page, source)
    assert not checked(page.run(timeout=120)).error
    assert {path.split("/")[1] for path in kept(disk).keys() - before.keys()} == folders
    wait_until(lambda: all(jobs.read_status(job).state == "finished" for job in jobs.list_jobs(disk / "home")))
