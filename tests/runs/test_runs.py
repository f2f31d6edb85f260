"""Run folders: what a reader sees after any kind of end, and what cannot be overwritten."""

import json
import os
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, strategies as st
from toy import toy_config

from tfbind.config import PRESETS
from tfbind.nn.weight_files import pack
from tfbind.runs import StopReason, StopRequest, folder as runs, summary
from tfbind.store.schema import read_json, write_json


@pytest.fixture
def run(tmp_path):
    return runs.create(tmp_path, toy_config(), name="first")


def write_state(run, **changes):
    state = json.loads((run.folder / runs.STATE).read_text())
    (run.folder / runs.STATE).write_text(json.dumps({**state, **changes}))


def test_a_new_run_is_pending_and_keeps_its_configuration(tmp_path):
    run = runs.create(tmp_path, PRESETS["recommended"], facts={"dataset_hash": "abc"})
    assert runs.read_config(run) == PRESETS["recommended"]
    assert run.state == "pending"
    assert runs.read_rows(run) == []
    assert runs.read_record(run)["dataset_hash"] == "abc"
    assert set(runs.read_record(run)["versions"]) == {"tfbind", "python", "torch", "numpy"}
    assert runs.read_labels(run)["name"] == "builtin lr 0.02"
    assert runs.list_runs(tmp_path) == [run]
    assert runs.find(tmp_path, run.id) == run


def test_runs_are_listed_oldest_first_and_half_made_ones_not_at_all(tmp_path):
    made = []
    for _ in range(3):
        made.append(runs.create(tmp_path, toy_config()))
        time.sleep(0.002)
    (tmp_path / "runs" / ".20200101-000000-00000.77-0197").mkdir()
    (tmp_path / "runs" / "20200101-000000-00000").mkdir()
    assert runs.list_runs(tmp_path) == made


def test_an_id_is_taken_once(tmp_path):
    first = runs.create(tmp_path, toy_config(), id="mine", name="first")
    with pytest.raises(ValueError, match="--id mine: that run exists already"):
        runs.create(tmp_path, toy_config(), id="mine", name="second")
    assert runs.read_labels(first)["name"] == "first"
    assert [folder.name for folder in (tmp_path / "runs").iterdir()] == ["mine"]


@pytest.mark.parametrize("id", ["", "../x", "a/b", "A", ".hidden", "a" * 65, "a\n", "x.new"])
def test_an_id_is_never_a_path(tmp_path, id):
    with pytest.raises(ValueError, match=r"run id .*: expected lower-case letters"):
        runs.create(tmp_path, toy_config(), id=id or " ")
    with pytest.raises(ValueError, match="no run"):
        runs.find(tmp_path, id)


@pytest.mark.parametrize("name", ["", "   ", "x" * 81, "two\nlines", "bell\a"])
def test_a_name_that_cannot_be_shown_is_refused_and_the_old_one_stays(run, name):
    with pytest.raises(ValueError, match="expected 1 to 80 printable characters"):
        runs.rename(run, name)
    assert runs.read_labels(run)["name"] == "first"


def test_a_name_may_be_anything_that_prints(run):
    runs.rename(run, "  **B** <img src=x> α ")
    assert runs.read_labels(run) == {"name": "**B** <img src=x> α", "tags": [], "note": ""}


def row_of(epoch: int, **more: float | None) -> dict[str, float | None]:
    pace = {"learning_rate": 0.01, "seconds": 0.5, "windows_per_second": 900.0}
    return {"epoch": epoch, "train_loss": 1.0, "val_loss": 1.0, "val_pearsonr": None, **pace, **more}


rows = st.lists(
    st.dictionaries(st.sampled_from(["val_pearsonr", "x"]), st.floats(-9, 9) | st.none()), max_size=5
).map(lambda found: [row_of(epoch, **more) for epoch, more in enumerate(found, start=1)])


@given(rows, st.integers(0, 400))
def test_a_torn_file_gives_the_whole_rows_before_the_tear_and_is_completed_from_the_checkpoint(
    tmp_path_factory, rows, cut
):
    run = runs.create(tmp_path_factory.mktemp("home"), toy_config())
    for row in rows:
        runs.append_row(run, row)
    path = run.folder / runs.METRICS
    whole = path.read_bytes() if path.exists() else b""
    path.write_bytes(whole[:cut])
    assert runs.read_rows(run) == rows[: whole[:cut].count(b"\n")]
    runs.complete_rows(run, rows)
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ("rubbish", "a line is not JSON"),
        ("[2]", "line 2 is not the row of epoch 2"),
        (json.dumps(row_of(3)), "line 2 is not the row of epoch 2"),
        (json.dumps(row_of(2) | {"val_loss": None}), "line 2 is not the row of epoch 2"),
        (json.dumps(row_of(2) | {"x": "<b>"}), "line 2 is not the row of epoch 2"),
        (json.dumps(row_of(2) | {"seconds": -1.0}), "line 2 is not the row of epoch 2"),
        (json.dumps(row_of(2) | {"seconds": 1e308}), "line 2 is not the row of epoch 2"),
        (json.dumps(row_of(2) | {"x": 10**30}), "line 2 is not the row of epoch 2"),
        (json.dumps(row_of(2)).replace("0.5", "1e999"), "line 2 is not the row of epoch 2"),
        (json.dumps(row_of(2)).replace("val_pearsonr", "val_pearsonz"), "line 2 is not the row of epoch 2"),
    ],
)
def test_a_damaged_line_is_named_not_skipped(run, second, said):
    (run.folder / runs.METRICS).write_text(f"{json.dumps(row_of(1))}\n{second}\n")
    with pytest.raises(ValueError, match=rf"metrics\.jsonl: {said}"):
        runs.read_rows(run)


