"""Whatever takes part in work on a Ray cluster is killed at instants drawn at random, on clusters of several layouts.

The command is given again until it is done. At every look each state is true and no finished epoch is missing; at the
end all is as if it had been done here, undisturbed.
"""

import contextlib
import random
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import pytest
import yaml
from life import SEED, Start, outcome, tfbind, wait_for_end
from toy import toy_config

from tfbind.dna.codes import decode
from tfbind.runs import folder, launch
from tfbind.runs.folder import Run
from tfbind.sweeps import sweep_folder

pytest.importorskip("ray", reason="Ray is not installed; pip install -r requirements-ray.txt")

from ray_cluster import RayCluster

LAYOUTS = [(1, (1,)), (0, (1, 1)), (0, (2,)), (2, (2,))]  # CPUs of the head, and of the other nodes
KINDS = ("worker", "node", "driver", "command", "head")
LIFE = 16.0  # seconds: an undisturbed command is at its end within so long
END_SECONDS = 60.0  # a command has seen within so long that its cluster is gone
RATES = [0.01, 0.003]
EPOCHS = 60
REASONS = re.compile(
    r"the Ray cluster at 127\.0\.0\.1:\d+ is gone: its head, or Ray on this machine, has ended or does not answer"
    r"|the process that speaks to the Ray cluster at 127\.0\.0\.1:\d+ was killed, or out of memory"
    r"|its worker was lost 3 times in a row without finishing an epoch; the last time: [a-z ]+"
    r"|--ray 127\.0\.0\.1:\d+: (?!\[20).*"  # which would be Ray's own log
)
WAITS = re.compile(r"(run \S+ )?waits(:| for a free CPU| for 1 free CPU) .*of the Ray cluster at 127\.0\.0\.1:\d+.*")


@dataclass
class Killer:
    """Kills what it draws from a deck, each kind of thing once, and has a cluster at hand for whoever goes on."""

    rng: random.Random
    deck: list[str] = field(default_factory=lambda: list(KINDS))
    cluster: RayCluster = field(init=False)
    killed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self.layout = self.rng.choice(LAYOUTS)
        self.cluster = RayCluster(*self.layout)

    def strike(self, command: "subprocess.Popen[str]", look: Callable[[], None]) -> None:
        """Kill one thing; nothing if there is none such at this instant."""
        place = self.rng.randrange(len(self.deck))
        what = self.deck[place]
        if not getattr(self, f"_{what}")(command):
            return
        self.killed.append(self.deck.pop(place))
        if what in ("driver", "command", "head"):
            assert not lives(command, END_SECONDS, look), f"{self}: it goes on"
        if what == "head":
            self.cluster.stop()
            self._start()

    def _worker(self, _: "subprocess.Popen[str]") -> bool:
        workers = self.cluster.workers()
        if workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                self.rng.choice(workers).kill()
        return bool(workers)

    def _node(self, _: "subprocess.Popen[str]") -> bool:
        self.cluster.nodes[-1].kill()
        self.cluster.join(self.layout[1][-1])
        return True

    def _driver(self, command: "subprocess.Popen[str]") -> bool:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(command.pid).children():
                if "tfbind.cluster.driver" in child.cmdline():
                    child.kill()
                    return True
        return False

    def _command(self, command: "subprocess.Popen[str]") -> bool:
        command.kill()
        return True

    def _head(self, _: "subprocess.Popen[str]") -> bool:
        self.cluster.head.kill()
        return True

    def __str__(self) -> str:
        return f"seed {SEED}, {self.layout}, killed: {', '.join(self.killed)}"


@pytest.fixture
def killer() -> Iterator[Killer]:
    killer = Killer(random.Random(SEED))
    yield killer
    killer.cluster.stop()


def lives(command: "subprocess.Popen[str]", seconds: float, look: Callable[[], None]) -> bool:
    """Let a command live for so long, and look at what it does; False if it ended."""
    end = time.monotonic() + seconds
    while command.poll() is None and time.monotonic() < end:
        look()
        time.sleep(0.05)
    return command.poll() is None


def ended(command: "subprocess.Popen[str]", place: object) -> bool:
    """Whether a command that has ended did its work. If not, it was killed, or says in one line why, after those in
    which it said that it waits."""
    _, said = command.communicate()
    if command.returncode > 0:
        assert command.returncode == 1, f"{place}: {said}"
        assert re.fullmatch(rf"({WAITS.pattern}\n)*tfbind: .*({REASONS.pattern}).*\n", said), f"{place}: {said}"
    return command.returncode == 0


