"""Every command that writes, and jobs in the background, killed at moments drawn at random.

What a home lists is whole, what was there before is there, and the same command again ends as one that was never
disturbed, with nothing half-written left. The processes are forks of one that has imported what they need: nearly all
of their life is the work itself.
"""

import contextlib
import io
import multiprocessing
import os
import random
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from driven import app, checked
from life import SEED
from toy import toy_config, toy_home
from wandb_server import ENTITY, KEY, StoredRun, WandbServer

from tfbind import runs
from tfbind.cli import doctor
from tfbind.data import dataset, manage
from tfbind.dna.codes import decode
from tfbind.evaluation import filters, test_set
from tfbind.nn import weight_files
from tfbind.runs import launch
from tfbind.runs.worker import Worker
from tfbind.scoring import jobs
from tfbind.store.atomic import is_draft
from tfbind.tracking import cache

IMPORTED = [
    *("scoring.predict", "scoring.bundle", "variants.effects", "compare.report", "compare.text"),
    *("evaluation.test_set", "evaluation.filters", "cluster.task"),
]
KILLS = dict.fromkeys(("predict", "test", "baselines", "filters", "model", "bundle"), 3)  # the life of these is long
USUALLY = 4
JOBS = 8
BASES = 1_300_000

OPERATIONS = {
    "predict": "predict --model builtin --data SRC/dna.fa --out OUT/p.bedgraph",
    "tiles": "predict --model done --data SRC/short.fa --out OUT/p.tsv",
    "bigwig": "predict --model builtin --data SRC/short.fa --out OUT/p.bw",
    "variants": "variants --model builtin --data SRC/v.vcf --fasta SRC/dna.fa --out OUT/e.tsv",
    "import": "data import --sequences SRC/big_sequences.txt.gz --scores SRC/big_scores.txt.gz --name again",
    "build": "data build built --genome SRC/dna.fa --motif FOXA1 --length 100",
    "fetch": "data fetch big --from WEB --name again",
    "builtin": "data build builtin",
    "rename": "data rename big other",
    "delete": "data delete big",
    "export": "data export big --to OUT",
    "trash": "disk --empty-trash",
    "checkpoints": "disk --drop-checkpoints",
    "pull": f"pull {ENTITY}/project",
    "forget": f"pull {ENTITY}/kept --forget",
    "test": "test done",
    "baselines": "baselines --dataset toy",
    "filters": "filters done",
    "report": "compare done two --out OUT/r.html",
    "model": "model import SRC/w.safetensors --name mine",
    "bundle": "bundle done --out OUT/bundle",
}
PAGES = {  # that show what these work on
    "data": ("import", "fetch", "build", "builtin", "rename", "delete", "trash"),
    "compare": ("pull", "forget", "baselines"),
    "predict": ("model",),
    "train": ("test", "filters", "checkpoints"),
}
LOOKED_AT = 3  # of so many kills the page is looked at after one
# Hold times, or hashes of the time that a file was written.
VARYING = re.compile(r".*\.about\.json|meta\.json|card\.json|test\.json|project\.json|log\.txt|r\.html|about\.json")
UNSEEN = re.compile(r".*\.lock|locks|client|printed")  # of no meaning to a reader
# Parts of a prediction and files that came are kept, so that it goes on from there.
UNDER_WAY = re.compile(r"\.incoming|.*\.parts|downloads")

Tree = dict[tuple[str, ...], bytes]


def be_command(
    words: list[str], home: str, printed: str, published: manage.Source, environment: dict[str, str]
) -> None:
    """Be the process of a command, for which this pair of files is a public one."""
    os.environ.update(environment, TFBIND_HOME=home)  # its parent, the fork server, has that of its own start
    manage.SOURCES["big"] = published
    out = os.open(printed, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    from tfbind.__main__ import main

    sys.exit(main(words))


def be_server(home: str, dna: str, id: str) -> None:
    """Be the process of a server that starts a job."""
    order = jobs.JobRequest("dna.fa", "builtin", ".bed", "forward", 3.0, pad=False)
    jobs.submit(Path(home), order, io.BytesIO(Path(dna).read_bytes()), id)


@pytest.fixture(scope="module")
def forks() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["tfbind.__main__", "onnxruntime", "pooch", "requests", *(f"tfbind.{name}" for name in IMPORTED)]
    )
    return context


