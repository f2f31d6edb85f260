"""A budget of the home warns in one line, and nothing is deleted or refused for it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from driven import app, button, checked, words
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import TextInput
from toy import toy_config, toy_home

from tfbind import runs
from tfbind.cli.doctor import examine
from tfbind.config import PRESETS, flags
from tfbind.data.dataset import keep, open_dataset
from tfbind.data.pairs import Pair
from tfbind.runs import disk, estimate, launch
from tfbind.runs.worker import Worker
from ui.widgets.disk import DISK


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = toy_home(tmp_path)
    monkeypatch.setenv("TFBIND_HOME", str(home))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # the discard port: refused at once
    return home


@pytest.mark.parametrize(
    ("text", "size"),
    [("20GB", 20 * 10**9), (" 1.5 tb", 1.5 * 10**12), ("500 MB", 5 * 10**8), ("none", None), ("None", None)],
)
def test_a_size_as_people_write_it(text: str, size: int | None) -> None:
    assert disk.parse(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "20", "GB", "-1GB", "0 GB", "0.0000001 MB", "1e9GB", "20GB20GB", "nan MB", f"{'9' * 400}GB", "2000000TB"],
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size such as 20GB"):
        disk.parse(text)


def test_the_budget_is_kept_and_taken_away_again(home: Path) -> None:
    assert disk.budget_of(home) is None
    disk.set_budget(home, 10**9)
    assert disk.budget_of(home) == 10**9
    disk.set_budget(home, None)
    assert disk.budget_of(home) is None
    for damaged in ("{", "[]", '{"bytes": "1"}', '{"bytes": -1}', "{}"):
        (home / disk.FILE).write_text(damaged)
        with pytest.raises(ValueError, match=disk.FILE):
            disk.budget_of(home)


def test_what_is_over_or_would_be_is_one_line() -> None:
    assert disk.objection(None, 10**15) == ""
    assert disk.objection(100 * 10**6, 60 * 10**6, 40 * 10**6) == ""
    assert "takes 100.0 MB, more than its budget of 50.0 MB" in disk.objection(50 * 10**6, 10**8)
    said = disk.objection(2 * 10**9, 1_900_000_000, 200 * 10**6)
    assert "about 200.0 MB, 100.0 MB of 2.0 GB are left of this home's budget: make room" in said


@pytest.mark.parametrize("optimizer", ["AdamW", "SGD"])
def test_a_run_keeps_about_what_was_reckoned(home: Path, optimizer: str) -> None:
    config = toy_config(num_channels=64, num_epochs=2, optimizer_type=optimizer)
    run = launch.prepare(home, config, launch.Order(id="large")).create()
    assert Worker(run).work() == "finished"
    kept = sum(path.stat().st_size for path in run.folder.iterdir())
    assert estimate.disk_needed(config, held_out=10, length=20) == pytest.approx(kept, rel=0.05)


def tfbind(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "tfbind", *arguments], capture_output=True, text=True)


def test_the_command_sets_shows_and_takes_away(home: Path) -> None:
    (home / "runs").mkdir()
    (home / "runs" / "large").write_bytes(bytes(3_000_000))
    there = {path for path in home.rglob("*") if path.is_file()}
    said = tfbind("disk", "--budget", "2MB", "--json")
    facts = json.loads(said.stdout)
    assert facts["budget"] == 2_000_000
    assert facts["total"] == sum(facts["kinds"].values()) == disk.usage(home).total
    assert "more than its budget of 2.0 MB" in tfbind("disk").stdout
    assert {path for path in home.rglob("*") if path.is_file()} == there | {home / disk.FILE}
    assert json.loads(tfbind("disk", "--budget", "none", "--json").stdout)["budget"] is None
    wrong = tfbind("disk", "--budget", "much")
    assert (wrong.returncode, len(wrong.stderr.splitlines())) == (2, 1)


def short_runs(home: Path, count: int = 2) -> Path:
    """A sweep file of so many short runs."""
    fixed = toy_config(num_epochs=1).model_dump(exclude={"dataset", "seed", "first_kernel_size"})
    seeds = {"seed": {"values": list(range(count))}}
    parameters = {key: {"value": value} for key, value in fixed.items()} | seeds
    file = home / "spec.yaml"
    file.write_text(json.dumps({"method": "grid", "parameters": parameters}))
    return file


@pytest.mark.parametrize("what", ["train", "sweep"])
def test_train_and_sweep_warn_in_one_line_and_go_on(home: Path, what: str) -> None:
    train = ("train", *flags(toy_config(num_epochs=1)), "--json")
    sweep = ("sweep", str(short_runs(home, 1)), "--dataset", "toy", "--json")
    command = train if what == "train" else sweep
    disk.set_budget(home, 10**9)
    assert tfbind(*command).stderr == ""
    disk.set_budget(home, 1000)
    over = tfbind(*command)
    (said,) = over.stderr.splitlines()
    assert "more than its budget of 0.0 MB: make room with `python -m tfbind disk`" in said
    assert json.loads(over.stdout.splitlines()[-1])["state"] == "finished"
    (home / disk.FILE).write_text("{")
    damaged = tfbind(*command)
    assert (damaged.returncode, len(damaged.stderr.splitlines())) == (0, 1)
    assert str(home / disk.FILE) in damaged.stderr
    assert [run.id for run in runs.list_runs(home) if "budget" in (run.folder / runs.LOG).read_text()] == []


@pytest.mark.parametrize("where", ["toy", "folder"])
def test_a_sweep_that_would_not_fit_is_told_with_all_its_runs(home: Path, where: str) -> None:
    data = str(home.parent / "toy") if where == "folder" else "toy"
    if where == "folder":
        (home / "data" / "toy").rename(data)
    each = estimate.disk_needed(toy_config(num_epochs=1), 10, 20)
    for times, count in ((1.5, 1), (2.5, 0)):
        disk.set_budget(home, disk.usage(home).total + round(times * each))
        said = tfbind("sweep", str(short_runs(home)), "--dataset", data)
        assert said.returncode == 0, said.stderr
        assert said.stderr.count("What is planned takes about") == count, said.stderr


def test_a_sweep_over_data_sets_asks_for_no_other_to_tell_its_size(home: Path) -> None:
    toy = open_dataset(home, "toy")
    keep(home, "second", Pair(toy.names, toy.codes, toy.scores + 1), {"kind": "pair"})
    spec = json.loads(short_runs(home).read_text())
    spec["parameters"] |= {"seed": {"value": 1}, "dataset": {"values": ["toy", "second"]}}
    (home / "spec.yaml").write_text(json.dumps(spec))
    said = tfbind("sweep", str(home / "spec.yaml"), "--dataset", "elsewhere")
    assert (said.returncode, said.stderr) == (0, "")


def test_doctor_says_it(home: Path) -> None:
    def finding() -> tuple[str, str]:
        (found,) = [finding for finding in examine(home) if finding.subject == "budget"]
        return found.state, found.said

    assert finding()[1].startswith("none is set")
    disk.set_budget(home, 10**9)
    assert finding()[0] == "ok"
    disk.set_budget(home, 1000)
    assert finding()[0] == "note"
    (home / disk.FILE).write_text("{")
    assert finding()[0] == "wrong"


def field(page: AppTest, label: str) -> TextInput:
    return next(box for box in page.text_input if box.label == label)


def test_pages_warn_until_there_is_room(home: Path) -> None:
    page = app()
    assert "budget" not in words(page)
    trash = home / "trash"
    trash.mkdir()
    (trash / "old").write_bytes(bytes(5_000_000))
    page.switch_page("pages/data.py").run()
    page.session_state[DISK] = True
    page.run()
    field(page, "At most").set_value("two")
    page.button("save-budget").click().run()
    assert "expected a size" in checked(page).error[0].value
    field(page, "At most").set_value("4 MB")
    page.button("save-budget").click().run()
    assert "more than its budget of 4" in checked(page).warning[0].value
    checked(page.switch_page("pages/train.py").run())
    assert "more than its budget of 4" in page.warning[0].value
    assert (trash / "old").exists()
    page.switch_page("pages/data.py").run()
    page.session_state[DISK] = True
    page.run()
    page.button("free-trash").click().run()
    assert not checked(page).warning
    assert not (trash / "old").exists()


def test_the_train_page_says_when_the_run_would_not_fit(home: Path) -> None:
    used = disk.usage(home).total
    needed = estimate.disk_needed(PRESETS["recommended"], 2_400, 300)
    disk.set_budget(home, used + needed // 2)
    page = app()
    assert "What is planned takes about" in page.warning[0].value
    assert not button(page, "Start").disabled
    assert runs.list_runs(home) == []


def test_the_sweep_page_says_when_its_runs_together_would_not_fit(home: Path) -> None:
    each = estimate.disk_needed(PRESETS["recommended"], 2_400, 300)
    disk.set_budget(home, disk.usage(home).total + 2 * each)
    page = app()
    assert not page.warning
    checked(page.switch_page("pages/sweep.py").run())
    assert "What is planned takes about" in page.warning[0].value
