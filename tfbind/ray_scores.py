"""Scoring on a Ray cluster: pieces go out as tasks, and their scores come back in order."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from tfbind.pieces import Options, Piece
from tfbind.predict import ScorePieces
from tfbind.ray_pipe import Driver
from tfbind.scoring import Scores, read_members

AHEAD = 2  # pieces under way for each CPU: one that is scored, one on its way
WAIT_SECONDS = 1.0


@contextmanager
def scorer(
    address: str, home: Path, names: str, options: Options, tell: Callable[[str], None]
) -> Iterator[ScorePieces]:
    """What scores pieces on the cluster at `address`, with the model of `names`.

    `tell` is called when it waits since other work has taken all CPUs of the cluster, with that in one line.

    Raises:
        ValueError: Ray is not installed, or the address or the model is none.
        OSError: there is no cluster, or it is lost while it scores.
    """
    members = {str(number): save(dict(weights)) for number, weights in enumerate(read_members(home, names))}
    driver = Driver(address)
    try:
        driver.send({"do": "model", "name": names, "options": asdict(options)}, members)
        yield lambda pieces: _scores(driver, pieces, tell)
    finally:
        driver.close()


def _scores(driver: Driver, pieces: Iterable[Piece], tell: Callable[[str], None]) -> Iterator[Scores]:
    done: dict[int, Scores] = {}
    sent = taken = 0
    for piece in pieces:
        order = {"do": "score", "key": str(sent), "lengths": piece.lengths, "first": piece.first, "last": piece.last}
        driver.send(order, {"codes": piece.codes.tobytes()})
        sent += 1
        while sent - taken >= AHEAD * max(1, _cpus(driver)):
            yield _next(driver, done, taken, tell)
            taken += 1
    while taken < sent:
        yield _next(driver, done, taken, tell)
        taken += 1


def _cpus(driver: Driver) -> int:
    return sum(int(cpus) for cpus, _ in driver.nodes)


def _next(driver: Driver, done: dict[int, Scores], number: int, tell: Callable[[str], None]) -> Scores:
    while number not in done:
        if not _cpus(driver):
            raise OSError(
                f"no node of the Ray cluster at {driver.address} has a CPU; with one, the same command goes on"
            )
        message = driver.receive(WAIT_SECONDS)
        if message is None or "key" not in message.facts:
            continue
        if message.facts["event"] == "waits":
            where = f"the Ray cluster at {driver.address}"
            tell(f"waits for a free CPU of {where}, which has {_cpus(driver)}; goes on by itself")
            continue
        if message.facts["event"] != "scores":
            said = message.facts.get("error", message.facts["event"])
            raise OSError(f"the Ray cluster at {driver.address} did not score a piece: {said}")
        done[int(message.facts["key"])] = np.frombuffer(message.files["scores"], np.float32)
    return done.pop(number)
