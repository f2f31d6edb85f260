"""A disk that is full at every kind of write: on a file system of its own, filled until so many bytes are left.

What writes then says in one line that the disk is full, and where; what was there is as it was, nothing half-written
poses as whole, and with room again the same command does its work.
"""

import io
import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import takewhile
from pathlib import Path

import psutil
import pytest
import yaml
from driven import app, button, checked, words as shown
from kept_home import PULLED
from life import LONG, as_read, contents, hold, mounted, tfbind, wait_until
from toy import toy_config, toy_home

from tfbind.__main__ import main
from tfbind.cli import doctor
from tfbind.data.dataset import open_dataset
from tfbind.data.splits import split
from tfbind.evaluation import baselines, test_set
from tfbind.nn.onnx import build_graph
from tfbind.nn.weight_files import read_tensors
from tfbind.runs import folder as runs, launch, record
from tfbind.runs.launch import RunRequest
from tfbind.runs.worker import Worker
from tfbind.scoring import jobs
from tfbind.store.atomic import format_error
from tfbind.sweeps import sweep_folder
from tfbind.sweeps.spec import parse_spec
from tfbind.tracking import cache
from ui.widgets import url_state

FULL = re.compile(r"tfbind: /\S+: (the disk is full|scoring \S+ needs about [^\n]* [kM]B are free there)")
SIZE = 24 << 20
PAGE = 4096  # bytes; files on this file system take whole ones
EPOCHS = 100
DNA = "".join(f">chr1:{1 + 1000 * number}-{1000 * number + 800}\n{'ACGTTGTTTACATTGC' * 50}\n" for number in range(20))
OLD = b"what lay there before\n"
KINDS = {
    "import": "data import --sequences SRC/toy_sequences.txt --scores SRC/toy_scores.txt --name again",
    "build": "data build built --genome SRC/dna.fa --motif FOXA1 --length 50 --every-window",
    "export": "data export toy --to OUT",
    "tsv": "predict --model builtin --data SRC/dna.fa --out OUT/old.tsv",
    "bed": "predict --model builtin --data SRC/dna.fa --out OUT/old.bed",
    "bigwig": "predict --model builtin --data SRC/dna.fa --out OUT/old.bw",
    "variants": "variants --model builtin --data SRC/v.vcf --fasta SRC/chr.fa --out OUT/old.csv",
    "report": "compare whole --out OUT/old.html",
    "model": "model import SRC/w.safetensors --name mine",
    "bundle": "bundle whole --out OUT/bundle",
}
SHARES = (0, 0.3, 0.6, 0.9)  # of the bytes that a command writes, so many are free


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files to work on, and a home with a data set and a finished run."""
    folder = tmp_path_factory.mktemp("source")
    home = toy_home(folder)
    run = launch.prepare(home, toy_config(test_split=0.2), RunRequest(id="whole")).create()
    assert Worker(run).work() == "finished"
    shutil.copy(run.folder / runs.BEST, folder / "w.safetensors")
    (folder / "dna.fa").write_text(DNA)
    (folder / "chr.fa").write_text(">chr1\n" + "ACGTTGTTTACATTGC" * 500 + "\n")
    (folder / "v.vcf").write_text("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\n" + "chr1\t1601\t.\tA\tG\n" * 40)
    return folder


@pytest.fixture
def disk(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file system of its own with the home, and a folder `out` with files of the names that are asked for."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with mounted(folder, "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs"):
        fill(folder, source)
        monkeypatch.setenv("TFBIND_HOME", str(folder / "home"))
        yield folder


def fill(folder: Path, source: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path)
    shutil.copytree(source / "home", folder / "home")
    (folder / "out").mkdir()
    for name in re.findall(r"OUT/(old\.\w+)", " ".join(KINDS.values())):
        (folder / "out" / name).write_bytes(OLD)


@contextmanager
def full(folder: Path, left: int = 0) -> Iterator[None]:
    """No more than so many bytes are left on this file system."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        file.write(bytes(max(0, shutil.disk_usage(folder).free - left)))
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def stays_full(folder: Path) -> Iterator[None]:
    """Nothing is left on this file system, nor is what others free on it meanwhile."""
    over = threading.Event()

    def take() -> None:
        with (folder / "more").open("wb", buffering=0) as file:
            while not over.wait(0.001):
                with suppress(OSError):
                    file.write(bytes(shutil.disk_usage(folder).free))

    with full(folder):
        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            (folder / "more").unlink()


