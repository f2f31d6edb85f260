"""Making room frees what nothing needs, and nothing else."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from driven import app
from golden.make import called
from stand_in import make_pair
from toy import toy_config, toy_home

from tfbind import runs
from tfbind.config import PROJECT
from tfbind.data import import_pair, manage, open_dataset
from tfbind.runs import disk, launch
from tfbind.runs.worker import Worker


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    home = toy_home(tmp_path_factory.mktemp("trained"))
    assert Worker(launch.prepare(home, toy_config(), launch.RunRequest(id="done")).create()).work() == "finished"
    return home


@pytest.fixture
def home(tmp_path, trained):
    return shutil.copytree(trained, tmp_path / "home")


def test_usage_counts_every_byte_once(home, tmp_path):
    (home / "notes.txt").write_bytes(b"n" * 1000)
    (home / "queries").mkdir()
    (home / "queries" / "0.txt").write_bytes(b"q" * 2000)
    (home / "runs" / "done" / ".best.safetensors.4194305-0a1f").write_bytes(b"d" * 3000)
    on_disk = sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
    used = disk.usage(home)
    assert used.total == on_disk
    assert (used.kinds[disk.FILES], used.kinds["queries"], used.kinds[disk.DRAFTS]) == (
        1000,
        2000,
        3000,
    )
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "large").write_bytes(b"e" * 5000)
    (home / "link").symlink_to(tmp_path / "elsewhere")
    assert 0 < disk.usage(home).total - on_disk < 5000


def test_only_checkpoints_of_finished_runs_are_dropped(home):
    stopped = launch.prepare(home, toy_config(), launch.RunRequest(id="stopped")).create()
    (stopped.folder / runs.CHECKPOINT).write_bytes(b"needed to go on")
    stopped.set_state("killed")
    spent = (runs.find(home, "done").folder / runs.CHECKPOINT).stat().st_size
    kept = {path for path in home.rglob("*") if path.name != runs.CHECKPOINT}
    assert disk.usage(home).checkpoints == spent
    assert disk.drop_checkpoints(home) == spent
    assert {path for path in home.rglob("*") if path.name != runs.CHECKPOINT} == kept
    assert (stopped.folder / runs.CHECKPOINT).exists()
    assert not (runs.find(home, "done").folder / runs.CHECKPOINT).exists()
    assert disk.usage(home).checkpoints == 0


def test_a_run_without_its_checkpoint_opens_scores_exports_and_trains_on(home, tmp_path, monkeypatch):
    monkeypatch.setenv("TFBIND_HOME", str(home))
    _, dropped, _ = called(home, "disk", "--drop-checkpoints")
    assert "MB  freed\n" in dropped
    assert "lost are weights and optimizer after the last epoch" in dropped
    page = app("done")
    assert not page.error
    assert "More epochs" in [popover.proto.popover.label for popover in page.get("popover")]
    dna, out = tmp_path / "dna.fa", tmp_path / "scores.csv"
    dna.write_text(">one\nACGTACGTACGTACGTACGT\n")
    for words in (
        ("predict", "--model", "done", "--data", dna, "--out", out),
        ("bundle", "done", "--out", tmp_path / "bundle"),
        ("train", "--from", "done", "--num-epochs", "1", "--id", "more"),
    ):
        code, _, err = called(home, *map(str, words))
        assert code == 0, err
    assert runs.find(home, "more").state == "finished"
    code, _, err = called(home, "resume", "done")
    assert code == 2
    assert "`python -m tfbind train --from done` trains on" in err


def test_a_run_outlives_the_run_whose_weights_it_began_with(home):
    parent = runs.find(home, "done")
    launch.prepare(home, toy_config(num_epochs=8), launch.RunRequest(id="more", parent=parent)).create()
    runs.delete(parent)
    code, out, _ = called(home, "runs", "more")
    assert code == 0
    assert "run more cannot be repeated: config.json: from: no run 'done'" in out
    assert called(home, "runs", "more", "--command")[0] == 2


def test_the_trash_is_emptied_for_good_and_a_link_in_it_is_not_followed(home, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").write_text("kept")
    trashed = runs.delete(runs.find(home, "done"))
    size = sum(path.stat().st_size for path in trashed.rglob("*") if path.is_file())
    (home / "trash" / "link").symlink_to(outside)
    freed = disk.empty_trash(home)
    assert freed >= size
    assert list((home / "trash").iterdir()) == []
    assert (outside / "mine").read_text() == "kept"


def test_what_killed_processes_left_goes_with_the_trash_and_what_living_ones_write_stays(home):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    living = home / "models" / f".mine.{os.getpid()}-0a1f"
    left = [
        home / "runs" / f".more.{ended.pid}-0a1f",
        home / "models" / f".mine.{ended.pid}-0a1f",
        home / "runs" / "done" / f".labels.json.{ended.pid}-0a1f.json",
    ]
    for folder in (living, *left[:2]):
        folder.mkdir(parents=True)
        (folder / "weights").write_bytes(b"w" * 1000)
    left[2].write_bytes(b"l" * 100)
    assert disk.empty_trash(home) == 2100
    assert [path.exists() for path in left] == [False] * 3
    assert (living / "weights").exists()


def test_two_people_empty_the_trash_at_once(home):
    for number in range(300):
        (home / "trash" / f"old-{number}").mkdir(parents=True)
        for name in range(5):
            (home / "trash" / f"old-{number}" / str(name)).touch()
    with ThreadPoolExecutor(4) as people:
        list(people.map(disk.empty_trash, [home] * 4))
    assert list((home / "trash").iterdir()) == []


def test_a_home_that_is_not_there_takes_nothing(tmp_path):
    assert disk.usage(tmp_path / "none").total == 0
    assert disk.empty_trash(tmp_path / "none") == 0


def test_the_trash_is_emptied_though_a_folder_goes_while_it_is_looked_at(tmp_path):
    """As that of a run does which is just made, and has another name at first."""
    made = tmp_path / "runs" / ".made"
    made.mkdir(parents=True)
    (tmp_path / "trash" / "old").mkdir(parents=True)
    code = (
        "import os, pathlib, sys; from tfbind.runs import disk as housekeeping\n"
        "home, made = map(pathlib.Path, sys.argv[1:]); looks = []\n"
        "def hook(event, arguments):\n"
        "    if event == 'os.scandir' and str(arguments[0]) == str(made):\n"
        "        looks.append(event)\n"
        "        if len(looks) == 3: made.rmdir()  # after usage and the walk\n"
        "sys.addaudithook(hook); housekeeping.empty_trash(home)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path, made], capture_output=True, text=True, cwd=PROJECT)
    assert (done.returncode, done.stderr) == (0, "")
    assert not made.exists()
    assert list((tmp_path / "trash").iterdir()) == []


def test_pages_say_what_would_not_fit_on_the_disk(home, monkeypatch):
    monkeypatch.setenv("TFBIND_HOME", str(home))
    monkeypatch.setattr("ui.widgets.disk.free_disk", lambda _home: 10_000)
    page = app()
    assert page.warning[0].value.endswith("; 10.0 kB are free on the disk.")
    page.switch_page("pages/sweep.py").run()
    assert page.warning[0].value.endswith("; 10.0 kB are free on the disk.")


def test_what_was_thrown_away_is_listed_and_comes_back(home, tmp_path):
    run = runs.find(home, "done")
    runs.delete(run)
    import_pair(home, *make_pair(tmp_path), "mine")
    manage.delete(home, "mine", runs.active_on)
    (home / "trash" / "stray").mkdir()
    assert {item.name for item in disk.list_trash(home)} == {"done", "data-mine"}
    code, listed, _ = called(home, "disk")
    assert code == 0
    assert "  data-mine  data set mine\n" in listed
    assert "  done  run done: " in listed
    assert called(home, "disk", "--restore", "data-mine")[0] == 0
    assert open_dataset(home, "mine").name == "mine"
    assert disk.restore(home, "done").target == run.folder
    assert run.state == "finished"
    assert disk.list_trash(home) == []


@pytest.mark.parametrize("name", ["", ".", "..", "../runs/done", "data-", "stray"])
def test_what_is_not_in_the_trash_is_not_restored(home, name):
    (home / "trash" / "stray").mkdir(parents=True)
    with pytest.raises(ValueError, match="is not in the trash"):
        disk.restore(home, name)


def test_a_place_that_is_taken_is_not_overwritten(home):
    run = runs.find(home, "done")
    runs.delete(run)
    run.folder.mkdir()
    with pytest.raises(ValueError, match="there is another by now"):
        disk.restore(home, "done")
    assert [item.name for item in disk.list_trash(home)] == ["done"]
