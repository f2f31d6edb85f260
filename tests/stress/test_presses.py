"""Many people who do not only watch: each scores DNA of their own, and several press the same buttons at once.

Nobody sees the scores of another, no press is lost, and each page says what has become of the run.
"""

import base64
import os
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from driving import Server, serve
from life import LONG, SEED, said_truly, wait_for_end, wait_until, worked_on
from numpy.typing import NDArray
from toy import toy_config
from visitor import Visitor, visiting

from tfbind import runs
from tfbind.dna.codes import encode
from tfbind.runs import launch
from tfbind.runs.folder import Run
from tfbind.runs.launch import RunRequest
from tfbind.scoring.model import load_model, score

CROWD = 20
ROUNDS = 6
LONGER = 40  # bases by which the DNA of one person is longer than that of the one before
ROUNDED = 6e-4  # a figure has three digits after the point
GROWTH = 60e6  # bytes from the second round to the last
PEOPLE = 4
PRESSES = 10
WAYS_ON = [["Resume"], ["Resume", "Move to trash"], ["Move to trash"]]


@pytest.fixture
def server(home: Path) -> Iterator[Server]:
    with serve(home) as running:
        yield running


def drawn(visitor: Visitor, bases: int) -> NDArray[np.float32] | None:
    """The profile of so many bases that a page shows, None while it does not."""
    for figure in visitor.figures():
        for curve in figure["data"]:
            if curve.get("name") == "predicted":
                scores = np.frombuffer(base64.b64decode(curve["y"]["bdata"]), curve["y"]["dtype"])
                return scores if len(scores) == bases else None
    return None


@pytest.mark.timeout(600)
def test_twenty_people_who_score_dna_of_their_own_each_see_its_scores(home: Path, server: Server) -> None:
    rng, model, process = random.Random(SEED), load_model(home, "builtin"), psutil.Process(server.pid)
    people, taken = [Visitor(page="predict") for _ in range(CROWD)], []
    with visiting(server, people):
        wait_until(lambda: all(person.offers("Score") for person in people))
        for number in range(ROUNDS):
            texts = ["".join(rng.choices("ACGT", k=100 + number + LONGER * place)) for place in range(CROWD)]
            for person, text in zip(people, texts, strict=True):
                person.write("DNA sequence", text)
            for person, text in zip(people, texts, strict=True):
                wait_until(lambda person=person, text=text: drawn(person, len(text)) is not None)
                difference = np.abs(drawn(person, len(text)) - score(model, encode(text)).scores).max()
                assert difference < ROUNDED, f"seed {SEED}, round {number}"
            taken.append(process.memory_info().rss)
        assert [said for person in people for said in person.complaints()] == []
    print(f"server: {', '.join(f'{size / 1e6:.0f}' for size in taken)} MB")
    assert taken[-1] - taken[1] < GROWTH, taken


def alive(home: Path, number: int) -> Run:
    """A run with some epochs that goes on for long."""
    run = launch.submit(home, toy_config(**LONG), RunRequest(id=f"pressed-{number}-{os.getpid()}"))
    wait_until(lambda: len(runs.read_rows(run)) > 3)
    return run


def press_at_once(server: Server, run: Run, offered: list[str], rng: random.Random) -> set[str]:
    """Have each of several people press one of these buttons of a run, some of them twice; what was pressed."""
    people = [Visitor(f"run={run.id}") for _ in range(PEOPLE)]
    with visiting(server, people):
        wait_until(lambda: all(person.pages and person.offers(label) for person in people for label in offered))
        seen = [person.pages for person in people]
        pressed = [rng.choice(offered) for _ in people]
        for person, label in zip(people, pressed, strict=True):
            for _ in range(rng.choice((1, 2))):
                person.press(label)
        wait_until(lambda: all(person.pages > before for person, before in zip(people, seen, strict=True)))
        wait_until(lambda: said_truly(run) if run.folder.exists() else not worked_on(run))
        assert [said for person in people for said in person.complaints(["exception"])] == [], f"seed {SEED}"
    return set(pressed)


@pytest.mark.timeout(600)
def test_of_several_who_press_at_once_all_are_answered_and_the_run_is_what_it_is_said_to_be(
    home: Path, server: Server
) -> None:
    """They stop a run that is active, and go on with one that is not, or throw it away."""
    rng, run, deleted = random.Random(SEED), alive(home, 0), 0
    for number in range(PRESSES):
        rows, said = runs.read_rows(run), f"seed {SEED}, press {number}"
        if run.status().active:
            press_at_once(server, run, ["Stop"], rng)
            assert wait_for_end(run) == "killed", said
        else:
            pressed = press_at_once(server, run, rng.choice(WAYS_ON), rng)
            assert pressed != {"Resume"} or run.status().active, said
            assert pressed != {"Move to trash"} or not run.folder.exists(), said
        found = run if run.folder.exists() else Run(home / "trash" / run.id)
        assert runs.read_rows(found)[: len(rows)] == rows, said
        if found != run:
            deleted += 1
            run = alive(home, deleted)
    print(f"seed {SEED}: {PRESSES} presses by {PEOPLE} people, {deleted} runs deleted")
