"""What stands where a file is expected and is none, or one without end: each command says so at once, in one line."""

import os
import re
import shutil
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pybigtools
import pytest
from driven import APP
from pair_files import write_pair
from streamlit.testing.v1 import AppTest
from toy import toy_config, toy_home

from tfbind.__main__ import main
from tfbind.config import PROJECT
from tfbind.nn import weight_files
from tfbind.runs import folder as runs, launch
from tfbind.scoring.model import BUILTIN_FOLDER
from tfbind.sweeps import sweep_folder

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
BUILD = "data build built --genome"
COMMANDS = {
    "x_sequences.txt": "data check --sequences x_sequences.txt --scores toy_scores.txt",
    "x_scores.txt": "data import --name x --sequences toy_sequences.txt --scores x_scores.txt",
    "x.fa": f"{BUILD} x.fa --motif FOXA1",
    "y.fa": f"{BUILD} y.fa --signal good.bw --regions good.bed",
    "x.motif": "data motif toy --motif x.motif --threshold 3",
    "x.bw": f"{BUILD} good.fa --signal x.bw --regions good.bed",
    "x.bed": f"{BUILD} good.fa --signal good.bw --regions x.bed",
    "pair/x_sequences.txt": "train --dataset pair",
    "x.safetensors": "predict --model x.safetensors --data good.fa --out p.csv",
    "x.pt": "predict --model x.pt --data good.fa --out p.csv",
    "y.pt": "model import y.pt",
    "x.vcf": f"{EFFECTS} --data x.vcf --fasta good.fa",
    "x.txt": f"{EFFECTS} --data x.txt --fasta good.fa --keep-going",
    "z.fa": f"{EFFECTS} --data good.vcf --fasta z.fa",
    "x.yaml": "sweep x.yaml --dataset toy",
    "x.csv": "compare --table x.csv",
    "x.wandb": "pull --offline x.wandb",
    "logs/x.wandb": "pull --offline logs",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good files of every kind, and a home."""
    folder = tmp_path_factory.mktemp("whole")
    home, weights = toy_home(folder), BUILTIN_FOLDER / "seed0.safetensors"
    done = runs.create(home, toy_config(), id="done")
    shutil.copy(weights, done.folder / runs.BEST)
    runs.take_over(done, "finished")
    sweep_folder.create(home, "{method: grid, parameters: {seed: {values: [1, 2]}}}", toy_config(), id="race")
    weight_files.import_model(home, weights, "mine")
    write_pair(folder)
    (folder / "good.fa").write_text(GENOME)
    (folder / "good.bed").write_text("chr1\t100\t400\n")
    (folder / "good.vcf").write_text(VCF)
    pybigtools.open(str(folder / "good.bw"), "w").write({"chr1": 1000}, [("chr1", 10, 400, 1.5)])
    for name in ("pair", "logs"):
        (folder / name).mkdir()
    shutil.copy(folder / "toy_scores.txt", folder / "pair")
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(whole, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("TFBIND_HOME", str(tmp_path / "work" / "home"))
    return tmp_path / "work"


CASES = [(name, "FIFO") for name in COMMANDS] + [("x.fa", kind) for kind in KINDS if kind != "FIFO"]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_it_is_refused_by_its_name_in_one_line(
    name: str, kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / name
    monkeypatch.chdir(path.parent)
    KINDS[kind](path)
    monkeypatch.chdir(folder)
    assert main(COMMANDS[name].split()) in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert path.name in line or path.parent.name in line


@pytest.mark.parametrize("kind", KINDS)
def test_an_index_beside_a_genome_that_is_none_is_passed_over(kind: str, folder: Path) -> None:
    KINDS[kind](Path("good.fa.fai"))
    assert main(f"{EFFECTS} --data good.vcf --fasta good.fa".split()) == 0
    assert "chr1\t10\t.\tA\tG\t" in (folder / "effects.tsv").read_text()


def test_a_bundle_is_not_written_to_a_link_to_itself(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = str(BUILTIN_FOLDER / "seed0.safetensors")
    Path("out").symlink_to("out")
    assert main(["bundle", weights, "--out", "out"]) in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert str(folder / "out") in line
    assert Path("out").is_symlink()


def test_dna_may_come_through_a_fifo(folder: Path) -> None:
    """As `--data <(zcat reads.gz)` gives one."""
    os.mkfifo("dna")
    writer = threading.Thread(target=lambda: Path("dna").write_text(GENOME))
    writer.start()
    assert main(["predict", "--model", "builtin", "--data", "dna", "--out", "p.bedgraph"]) == 0
    writer.join()
    assert (folder / "p.bedgraph").stat().st_size


def test_a_run_whose_log_is_a_fifo_has_failed_instead_of_waiting_for_its_reader(folder: Path) -> None:
    run = runs.create(folder / "home", toy_config(), id="toy")
    os.mkfifo(run.folder / runs.LOG)
    said = f"{run.folder / runs.LOG}: a FIFO, a socket or a device; expected a file"
    with pytest.raises(ValueError, match=re.escape(said)):
        launch.start(run, ["true"])
    status = runs.read_status(run)
    assert (status.state, status.error) == ("failed", said)


@pytest.mark.parametrize(
    ("name", "model"), [(f"runs/done/{runs.BEST}", "done"), (f"models/mine/{weight_files.WEIGHTS}", "mine")]
)
def test_weights_of_the_home_that_are_no_file_are_not_said_to_be_missing(
    name: str, model: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "home" / name
    path.unlink()
    os.mkfifo(path)
    assert main(["predict", "--model", model, "--data", "good.fa", "--out", "p.csv", "--pad"]) in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{path}: a FIFO, a socket or a device; expected a file" in line


def test_a_run_that_cannot_write_its_rows_says_so_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = launch.prepare(folder / "home", toy_config(num_epochs=1), launch.Order(id="toy"))
    (run.folder / runs.METRICS).mkdir()
    assert main(["resume", "toy"]) == 2
    assert capsys.readouterr().err == f"tfbind: {run.folder / runs.METRICS}: a folder; expected a file\n"
    assert runs.read_status(run).state == "failed"


NOBODYS, LONG = "~nobody-of-this-name/x", "a" * 5_000


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_model_in_the_home_of_nobody_is_said_not_to_be_there(
    suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "--model", NOBODYS + suffix, "--data", "good.fa", "--out", "p.csv"]) == 2
    assert capsys.readouterr().err == f"tfbind: {NOBODYS}{suffix}: no such file\n"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("typed", [NOBODYS, LONG], ids=["of nobody", "long"])
@pytest.mark.parametrize(
    ("name", "key"),
    [("data", "motif-genome-path"), ("data", "motif-id"), ("predict", "variants-genome-path")],
)
def test_a_page_takes_any_path(name: str, key: str, typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)  # whose configuration has the app listen on loopback, where paths can be typed
    page = AppTest.from_file(APP, default_timeout=60)
    page.switch_page(f"pages/{name}.py").run()
    page.text_input(key=key).set_value(typed)
    for box in page.text_area:
        if box.label == "Variants":
            box.set_value("chr1:10 A>G")
    assert [error.message for error in page.run().exception] == []
