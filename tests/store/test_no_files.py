"""What stands where a file is expected and is none, or one without end: each command says so at once, in one line."""

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from toy import toy_config, toy_home

from tfbind.__main__ import main
from tfbind.runs import folder as runs, launch

pytestmark = pytest.mark.timeout(60)  # a FIFO that is opened has its reader wait for good

GENOME = ">chr1\n" + "ACGTTGTTTACATTGCAGGA" * 50 + "\n"
VCF = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\nchr1\t10\t.\tA\tG\n"


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)  # a longer path would not fit


def grow(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


KINDS: dict[str, Callable[[Path], None]] = {
    "folder": Path.mkdir,
    "FIFO": os.mkfifo,
    "socket": bind,
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to nothing": lambda path: path.symlink_to("nowhere"),
    "device": lambda path: path.symlink_to("/dev/zero"),
    "1 TB": grow,
}
EFFECTS = "variants --model builtin --out effects.tsv"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A genome, variants, and a home."""
    toy_home(tmp_path)
    (tmp_path / "good.fa").write_text(GENOME)
    (tmp_path / "good.vcf").write_text(VCF)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFBIND_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_refused_by_its_name_in_one_line(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    KINDS[kind](Path("x.fa"))
    assert main(f"{EFFECTS} --data good.vcf --fasta x.fa".split()) in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert "x.fa" in line


@pytest.mark.parametrize("kind", ["folder", "FIFO", "socket", "device"])
def test_a_file_of_the_home_that_is_none_is_not_said_to_be_missing(
    kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = runs.create(folder / "home", toy_config(), id="done").folder / runs.CONFIG
    path.unlink()
    monkeypatch.chdir(path.parent)
    KINDS[kind](Path(path.name))
    monkeypatch.chdir(folder)
    assert main(["runs", "done"]) in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    what = "a folder" if kind == "folder" else "a FIFO, a socket or a device"
    assert f"{path}: {what}; expected a file" in line


def test_an_index_beside_a_genome_that_is_none_is_passed_over(folder: Path) -> None:
    os.mkfifo("good.fa.fai")
    assert main(f"{EFFECTS} --data good.vcf --fasta good.fa".split()) == 0
    assert "chr1\t10\t.\tA\tG\t" in (folder / "effects.tsv").read_text()


def test_dna_may_come_through_a_fifo(folder: Path) -> None:
    """As `--data <(zcat reads.gz)` gives one."""
    os.mkfifo("dna")
    writer = threading.Thread(target=lambda: Path("dna").write_text(GENOME))
    writer.start()
    assert main(["predict", "--model", "builtin", "--data", "dna", "--out", "p.bedgraph"]) == 0
    writer.join()
    assert (folder / "p.bedgraph").stat().st_size


def test_a_run_that_cannot_write_its_rows_says_so_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = launch.prepare(folder / "home", toy_config(num_epochs=1), launch.RunRequest(id="toy")).create()
    (run.folder / runs.METRICS).mkdir()
    assert main(["resume", "toy"]) == 2
    assert capsys.readouterr().err == f"tfbind: {run.folder / runs.METRICS}: a folder; expected a file\n"
    assert run.state == "failed"


NOBODYS = "~nobody-of-this-name/x"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_model_in_the_home_of_nobody_is_said_not_to_be_there(
    suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "--model", NOBODYS + suffix, "--data", "good.fa", "--out", "p.csv"]) == 2
    assert capsys.readouterr().err == f"tfbind: {NOBODYS}{suffix}: no such file\n"
