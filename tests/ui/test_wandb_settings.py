"""Logging to W&B as the Train page offers it: where the key goes, and what is said of a run."""

import pytest
from driven import app, checked, click, read, words
from driving import wait_until
from stand_in import make_run
from wandb_server import ENTITY, KEY, Fault, WandbServer

from tfbind import runs
from tfbind.store.schema import read_json, write_json
from tfbind.tracking import logger
from ui.widgets.session import plain


@pytest.fixture
def home(home, no_wandb):
    no_wandb.setenv("HOME", str(home.parent))
    return home


def test_the_key_is_asked_for_online_and_never_shown(home):
    page = app()
    assert "--wandb" not in words(page)
    page.segmented_control(key="wandb-mode").set_value("online")
    checked(page.run())
    assert "--wandb online" in words(page)
    assert "The run would be logged offline" in words(page)
    page.text_input(key="wandb-url").set_value("nowhere")
    checked(page.run())
    assert "expected one such as" in words(page)
    page.text_input(key="wandb-url").set_value("http://127.0.0.1:9")
    page.text_input(key="wandb-key").set_value(KEY)
    checked(page.run())
    assert "The key goes to the run by its environment" in words(page)
    assert KEY not in words(page)
    assert [path for path in home.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()] == []


@pytest.mark.slow
def test_the_page_of_a_live_run_says_that_rows_do_not_get_through(home, monkeypatch):
    with WandbServer() as server:
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        server.fault = Fault("500", "file_stream")
        run = make_run(home, "running", 1)
        write_json(run.folder / runs.CONFIG, read_json(run.folder / runs.CONFIG) | {"wandb": "online"})
        child = logger.start(run)
        wait_until(lambda: server.fault.met, 60)
        wait_until(lambda: "do not get through" in logger.describe_status(run), 30)
        page = app(run.id)
        assert plain(logger.describe_status(run)) in words(page)
        server.fault = None  # else the client tries again for a while after the end
        run.set_state("killed")
        child.wait(60)


def test_what_a_server_lacks_is_sent_from_the_runs_page_with_the_key_of_the_session(home):
    with WandbServer() as server:
        run = make_run(home, "finished", 3)
        write_json(run.folder / runs.CONFIG, read_json(run.folder / runs.CONFIG) | {"wandb": "offline"})
        logger.start(run).wait(60)
        page = app()
        page.segmented_control(key="wandb-mode").set_value("online")
        page.run()
        page.text_input(key="wandb-url").set_value(server.url)
        page.text_input(key="wandb-key").set_value(KEY)
        page.run()
        page.query_params["run"] = run.id
        checked(page.run())
        assert "logged offline, 3 epochs in" in read(page)
        click(page, "Send to W&B")
        logger.wait(run)
        assert logger.read_logged(run).state == "finished"
        assert [row["epoch"] for row in server.runs[ENTITY, "tfbind"][run.id].history] == [1, 2, 3]
        assert [path for path in home.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()] == []