def test_a_row_holds_no_nan(run):
    with pytest.raises(ValueError, match="JSON compliant"):
        runs.append_row(run, {"val_loss": float("nan")})
    assert runs.read_rows(run) == []


def test_best_is_the_first_epoch_of_the_lowest_loss():
    assert runs.best_row([{"epoch": 1, "val_loss": 2}, {"epoch": 2, "val_loss": 1}, {"epoch": 3, "val_loss": 1}]) == {
        "epoch": 2,
        "val_loss": 1,
    }
    assert runs.best_row([]) is None


@pytest.mark.parametrize(
    ("written", "reason", "detail"),
    [
        ("", StopReason.ASKED, ""),
        ("stopped with its sweep", StopReason.WITH_SWEEP, ""),
        ("its runs go on", StopReason.LEAVE_RUNS, ""),
        ("pruned: val_loss is high: 3", StopReason.PRUNED, "val_loss is high: 3"),
        ("stopped on W&B", StopReason.ON_WANDB, ""),
        ("pruned by hand", StopReason.ASKED, "pruned by hand"),
    ],
)
def test_a_request_to_stop_has_a_reason_that_older_versions_wrote_too(run, written, reason, detail):
    assert run.read_stop() is None
    run.stop_file.write_text(written)
    request = run.read_stop()
    assert request == StopRequest(reason, detail)
    assert str(request) == written
    run.request_stop(request)
    assert run.read_stop() == request


def test_a_state_without_a_reason_is_read(run):
    state = read_json(run.folder / runs.STATE)
    assert state.pop("reason", "none") is None
    write_json(run.folder / runs.STATE, state)
    assert run.status().reason is None


def test_dead_after_a_request_to_stop_is_killed(run):
    run.request_stop()
    assert run.state == "pending"
    write_state(run, pid=2**22 + 1)
    assert (run.state, run.status().error) == ("killed", None)
    run.clear_stop()
    assert run.state == "crashed"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"state": "finished"}', '{"surprise": 1}'])
def test_a_damaged_state_is_a_crash_with_its_reason_and_hides_no_other_run(tmp_path, run, content):
    other = runs.create(tmp_path, toy_config())
    (run.folder / runs.STATE).write_text(content)
    status = run.status()
    assert status.state == "crashed"
    assert status.error
    assert {summary(run)["state"] for run in runs.list_runs(tmp_path)} == {"crashed", "pending"}
    assert other in runs.list_runs(tmp_path)


def test_what_is_damaged_beside_the_checkpoint_is_made_good(run):
    (run.folder / runs.STATE).write_text("{")
    run.set_state("running", started=5.0)
    assert (run.state, run.status().started) == ("running", 5.0)
    for damaged in ("not a row\n", f"{json.dumps(row_of(1) | {'val_loss': 7.0})}\n"):
        (run.folder / runs.METRICS).write_text(damaged)
        runs.complete_rows(run, [row_of(1), row_of(2)])
        assert runs.read_rows(run) == [row_of(1), row_of(2)]


def test_taking_over_keeps_when_and_where_it_ran(run):
    run.set_state("running", started=5.0, device="cpu")
    run.set_state("finished", ended=9.0)
    status = run.status()
    assert (status.started, status.ended, status.device, status.error) == (5.0, 9.0, "cpu", None)
    assert (status.pid, status.host) == (os.getpid(), socket.gethostname())


def test_delete_moves_to_the_trash_and_leaves_active_runs_alone(tmp_path, run):
    with pytest.raises(ValueError, match="is pending; stop it first"):
        runs.delete(run)
    run.set_state("finished")
    moved = runs.delete(run)
    assert runs.list_runs(tmp_path) == []
    assert json.loads((moved / runs.LABELS).read_text())["name"] == "first"
    again = runs.create(tmp_path, toy_config(), id=run.id)
    again.set_state("finished")
    assert runs.delete(again) != moved
    assert len(list((tmp_path / "trash").iterdir())) == 2


def test_a_run_starts_from_the_best_weights_of_its_parent(tmp_path, run):
    with pytest.raises(ValueError, match="has no weights yet"):
        runs.create(tmp_path, toy_config(), parent=run)
    weights = pack({"first": np.ones(4, np.float32)}, {})
    (run.folder / runs.BEST).write_bytes(weights)
    child = runs.create(tmp_path, toy_config(), parent=run)
    assert (child.folder / runs.INITIAL).read_bytes() == weights
    assert runs.read_record(child)["from"] == run.id
    assert len(runs.list_runs(tmp_path)) == 2


def test_a_reader_never_sees_half_a_file(tmp_path):
    path = tmp_path / "state.json"
    write_json(path, {"value": 0})
    code = (
        "import itertools, sys; from pathlib import Path; from tfbind.store.schema import write_json\n"
        "for value in itertools.count(): write_json(Path(sys.argv[1]), {'value': value, 'pad': 'x' * 20000})"
    )
    seen = set()
    with subprocess.Popen([sys.executable, "-c", code, path]) as writer:
        try:
            while len(seen) < 200:
                assert writer.poll() is None
                seen.add(json.loads(path.read_text())["value"])
        finally:
            writer.kill()
