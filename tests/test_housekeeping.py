"""Making room frees what nothing needs, and nothing else."""

import pytest
from toy import toy_config, toy_home

from tfbind import housekeeping, launch, runs
from tfbind.worker import Worker


@pytest.fixture
def home(tmp_path):
    home = toy_home(tmp_path)
    assert Worker(launch.prepare(home, toy_config(), launch.Order(id="done"))).work() == "finished"
    return home


def test_usage_counts_every_byte_once(home):
    on_disk = sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
    assert housekeeping.usage(home).total == on_disk


def test_only_checkpoints_of_finished_runs_are_dropped(home):
    stopped = launch.prepare(home, toy_config(), launch.Order(id="stopped"))
    (stopped.folder / runs.CHECKPOINT).write_bytes(b"needed to go on")
    runs.take_over(stopped, "killed")
    spent = (runs.find(home, "done").folder / runs.CHECKPOINT).stat().st_size
    kept = {path for path in home.rglob("*") if path.name != runs.CHECKPOINT}
    assert housekeeping.usage(home).checkpoints == spent
    assert housekeeping.drop_checkpoints(home) == spent
    assert {path for path in home.rglob("*") if path.name != runs.CHECKPOINT} == kept
    assert (stopped.folder / runs.CHECKPOINT).exists()
    assert not (runs.find(home, "done").folder / runs.CHECKPOINT).exists()
    assert housekeeping.usage(home).checkpoints == 0


def test_the_trash_is_emptied_for_good_and_a_link_in_it_is_not_followed(home, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").write_text("kept")
    trashed = runs.delete(runs.find(home, "done"))
    size = sum(path.stat().st_size for path in trashed.rglob("*") if path.is_file())
    (home / "trash" / "link").symlink_to(outside)
    freed = housekeeping.empty_trash(home)
    assert freed >= size
    assert list((home / "trash").iterdir()) == []
    assert (outside / "mine").read_text() == "kept"


def test_a_home_that_is_not_there_takes_nothing(tmp_path):
    assert housekeeping.usage(tmp_path / "none").total == 0
    assert housekeeping.empty_trash(tmp_path / "none") == 0