@pytest.mark.timeout(600)
def test_a_sweep_whatever_is_killed_at_any_instant(home: Path, start: Start, killer: Killer) -> None:
    fixed = toy_config(num_epochs=EPOCHS).model_dump(exclude={"learning_rate"}, exclude_none=True)
    parameters = {field: {"value": value} for field, value in fixed.items()} | {"learning_rate": {"values": RATES}}
    spec = home / "spec.yaml"
    spec.write_text(yaml.safe_dump({"method": "grid", "parameters": parameters}))
    killer.deck += killer.rng.choices(KINDS[:-1], k=3)
    here = {}
    for rate in RATES:
        run = launch.submit(home, toy_config(num_epochs=EPOCHS, learning_rate=rate))
        assert wait_for_end(run) == "finished"
        here[rate] = run
    number = 0
    while killer.deck:
        number += 1
        id = f"s{number}"
        watched = Watched(home, id, killer)
        while not watched.finished():
            words = [str(spec), "--id", id, "--dataset", "toy"]
            if watched.sweep_is_there():
                words = ["--retry" if watched.failed() else "--resume", id]
            watched.command = start("sweep", *words, "--ray", killer.cluster.address)
            while lives(watched.command, killer.rng.uniform(0, LIFE), watched.look):
                if killer.deck:
                    killer.strike(watched.command, watched.look)
            ended(watched.command, killer)
            watched.look()
        made = watched.runs()
        assert sorted(folder.read_config(run).learning_rate for run in made) == sorted(RATES), str(killer)
        for run in made:
            alike = here[folder.read_config(run).learning_rate]
            assert outcome(run) == outcome(alike), str(killer)
            assert {path.name for path in run.folder.iterdir()} == {path.name for path in alike.folder.iterdir()}
    print(f"{killer}; in {number} sweeps")


@dataclass
class Watched:
    """A sweep and its runs as they are seen from outside."""

    home: Path
    id: str
    killer: Killer
    command: "subprocess.Popen[str] | None" = None
    seen: dict[str, list[folder.Row]] = field(default_factory=dict)

    def sweep_is_there(self) -> bool:
        return (self.home / "sweeps" / self.id / sweep_folder.SETTINGS).exists()

    def runs(self) -> list[Run]:
        return sweep_folder.sweep_runs(sweep_folder.find(self.home, self.id)) if self.sweep_is_there() else []

    def states(self) -> list[str]:
        return [folder.read_status(run).state for run in self.runs()]

    def failed(self) -> bool:
        return folder.read_status(sweep_folder.find(self.home, self.id)).state == "finished"

    def finished(self) -> bool:
        return self.states() == ["finished"] * len(RATES)

    def look(self) -> None:
        """No row that was there is gone or another; who is active is worked on; who is not says why."""
        if not self.sweep_is_there():
            return
        for run in (*self.runs(), sweep_folder.find(self.home, self.id)):
            status, rows, before = folder.read_status(run), folder.read_rows(run), self.seen.get(run.id, [])
            place = f"{self.killer}: {run.id}: {status}"
            assert rows[: len(before)] == before, place
            self.seen[run.id] = rows
            if status.active:
                assert self.command, place
                assert (status.pid, status.error) == (self.command.pid, None), place
            elif status.state == "crashed":
                assert status.error == folder.ENDED_OUTSIDE, place
            elif status.state == "failed":
                assert REASONS.match(status.error or ""), place
            elif status.state == "killed":  # and the sweep is about to go on with it, or has just begun to
                request = folder.read_stop(run)
                with_sweep = request is not None and request.reason is folder.StopReason.WITH_SWEEP
                assert with_sweep or folder.read_status(run) != status, place
            else:
                assert (status.state, status.error) == ("finished", None), place
                assert len(rows) in (EPOCHS, 0), place


@pytest.mark.timeout(600)
def test_a_prediction_whatever_is_killed_at_any_instant(
    home: Path, start: Start, killer: Killer, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    lengths = {"chr1": 2_500_000, "chrM": 300, "chr2": 9_100}
    genome = tmp_path / "genome.fa"
    codes = {name: rng.integers(0, 4, bases, dtype=np.uint8) for name, bases in lengths.items()}
    genome.write_text("".join(f">{name}\n{decode(letters)}\n" for name, letters in codes.items()))
    words = ["predict", "--model", "builtin", "--data", str(genome), "--out"]
    here = tmp_path / "here" / "p.bw"
    here.parent.mkdir()
    assert tfbind(home, *words, str(here)).returncode == 0
    number = 0
    while killer.deck:
        number += 1
        there = tmp_path / f"there-{number}" / "p.bw"
        there.parent.mkdir()
        done = False
        while not done:
            command = start(*words, str(there), "--ray", killer.cluster.address)
            while lives(command, killer.rng.uniform(0, LIFE), lambda: None):
                if killer.deck:
                    killer.strike(command, lambda: None)
            done = ended(command, killer)
        assert there.read_bytes() == here.read_bytes(), str(killer)
        assert sorted(path.name for path in there.parent.iterdir()) == sorted(
            path.name for path in here.parent.iterdir()
        ), str(killer)
    print(f"{killer}; in {number} predictions")
