"""A home that cannot be written: every page says so in one line, shows what is there, and loses nothing."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from driven import APP, button, checked, words
from streamlit.testing.v1 import AppTest
from toy import toy_config, toy_home

from tfbind.data.dataset import make_builtin
from tfbind.runs import launch
from tfbind.runs.worker import Worker
from tfbind.store import atomic
from ui.widgets.session import plain

PAGES = ("train", "sweep", "compare", "predict", "data", "lesson")
DNA = ">mine\nACGTTGTTTACTTAACGTACGTTTGCATGCA\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with two data sets and a finished run, read-only: for root by a mount, since root ignores modes."""
    home = toy_home(tmp_path_factory.mktemp("read-only"))
    make_builtin(home, windows=200)
    assert Worker(launch.prepare(home, toy_config(), launch.RunRequest(id="done")).create()).work() == "finished"
    folders = [home, *(path for path in home.rglob("*") if path.is_dir())]
    if os.geteuid():
        for folder in folders:
            folder.chmod(0o555)
        yield home
        for folder in folders:
            folder.chmod(0o755)
        return
    if subprocess.run(["mount", "--bind", home, home], capture_output=True).returncode:
        pytest.skip("this machine lets root mount nothing")
    subprocess.run(["mount", "-o", "remount,ro,bind", home], check=True)
    yield home
    subprocess.run(["umount", "--lazy", home], check=True)


@pytest.fixture(autouse=True)
def here(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFBIND_HOME", str(home))


def opened(page: str, **address: str) -> AppTest:
    app = AppTest.from_file(APP, default_timeout=60)
    app.query_params.update(address)
    app.run()
    if page != "train":
        app.query_params.update(address)
        app.switch_page(f"pages/{page}.py").run()
    return checked(app)


def warned(page: AppTest, home: Path) -> bool:
    return [warning.value for warning in page.warning if plain(f"{home}: cannot be written (") in warning.value] != []


@pytest.mark.parametrize("page", PAGES)
def test_every_page_says_it_in_one_line_and_shows_itself(home: Path, page: str) -> None:
    shown = opened(page)
    assert warned(shown, home)
    assert not shown.error
    assert len(words(shown)) > 200


def test_a_run_and_a_data_set_can_be_looked_at() -> None:
    run = opened("train", run="done")
    assert "3 of 3 epochs" in words(run)
    assert not run.error
    data = opened("data", data="toy")
    assert data.subheader[0].value == "toy"
    assert not data.error


def test_what_is_pasted_is_scored_and_the_page_says_that_it_is_not_kept() -> None:
    page = opened("predict")
    page.text_area[0].set_value(DNA).run()
    assert "31 bases" in words(checked(page))
    assert any("A refresh will not bring this text back" in warning.value for warning in page.warning)
    assert not page.error


@pytest.mark.parametrize(("page", "step"), [("train", ""), ("sweep", ""), ("lesson", "3")])
def test_start_says_in_one_line_why_it_cannot(home: Path, page: str, step: str) -> None:
    shown = opened(page, **({"step": step} if step else {}))
    button(shown, "Start the runs" if step else "Start").click().run()
    (error,) = checked(shown).error
    assert plain(str(home)) in error.value
    assert "Errno" not in error.value


def test_a_folder_is_said_to_be_unwritable_only_when_it_is(home: Path, tmp_path: Path) -> None:
    assert "cannot be written" in atomic.why_unwritable(home)
    assert "cannot be written" in atomic.why_unwritable(home / "new" / "deep")
    assert atomic.why_unwritable(tmp_path) == ""
    assert atomic.why_unwritable(tmp_path / "new" / "deep") == ""
    (tmp_path / "file").touch()
    assert "expected a folder" in atomic.why_unwritable(tmp_path / "file")