def kept(folder: Path) -> dict[str, bytes]:
    """Every file but locks, and the parts of predictions, from which the same command goes on."""
    found = {path.relative_to(folder).as_posix(): content for path, content in contents(folder).items()}
    passing = re.compile(r"\.parts/|locks/|\.lock$|cache/|ballast")
    return {name: content for name, content in found.items() if not passing.search(name)}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
def test_a_command_on_a_full_disk(kind: str, source: Path, disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(disk / "out")
    command = [word.replace("SRC", str(source)).replace("OUT", out) for word in KINDS[kind].split()]
    free = shutil.disk_usage(disk).free
    assert main(command) == 0, capsys.readouterr().err
    needed, whole = free - shutil.disk_usage(disk).free, kept(disk)
    refused = 0
    for share in SHARES:
        fill(disk, source)
        before = kept(disk)
        capsys.readouterr()
        with full(disk, int(needed * share)):
            code = main(command)
        said = capsys.readouterr().err
        if code:
            refused += 1
            assert code == 1, f"{share}: {said}"
            assert FULL.fullmatch(said.strip()), f"{share}: {said}"
            assert kept(disk) == before, f"{share}: {said}"
            assert main(command) == 0, f"{share}: {capsys.readouterr().err}"
        assert kept(disk).keys() == whole.keys(), f"{share}: {said}"
    assert refused > 1


def sweep_text(seeds: int = 2, **settings: object) -> str:
    fixed = {name: {"value": value} for name, value in toy_config(**settings).model_dump(exclude_none=True).items()}
    return yaml.safe_dump({"method": "grid", "parameters": fixed | {"seed": {"values": list(range(seeds))}}})


JOB = jobs.JobRequest("dna.fa", "whole", ".tsv", "forward", 3.0, True)
ACTIONS: dict[str, Callable[[Path], object]] = {
    "query": lambda home: url_state.save(home, DNA),
    "rename": lambda home: runs.rename(runs.find(home, "whole"), "another name"),
    "note": lambda home: record.annotate(runs.find(home, "whole"), "a, b", "a note"),
    "run": lambda home: launch.prepare(home, toy_config(), RunRequest(id="new")).create(),
    "sweep": lambda home: sweep_folder.create(home, parse_spec(sweep_text(), toy_config()), id="new"),
    "extend": lambda home: sweep_folder.extend(sweep_folder.find(home, "race"), sweep_text() + "run_cap: 1\n"),
    "test": lambda home: test_set.open_test(runs.find(home, "whole")),
    "baselines": lambda home: appraise(home),
    "pulled": lambda home: cache.save_names(cache.offline_project(home, "p"), {"lr": "learning_rate"}),
}


def appraise(home: Path) -> None:
    data = open_dataset(home, "toy")
    baselines.ensure_baselines(home, data, split(data, toy_config()))


@pytest.mark.parametrize("action", ACTIONS)
def test_what_a_page_keeps_on_a_full_disk(action: str, disk: Path) -> None:
    home = disk / "home"
    sweep_folder.create(home, parse_spec(sweep_text(), toy_config()), id="race")
    cache.save_offline_run(cache.offline_project(home, "p"), dict(PULLED), [{"epoch": 1, "val_loss": 0.5}])
    before = kept(disk)
    with full(disk), pytest.raises(OSError, match=str(disk)) as caught:
        ACTIONS[action](home)
    assert re.fullmatch(r"/\S+: the disk is full", format_error(caught.value))
    assert kept(disk) == before
    ACTIONS[action](home)
    assert kept(disk) != before


def test_a_background_job_on_a_full_disk(disk: Path) -> None:
    home, before = disk / "home", kept(disk)
    with full(disk), pytest.raises(ValueError, match=r"this needs about 0\.1 MB of disk; 0\.0 MB are free in /"):
        jobs.submit(home, JOB, io.BytesIO(DNA.encode()))
    with full(disk, jobs.DISK_PER_BYTE * len(DNA) + 8192):
        job = jobs.submit(home, JOB, io.BytesIO(DNA.encode()))
        (disk / "more").write_bytes(bytes(shutil.disk_usage(disk).free - 8192))
        wait_until(lambda: jobs.read_status(job).state != "running")
        status = jobs.read_status(job)
        assert status.state == "failed"
        assert "disk" in status.message
        (disk / "more").unlink()
    jobs.resume(job)
    wait_until(lambda: jobs.read_status(job).state == "finished")
    assert {name: content for name, content in kept(disk).items() if "/jobs/" not in name} == before


def test_pages_on_a_full_disk(disk: Path) -> None:
    """A pasted sequence is scored all the same; a run that cannot be kept is refused in one line."""
    page = app().switch_page("pages/predict.py").run()
    with full(disk):
        page = checked(page.text_area[0].set_value(">x\nACGTTGTTTACATTGCACGTTGTTTACATTGC\n").run())
        assert "A refresh will not bring this text back" in as_read(page.warning[0].value)
        assert "the disk is full" in as_read(page.warning[0].value)
        assert "32 bases" in as_read(shown(page))
        page = checked(button(app("whole"), "New run").click().run())
        page = checked(button(page, "Start").click().run())
        assert [error.value.endswith("the disk is full") for error in page.error] == [True]


def test_doctor_on_a_full_disk(disk: Path) -> None:
    with full(disk):
        done = tfbind(disk / "home", "doctor")
    assert (done.returncode, done.stderr) == (1, "")
    assert [line for line in done.stdout.splitlines() if line.startswith("WRONG")] == [
        "WRONG  disk       0.0 MB free"
    ]
    assert "`python -m tfbind disk` shows what takes room here" in done.stdout


def process_of(run: runs.Run) -> psutil.Process:
    return psutil.Process(run.status().pid)


def test_training_on_a_full_disk(disk: Path) -> None:
    """Filled while a run writes: the run says so, also where no room is left for saying it, and goes on later."""
    run = launch.submit(disk / "home", toy_config(**LONG), RunRequest(id="full"))
    wait_until(lambda: len(runs.read_rows(run)) >= 3)
    with stays_full(disk):
        wait_until(lambda: not run.status().active)
        rows, status = runs.read_rows(run), run.status()
        assert (status.state, status.error.rpartition(": ")[2]) == ("failed", "the disk is full")
        assert str(run.folder) in status.error
        log = run.folder / runs.LOG
        with log.open("ab") as file:
            file.write(b"\n" * (-log.stat().st_size % PAGE))  # not a line more fits in it
        resumed = tfbind(disk / "home", "resume", "full")
        assert resumed.returncode == 1
        assert FULL.fullmatch(resumed.stderr.strip()), resumed.stderr
        assert run.status().error.endswith("the disk is full")
    assert [row["epoch"] for row in rows] == list(range(1, len(rows) + 1))
    launch.resume(run)
    wait_until(lambda: len(runs.read_rows(run)) >= len(rows) + 3)
    assert runs.read_rows(run)[: len(rows)] == rows
    run.stop()


def test_a_test_that_only_the_log_has_no_room_for(disk: Path) -> None:
    """It is opened, and stays so; that the log lacks a line is said."""
    run = runs.find(disk / "home", "whole")
    log = run.folder / runs.LOG
    log.write_bytes(b"\n" * PAGE)
    with full(disk, PAGE), pytest.raises(OSError, match="No space left") as caught:
        test_set.open_test(run)
    assert format_error(caught.value) == f"{log}: the disk is full"
    assert test_set.open_test(run) == test_set.read_test_result(run)
    assert log.read_bytes() == b"\n" * PAGE


def test_a_graph_on_a_full_disk(disk: Path) -> None:
    """Filled after the last epoch: nothing of the run is lost, and resumed it has only its graph to write."""
    run = launch.prepare(disk / "home", toy_config(), RunRequest(id="graph")).create()
    with ExitStack() as until_the_end:

        def fill_up(row: runs.Row) -> None:
            if row["epoch"] == toy_config().num_epochs:
                until_the_end.enter_context(full(disk))

        assert Worker(run, on_row=fill_up).work() == "failed"
        assert run.status().error == f"{run.folder / runs.GRAPH}: the disk is full"
    rows, best = runs.read_rows(run), (run.folder / runs.BEST).read_bytes()
    assert len(rows) == toy_config().num_epochs
    assert Worker(run).work() == "finished"
    assert (runs.read_rows(run), (run.folder / runs.BEST).read_bytes()) == (rows, best)
    assert (run.folder / runs.GRAPH).read_bytes() == build_graph(read_tensors(run.folder / runs.BEST))


def test_a_sweep_on_a_full_disk(disk: Path) -> None:
    """Filled while its runs write: they and the sweep say so, and once there is room it goes on with each of them."""
    home = disk / "home"
    text = sweep_text(seeds=3, num_epochs=EPOCHS, early_stopping_patience=EPOCHS)
    sweep = sweep_folder.create(home, parse_spec(text, toy_config()), id="life", parallel=2)
    sweep.spawn([sys.executable, "-m", "tfbind", "sweep", "--resume", sweep.id])
    hold(lambda: sweep_folder.sweep_runs(sweep), 2, 3, process_of)
    with stays_full(disk):
        for run in sweep_folder.sweep_runs(sweep):
            process_of(run).resume()
        wait_until(lambda: not sweep.status().active)
        begun = sweep_folder.sweep_runs(sweep)
        wait_until(lambda: not any(run.status().active for run in begun))
        for each in (sweep, *begun):
            status = each.status()
            assert (status.state, str(status.error).rpartition(": ")[2]) == ("failed", "the disk is full"), status
        refused = tfbind(home, "sweep", "--resume", sweep.id)
        assert refused.returncode == 1
        assert FULL.fullmatch(refused.stderr.strip()), refused.stderr
    rows = {run.id: runs.read_rows(run) for run in begun}
    assert all(2 < len(kept) < EPOCHS for kept in rows.values())
    again = tfbind(home, "sweep", "--resume", sweep.id)
    assert (again.returncode, again.stderr) == (0, "")
    ended = sweep_folder.sweep_runs(sweep)
    assert sorted(runs.read_config(run).seed for run in ended) == [0, 1, 2]
    for run in ended:
        assert run.state == "finished"
        assert [row["epoch"] for row in runs.read_rows(run)] == list(range(1, EPOCHS + 1))
        assert runs.read_rows(run)[: len(rows.get(run.id, []))] == rows.get(run.id, [])


def test_a_disk_that_takes_no_more_files_is_told_from_one_that_has_no_room(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "nr_inodes=10", "tmpfs"):
        with suppress(OSError):
            for number in range(10):
                (tmp_path / "disk" / str(number)).touch()
        with pytest.raises(OSError, match="No space left"):
            runs.create(tmp_path / "disk", toy_config())
        first = takewhile(lambda finding: finding.subject != "runs", doctor.examine(tmp_path / "disk"))
        said = [finding.said for finding in first if finding.subject == "disk"]
    assert said[1].startswith("all inodes are taken")