class Slow(SimpleHTTPRequestHandler):
    """Serves files no faster than a network does."""

    def copyfile(self, source: Any, outputfile: Any) -> None:
        with contextlib.suppress(ConnectionError):  # who asked was killed
            for piece in iter(lambda: source.read(1 << 14), b""):
                outputfile.write(piece)
                time.sleep(0.005)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def web(folder: Path) -> Iterator[str]:
    """The address at which the files in a folder can be had."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Slow, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def wandb() -> Iterator[None]:
    """A server with two projects, and what is needed to ask it in the environment."""
    rows = [{"epoch": epoch, "val_loss": 1 / epoch, "val_pearsonr": 0.5} for epoch in range(1, 30)]
    with WandbServer() as server, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            patch.delenv(name)
        patch.setenv("WANDB_API_KEY", KEY)
        patch.setenv("WANDB_BASE_URL", server.url)
        for project in ("project", "kept"):
            for seed in range(60):
                config = {"learning_rate": 0.1, "seed": seed}
                server.add(StoredRun(ENTITY, project, f"r{seed}", f"run {seed}", config, rows[-1], rows, "finished"))
        yield


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory, forks: ForkServerContext) -> Iterator["Place"]:
    """Files to work on, and `home` with data, runs, a project of W&B and things in its trash; a place for copies."""
    folder = tmp_path_factory.mktemp("source")
    home = toy_home(folder)
    for seed, id in enumerate(("done", "two")):
        run = launch.prepare(
            home, toy_config(num_epochs=2, test_split=0.2, seed=seed), launch.RunRequest(id=id)
        ).create()
        assert Worker(run).work() == "finished"
    for number in range(40):
        shutil.copytree(run.folder, home / "trash" / f"old-{number}")
    shutil.copy(run.folder / runs.BEST, folder / "w.safetensors")
    shutil.copytree(dataset.make_builtin(folder, 2000).path, home / "data" / "big")
    pair = manage.export(dataset.open_dataset(home, "big"), folder)
    published = manage.Source("", {path.name: dataset.sha256(path) for path in pair}, "")
    letters = decode(np.random.default_rng(7).integers(0, 4, BASES, dtype=np.uint8))
    for name, bases in (("dna", BASES), ("short", BASES // 50)):
        (folder / f"{name}.fa").write_text(f">chr1\n{letters[:bases]}\n")
    calls = [f"chr1\t{at}\t.\t{letters[at - 1]}\t{letters[at - 1]}A\n" for at in range(500, 150_000, 50)]
    (folder / "v.vcf").write_text("#CHROM\tPOS\tID\tREF\tALT\n" + "".join(calls))
    with wandb(), web(folder) as address:
        place = Place(folder / "copy", folder, forks, published, address)
        shutil.copytree(home, place.home)
        assert place.start(f"pull {ENTITY}/kept").ended() == 0, place.printed.read_text()
        shutil.rmtree(home)
        place.home.rename(home)
        yield place


@pytest.fixture
def place(copied: "Place", tmp_path: Path) -> "Place":
    return replace(copied, folder=tmp_path)


@dataclass(frozen=True)
class Place:
    """A folder with a home of its own, and `out`, for one life of a command."""

    folder: Path
    source: Path
    forks: ForkServerContext
    published: manage.Source
    address: str

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def printed(self) -> Path:
        return self.folder / "printed"

    def renew(self) -> Tree:
        """Bring everything back to where it was; what that is."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.source / "home", self.home)
        (self.folder / "out").mkdir()
        return self.tree()

    def tree(self) -> Tree:
        """Every file, but for those that mean nothing to a reader."""
        found = ((path, path.relative_to(self.folder).parts) for path in self.folder.rglob("*") if path.is_file())
        kept = [(path, parts) for path, parts in found if not any(map(UNSEEN.fullmatch, parts))]
        return {parts: b"" if VARYING.fullmatch(parts[-1]) else path.read_bytes() for path, parts in kept}

    def start(self, command: str) -> "Life":
        places = {"SRC": str(self.source), "OUT": str(self.folder / "out"), "WEB": self.address}
        words = re.sub("|".join(places), lambda found: places[found[0]], command).split()
        order = (words, str(self.home), str(self.printed), self.published, dict(os.environ))
        process = self.forks.Process(target=be_command, args=order)
        process.start()
        return Life(process)


@dataclass(frozen=True)
class Life:
    """A process that lives for a while."""

    process: ForkServerProcess

    def ended(self) -> int | None:
        """Wait for the end; the exit code."""
        self.process.join(120)
        return self.process.exitcode

    def killed(self, seconds: float) -> bool:
        """Kill it after so many seconds; whether it had not ended by then. What it started ends, too."""
        self.process.join(seconds)
        started: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            started = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        killed = self.ended() == -signal.SIGKILL
        _, living = psutil.wait_procs(started, 60)
        assert living == [], f"seed {SEED}: left behind"
        return killed


def half_made(parts: tuple[str, ...]) -> bool:
    """Whether a file lies where nobody takes it for a thing."""
    return any(is_draft(part) or UNDER_WAY.fullmatch(part) for part in parts)


