"""Pulling runs on the Compare page, by the real W&B client from a server on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from driven import click, labels, opened, words
from published import keep
from streamlit.testing.v1 import AppTest
from wandb_server import ENTITY, KEY, Fault, StoredRun, WandbServer, seed_runs

from tfbind.compare.runs import known_runs
from tfbind.tracking import cache
from ui.widgets.session import plain

pytestmark = pytest.mark.usefixtures("home", "no_wandb")


@pytest.fixture
def server() -> Iterator[WandbServer]:
    with WandbServer() as server:
        for run in seed_runs():
            server.add(run)
        yield server


def compare(**address: str) -> AppTest:
    return opened("compare", **address)


def pull(page: AppTest, server: WandbServer, path: str, key: str = KEY) -> AppTest:
    page.text_input("pull-url").set_value(server.url)
    page.text_input("pull-key").set_value(key)
    page.text_input("pull-path").set_value(path)
    return click(page, "Pull")


def test_the_seeds_three_runs_are_pulled_judged_and_their_curves_fetched_on_demand(home: Path, server) -> None:
    page = pull(compare(), server, "lab/seed")
    assert plain("3 runs of lab/seed, just now.") in words(page)
    assert "One run each" in words(page)
    assert page.dataframe[0].value.shape[0] == 3
    table = page.dataframe[0].value
    assert [len(curve) for curve in table["curve"]] == [0, 0, 0]
    assert table["best_epoch"].isna().all()
    assert table["server"].tolist() == [server.url] * 3
    assert "Only the last values of these runs are known." in words(page)
    click(page, "Get their curves")
    assert page.dataframe[0].value["best_epoch"].tolist() == [5, 5, 5]
    assert "Only the last values of these runs are known." not in words(page)
    assert all(len(past.rows) == 5 for past in cache.stored_runs(home))
    assert "Get their curves" not in labels(page)
    kept = [path for path in home.rglob("*") if path.is_file()]
    assert kept
    assert all(KEY.encode() not in path.read_bytes() for path in kept)
    assert server.requests == {"Viewer": 2, "GetDefaultEntity": 2, "Runs": 2, "RunFullHistory": 3}
    server.requests.clear()  # looking at what is kept asks nothing
    page.text_input("compare-filter").set_value("sweep-1").run()
    page.selectbox("compare-metric").set_value("val_loss").run()
    server.fault = Fault("drop")
    page = pull(compare(), server, "lab/seed/sweeps/abcd1234")
    assert plain("3 runs of lab/seed, kept since") in words(page)
    assert server.requests.total() == 0
    server.fault = None
    click(page, "Move to the trash")
    assert cache.stored_runs(home) == []
    assert "Kept here" not in words(page)
    assert len(list((home / "trash").glob("wandb-*"))) == 1
    assert plain("3 runs of lab/seed, just now.") in words(pull(page, server, "lab/seed"))


def test_the_seeds_three_runs_beside_the_replicates_of_this_home_and_a_copy_of_one(home: Path, server) -> None:
    mine, *others = keep(home)
    page = pull(compare(), server, "lab/seed")
    assert len(page.session_state["compare-selected"]) == 3
    assert plain("One run each: cannot be told.") in words(page)
    page = compare(runs=",".join(past.key for past in known_runs(home)[0]))
    assert len(page.session_state["compare-selected"]) == 15
    config = {name: {"value": value} for name, value in {**mine.config, "run": mine.id}.items()}
    server.add(StoredRun(ENTITY, "mine", mine.id, "copy", config, mine.rows[-1], mine.rows, "finished"))
    page = pull(compare(), server, f"{ENTITY}/mine")
    assert plain("Logged from here, and therefore shown as the runs of this home: 1.") in words(page)
    assert page.session_state["compare-selected"] == [mine.key]
    assert len(page.dataframe[0].value) == 1 + len(others) + 3


def test_what_cannot_be_pulled_is_one_line_and_keeps_the_page(server) -> None:
    page = compare()
    for path, key in (("lab/seed", "short"), ("nowhere", KEY), ("lab/none", KEY)):
        (error,) = pull(page, server, path, key).error
        assert len(error.value.splitlines()) == 1
        assert page.text_input("pull-path").value == path


def test_a_server_that_fails_while_curves_are_read_is_said_and_what_came_stays(home: Path, server) -> None:
    page = pull(compare(), server, "lab/seed")
    server.fault = Fault("403", "RunFullHistory", after=1)
    click(page, "Get their curves")
    (error,) = page.error
    assert plain(f"W&B at {server.url} forbids it (403); this key may not see lab/seed; ") in error.value
    server.fault = None
    came = sum(not past.sampled for past in cache.stored_runs(home))
    assert page.dataframe[0].value["best_epoch"].notna().sum() == came
    assert plain(f"; {came} of 3 curves came before that and are kept") in error.value
    click(page, "Get their curves")
    assert (came < 3, [len(past.rows) for past in cache.stored_runs(home)]) == (True, [5, 5, 5])


def test_names_of_other_code_are_mapped_once_and_remembered(home: Path, server) -> None:
    run = StoredRun(ENTITY, "other", "r1", "first", {"lr": {"value": 0.1}})
    run.history = [{"_step": 0, "epoch": 1, "val/r": 0.5, "val_loss": 1.0}]
    run.summary, run.state = run.history[-1], "finished"
    server.add(run)
    page = pull(compare(), server, f"{ENTITY}/other")
    (project,) = cache.projects(home)
    assert page.selectbox(f"name-{project.key}-lr").value == "learning_rate"
    page.selectbox(f"name-{project.key}-val/r").set_value("val_pearsonr")
    click(page, "Save names")
    (past,) = cache.stored_runs(home)
    assert past.config["learning_rate"] == 0.1
    assert past.rows[-1]["val_pearsonr"] == 0.5
    server.add(StoredRun(ENTITY, "zoo", "z1", "z", {"lr": {"value": 0.1}}, {"val_loss": 1.0}, state="finished"))
    page = pull(page, server, f"{ENTITY}/zoo")
    (zoo,) = [project for project in cache.projects(home) if project.path.endswith("/zoo")]
    assert page.selectbox("names-project").value == zoo.key