def check_lists(home: Path) -> None:
    """Everything that is listed can be read, and `doctor` finds nothing wrong."""
    for entry in dataset.list_datasets(home):
        dataset.open_validated(home, entry["name"])
    for run in runs.list_runs(home):
        assert runs.summary(run)["state"] == "finished"
        test_set.read_test_result(run)
        filters.read_filters(run)
    weight_files.list_models(home)
    cache.stored_runs(home)
    wrong = [finding for finding in doctor.examine(home) if finding.state == "wrong" and finding.subject != "disk"]
    assert wrong == [], f"seed {SEED}"


def check_page(home: Path, name: str) -> None:
    """The page that shows what a command works on shows it without a complaint."""
    for page in (page for page, names in PAGES.items() if name in names):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TFBIND_HOME", str(home))
            shown = checked(app("done" if page == "train" else None).switch_page(f"pages/{page}.py").run())
        assert [error.value for error in [*shown.error, *shown.warning]] == [], f"seed {SEED}"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_command_killed_at_any_instant(place: "Place", name: str) -> None:
    rng, command, lives = random.Random(f"{SEED} {name}"), OPERATIONS[name], []
    for _ in range(2):  # the first one warms up what comes after it
        before, begun = place.renew(), time.monotonic()
        assert place.start(command).ended() == 0, place.printed.read_text()
        lives.append(time.monotonic() - begun)
    whole, kills, number = place.tree(), 0, 0
    while number < KILLS.get(name, USUALLY) or not kills:  # each may end first where the machine is quicker by now
        place.renew()
        said, begun = f"seed {SEED}, {name}, kill {number}", time.monotonic()
        if place.start(command).killed(rng.uniform(0, min(lives))):
            kills += 1
        else:
            lives.append(time.monotonic() - begun)
        found = {parts: content for parts, content in place.tree().items() if not half_made(parts)}
        strange = [parts for parts, content in found.items() if content not in (before.get(parts), whole.get(parts))]
        assert strange == [], said
        assert before.keys() & whole.keys() <= found.keys(), said
        check_lists(place.home)
        if number % LOOKED_AT == 0:
            check_page(place.home, name)
        if place.tree() != whole:
            assert place.start(command).ended() == 0, f"{said}: {place.printed.read_text()}"
        after = place.tree()
        assert after.keys() == whole.keys(), said
        assert [parts for parts in whole if after[parts] != whole[parts]] == [], said
        number += 1
    print(f"seed {SEED}: {kills} kills in {min(lives):.2f} s of life")


@pytest.mark.timeout(600)
def test_a_job_whose_server_and_process_are_killed_at_any_instant(place: "Place") -> None:
    rng, forks = random.Random(SEED), place.forks
    place.renew()

    def submit() -> tuple[jobs.PredictionJob, Life]:
        job = jobs.job_of(place.home, jobs.new_id())
        process = forks.Process(target=be_server, args=(str(place.home), str(place.source / "short.fa"), job.id))
        process.start()
        return job, Life(process)

    def kill(job: jobs.PredictionJob, seconds: float) -> str:
        """Let a job live for so long and kill its process; the state that it ends in."""
        deadline = time.monotonic() + seconds
        while jobs.read_status(job).state == "running":
            if time.monotonic() > deadline:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(job.read_state().owner.pid, signal.SIGKILL)
            time.sleep(0.005)
        return jobs.read_status(job).state

    begun = time.monotonic()
    undisturbed, server = submit()
    assert server.ended() == 0
    starts = time.monotonic() - begun
    assert kill(undisturbed, 120) == "finished"
    lives = time.monotonic() - begun
    whole, kills = jobs.output(undisturbed, jobs.read_request(undisturbed)).read_bytes(), 0
    for number in range(JOBS):
        job, server = submit()
        server.process.join(rng.uniform(0, starts))
        server.process.kill()
        kills += server.ended() == -signal.SIGKILL
        time.sleep(0.2)  # a process that it had forked has become the command by then
        said = f"seed {SEED}, job {number}"
        assert job.folder.exists() == (job in jobs.list_jobs(place.home)), said
        if not job.folder.exists():
            continue
        while kill(job, rng.uniform(0, lives)) != "finished":
            kills += 1
            assert jobs.read_status(job).state == "crashed", f"{said}: {jobs.read_status(job)}"
            check_lists(place.home)
            jobs.resume(job)
        assert jobs.output(job, jobs.read_request(job)).read_bytes() == whole, said
        assert not any(is_draft(path.name) for path in job.folder.iterdir()), said
    print(f"seed {SEED}: {kills} kills in {JOBS} jobs")
