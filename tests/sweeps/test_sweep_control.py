"""Real controllers of sweeps: killed, resumed, stopped, extended, retried."""

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from golden.make import called
from toy import toy_config, toy_home
from waiting import wait_for

from tfbind import runs
from tfbind.config import PROJECT
from tfbind.data import manage
from tfbind.data.dataset import import_pair, open_dataset, save_dataset
from tfbind.data.pairs import Pair
from tfbind.errors import reason_of
from tfbind.runs import ACTIVE, launch
from tfbind.store.atomic import format_error
from tfbind.store.schema import read_json, write_json
from tfbind.sweeps import controller as sweep_control, sweep_folder
from tfbind.sweeps.spec import parse_spec
from tfbind.sweeps.sweep_folder import Sweep

SMALL = "num_channels: {value: 4}, num_res_blocks: {value: 1}, batch_size: {value: 8}"


@pytest.fixture
def home(tmp_path: Path):
    home = toy_home(tmp_path)
    yield home
    for sweep in sweep_folder.list_sweeps(home):
        kill(sweep)
    for run in runs.list_runs(home):
        kill(run)


def kill(job: runs.Run) -> None:
    status = job.status()
    if status.active and status.pid != os.getpid():
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(status.pid, signal.SIGKILL)


def grid(rates: list[float], epochs: int, extra: str = "") -> str:
    parameters = f"learning_rate: {{values: {rates}}}, num_epochs: {{value: {epochs}}}, {SMALL}"
    return f"method: grid\nparameters: {{{parameters}, early_stopping_patience: {{value: 10000}}}}\n{extra}"


def command(home: Path, *words: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "TFBIND_HOME": str(home)}
    return subprocess.Popen(
        [sys.executable, "-m", "tfbind", "sweep", *words, "--json"],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def write(home: Path, text: str) -> str:
    path = home / "sweep.yaml"
    path.write_text(text)
    return str(path)


def the_sweep(home: Path) -> Sweep:
    (sweep,) = sweep_folder.list_sweeps(home)
    return sweep


def rates(sweep: Sweep) -> list[float]:
    return sorted(runs.read_config(run).learning_rate for run in sweep_folder.sweep_runs(sweep))


@pytest.mark.slow
def test_a_controller_killed_half_way_is_resumed_and_repeats_nothing(home: Path):
    text = grid([0.1, 0.03, 0.01], 60)
    controller = command(home, write(home, text), "--dataset", "toy", "--id", "mine", "--parallel", "2")
    wait_for(lambda: any(map(runs.read_rows, runs.list_runs(home))))
    controller.kill()
    controller.communicate()
    sweep = the_sweep(home)
    assert sweep.state == "crashed"
    before = sweep_folder.sweep_runs(sweep)
    assert 0 < len(before) < 3
    # They go on without it. One whose worker is still on its way looks crashed until that has come.
    wait_for(lambda: {run.state for run in before} == {"finished"})
    again = command(home, "--resume", "mine")
    said, complaint = again.communicate(timeout=120)
    assert again.returncode == 0, complaint
    answer = json.loads(said.splitlines()[-1])
    assert (answer["id"], answer["state"]) == ("mine", "finished")
    assert rates(sweep) == [0.01, 0.03, 0.1]
    assert [run.id for run in sweep_folder.sweep_runs(sweep)][: len(before)] == [run.id for run in before]
    assert answer["best"] in {run["id"] for run in answer["runs"]}
    best = min(answer["runs"], key=lambda run: run["val_loss"])
    assert best["id"] == answer["best"]
    assert [len(runs.read_rows(run)) for run in sweep_folder.sweep_runs(sweep)] == [60] * 3
    assert sweep_folder.read_text(sweep) == text
    _extend_and_retry(sweep)


def _extend_and_retry(sweep: Sweep) -> None:
    """The same sweep goes on: a value more in the grid, a run by hand, and a failed run tried again."""
    added = sweep_control.add_run(
        sweep, next(sweep_folder.read_spec(sweep).grid()).model_copy(update={"num_epochs": 1})
    )
    wait_for(lambda: not added.status().active)
    with pytest.raises(ValueError, match=f"run {added.id} of this sweep has that configuration already"):
        sweep_control.add_run(sweep, runs.read_config(added))
    added.set_state("failed", error="a full disk")
    (added.folder / runs.METRICS).write_text("")
    sweep_folder.extend(sweep, grid([0.1, 0.03, 0.01, 0.3], 60))
    sweep_control.retry(sweep)
    wait_for(lambda: not sweep.status().active)
    assert sweep.state == "finished"
    assert rates(sweep) == [0.01, 0.03, 0.1, 0.1, 0.3]
    assert added.state == "finished"
    assert (sweep.folder / "spec-1.yaml").read_text() == grid([0.1, 0.03, 0.01], 60)


@pytest.mark.slow
def test_sigterm_stops_the_runs_and_resume_goes_on_with_them(home: Path):
    controller = command(home, write(home, grid([0.1, 0.01, 0.001], 4000)), "--dataset", "toy", "--id", "mine")
    wait_for(lambda: any(map(runs.read_rows, runs.list_runs(home))))
    controller.send_signal(signal.SIGTERM)
    controller.communicate(timeout=60)
    assert controller.returncode == 130
    sweep = the_sweep(home)
    stopped = sweep_folder.sweep_runs(sweep)
    assert sweep.state == "killed"
    assert {run.state for run in stopped} == {"killed"}
    kept = {run.id: len(runs.read_rows(run)) for run in stopped}
    sweep_control.resume(sweep)
    with pytest.raises(ValueError, match="already"):
        sweep_control.resume(sweep)
    wait_for(lambda: all(len(runs.read_rows(run)) > kept[run.id] for run in stopped))
    assert [run.id for run in sweep_folder.sweep_runs(sweep)] == [run.id for run in stopped]
    sweep_control.stop(sweep)
    assert not sweep_control.active_runs(sweep)
    with pytest.raises(ValueError, match="only a pending or running sweep can be stopped"):
        sweep_control.stop(sweep)


@pytest.mark.slow
def test_a_home_that_is_moved_ends_its_sweep_in_a_line_and_it_goes_on_there(home: Path, tmp_path: Path):
    controller = command(home, write(home, grid([0.01], 10_000)), "--dataset", "toy", "--id", "mine")
    wait_for(lambda: list(home.glob(f"runs/*/{runs.METRICS}")))
    moved = home.rename(tmp_path / "elsewhere")
    _, err = controller.communicate(timeout=60)
    where = home / "sweeps" / "mine"
    assert err.startswith(
        f"tfbind: {where}: moved or deleted while the sweep was active; where it is now, `sweep --res"
    )
    assert (controller.returncode, len(err.splitlines())) == (1, 1)
    sweep = the_sweep(moved)
    wait_for(lambda: not sweep_control.active_runs(sweep))
    assert not home.exists()
    kept = {run.id: len(runs.read_rows(run)) for run in sweep_folder.sweep_runs(sweep)}
    sweep_control.resume(sweep)
    wait_for(lambda: all(len(runs.read_rows(runs.find(moved, id))) > epochs for id, epochs in kept.items()))
    sweep_control.stop(sweep)


@pytest.mark.slow
def test_what_has_lost_is_pruned_and_the_sweep_ends(home: Path):
    extra = "early_terminate: {type: hyperband, min_iter: 2, eta: 2}\n"
    text = grid([0.01, 1e-9, 1e-8], 400, extra)
    done = command(home, write(home, text), "--dataset", "toy", "--parallel", "2")
    _, complaint = done.communicate(timeout=150)
    assert done.returncode == 0, complaint
    past = sweep_folder.run_records(the_sweep(home))
    states = {run.config["learning_rate"]: run.state for run in past}
    assert states == {0.01: "finished", 1e-9: "pruned", 1e-8: "pruned"}
    assert all(len(run.rows) < 400 for run in past if run.state == "pruned")
    assert next(run for run in past if run.state == "pruned").error.startswith("pruned: val_loss")


def test_a_bad_file_is_one_line_and_nothing_is_made(home: Path):
    for text, said in [(grid([-1.0], 1), "parameters.learning_rate: -1.0"), ("method: grid", "parameters: expected")]:
        code, _, complaint = called(home, "sweep", write(home, text), "--dataset", "toy")
        assert (code, complaint.count("\n")) == (2, 1)
        assert said in complaint
    code, _, complaint = called(home, "sweep", write(home, grid([0.1], 1)), "--dataset", "nowhere")
    assert (code, "nowhere" in complaint) == (2, True)
    assert sweep_folder.list_sweeps(home) == []
    with pytest.raises(ValueError, match="no sweep 'gone'"):
        sweep_folder.find(home, "gone")


@pytest.mark.timeout(120)
def test_many_shares_to_hold_out_are_checked_soon(home: Path):
    """Of the splits that a file asks for, those with the least and the most held out; a twentieth of a window
    for the test is too little, and a part of all windows leaves none to train."""
    shares = [round(0.2 + number / 10_000, 4) for number in range(1_000)]
    text = (
        "method: random\nrun_cap: 2\nparameters:\n  dataset: {{value: toy}}\n"
        f"  validation_split: {{{{values: {shares}}}}}\n  test_split: {{{{values: {{}}}}}}\n"
    )
    sweep_folder.check_data(home, parse_spec(text.format([0, *shares])))
    for test, said in (([0, 0.001, 0.3], "0 for the test"), ([0, 0.1, 0.8], "leaves 0 for training")):
        with pytest.raises(ValueError, match=said):
            sweep_folder.check_data(home, parse_spec(text.format(test)))


def test_a_run_that_somebody_resumes_at_the_same_instant_does_not_fail_its_sweep(home: Path):
    sweep = sweep_folder.create(home, parse_spec(grid([0.1], 1), toy_config()))
    run = launch.prepare(home, toy_config(num_epochs=1), launch.RunRequest(sweep=sweep.id)).create()
    for each in (run, sweep):
        each.set_state("crashed", ended=1.0)
    with run.lock():
        sweep_control.resume(sweep)
        wait_for(lambda: len(sweep_folder.sweep_runs(sweep)) == 2)
        time.sleep(2)  # it has looked at the run several times
        assert [each.state for each in (sweep, run)] == ["running", "crashed"]
    wait_for(lambda: not sweep.status().active)
    assert {each.state for each in (sweep, *sweep_folder.sweep_runs(sweep))} == {"finished"}


def test_a_sweep_whose_data_set_vanishes_fails_with_a_reason(home: Path):
    sweep = sweep_folder.create(home, parse_spec(grid([0.1], 1), toy_config()))
    (home / "data" / "toy").rename(home / "data" / "gone")
    assert sweep_control.Controller(sweep).work() == "failed"
    assert "toy" in (sweep.status().error or "")


def test_a_sweep_finds_its_data_by_their_content_and_repeats_nothing_of_it(home: Path):
    """Renamed, with other data under the old name; named anew in the sweep's file; then gone."""
    sweep = sweep_folder.create(home, parse_spec(grid([0.1], 1), toy_config()))
    assert sweep_control.Controller(sweep).work() == "finished"
    learnt = manage.rename(home, "toy", "mine", runs.active_on).hash
    stored = open_dataset(home, "mine")
    save_dataset(home, "toy", Pair(stored.names, stored.codes, stored.scores + 1), {"kind": "pair"})
    sweep_folder.extend(sweep, grid([0.1, 0.01], 1))
    sweep_control.resume(sweep)  # as the page does
    wait_for(lambda: not sweep.status().active)
    assert (sweep.state, sweep.status().error) == ("finished", None)
    assert rates(sweep) == [0.01, 0.1]
    first, second = (runs.read_record(run) for run in sweep_folder.sweep_runs(sweep))
    assert (first["dataset"], second["dataset"]) == ("toy", "mine")
    assert first["dataset_hash"] == second["dataset_hash"] == learnt

    by_hand = runs.read_config(sweep_folder.sweep_runs(sweep)[0])
    with pytest.raises(ValueError, match="of this sweep has that configuration already"):
        sweep_control.add_run(sweep, by_hand.model_copy(update={"dataset": "mine"}))
    sweep_folder.extend(sweep, grid([0.1, 0.01], 1).replace("num_epochs", "dataset: {value: mine}, num_epochs"))
    assert sweep_control.Controller(sweep).work() == "finished"
    assert rates(sweep) == [0.01, 0.1]

    manage.delete(home, "mine", runs.active_on)
    with pytest.raises(ValueError, match="are not here: the data set toy has changed since"):
        sweep_folder.extend(sweep, grid([0.1, 0.01, 0.001], 1))
    assert sweep_folder.read_spec(sweep).size() == 2
    assert [run.state for run in sweep_folder.run_records(sweep)] == ["finished", "finished"]


def test_a_run_that_its_user_stopped_is_left_alone(home: Path):
    sweep = sweep_folder.create(home, parse_spec(grid([0.1], 3), toy_config()))
    run = launch.prepare(home, next(sweep_folder.read_spec(sweep).grid()), launch.RunRequest(sweep=sweep.id)).create()
    run.request_stop()
    run.set_state("killed", ended=time.time())
    assert sweep_control.Controller(sweep).work() == "finished"
    assert run.state == "killed"
    assert [each.state for each in sweep_folder.run_records(sweep)] == ["killed"]
    assert not any(each.state in ACTIVE for each in sweep_folder.run_records(sweep))


def test_a_run_whose_worker_never_came_is_gone_on_with_once_no_worker_can_be_on_its_way(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time in which one may still come ends while the controller decides what to do."""
    sweep = sweep_folder.create(home, parse_spec(grid([0.1], 3), toy_config()))
    run = launch.prepare(home, next(sweep_folder.read_spec(sweep).grid()), launch.RunRequest(sweep=sweep.id)).create()
    controller = subprocess.Popen([sys.executable, "-c", ""])
    controller.wait()
    old = {"pid": controller.pid, "heartbeat": time.time() - 2 * sweep_control.STARTING_SECONDS}
    write_json(run.folder / runs.STATE, read_json(run.folder / runs.STATE) | old)
    looks, look = iter([[run.id]]), sweep_control.Controller._young_dead
    monkeypatch.setattr(sweep_control.Controller, "_young_dead", lambda self: next(looks, None) or look(self))
    assert sweep_control.Controller(sweep).work() == "finished"
    assert run.state == "finished"


def test_a_dead_run_whose_last_sign_of_life_is_to_come_holds_no_sweep_up(home: Path) -> None:
    """As when the clock was set back, or the file was damaged."""
    sweep = sweep_folder.create(home, parse_spec(grid([0.1], 3), toy_config()))
    run = launch.prepare(home, next(sweep_folder.read_spec(sweep).grid()), launch.RunRequest(sweep=sweep.id)).create()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    state = read_json(run.folder / runs.STATE)
    write_json(run.folder / runs.STATE, state | {"pid": gone.pid, "heartbeat": time.time() + 1e6})
    began = time.monotonic()
    assert sweep_control.Controller(sweep, on_step=lambda _, __: stop_after(sweep, began)).work() == "finished"
    assert run.state == "finished"


def stop_after(sweep: Sweep, began: float, seconds: float = 60) -> None:
    if time.monotonic() - began > seconds:
        sweep.request_stop()


def test_of_runs_that_failed_a_resumed_sweep_goes_on_with_those_that_found_the_disk_full(home: Path):
    sweep = sweep_folder.create(home, parse_spec(grid([0.1, 0.01], 3), toy_config()))
    full, own = (
        launch.prepare(home, config, launch.RunRequest(sweep=sweep.id)).create()
        for config in sweep_folder.read_spec(sweep).grid()
    )
    no_room = OSError(errno.ENOSPC, "No space left on device", str(full.folder / runs.CHECKPOINT))
    for run, error in ((full, no_room), (own, ValueError("the loss is not finite"))):
        run.set_state("failed", ended=time.time(), error=format_error(error), reason=reason_of(error))
    assert sweep_control.Controller(sweep).work() == "finished"
    assert [run.state for run in (full, own)] == ["finished", "failed"]
    assert len(sweep_folder.sweep_runs(sweep)) == 2


def test_data_under_two_names_are_taken_once(home: Path, tmp_path: Path) -> None:
    import_pair(home, tmp_path / "toy_sequences.txt", tmp_path / "toy_scores.txt", "again")
    text = grid([0.1], 1).replace("num_epochs", "dataset: {values: [toy, again]}, num_epochs")
    with pytest.raises(ValueError, match=r"^dataset: toy and again are the same data; a sweep takes them once$"):
        sweep_folder.create(home, parse_spec(text, toy_config()))
    assert sweep_folder.list_sweeps(home) == []


KILLED_BEFORE_THE_NEW_FILE = """
import os, signal, sys
from pathlib import Path
from tfbind.sweeps import sweep_folder
write = sweep_folder.write_bytes
def stop_at_the_second(path, content):
    os.kill(os.getpid(), signal.SIGKILL) if path.name == sweep_folder.SPEC else write(path, content)
sweep_folder.write_bytes = stop_at_the_second
sweep_folder.extend(sweep_folder.find(Path(sys.argv[1]), "wide"), sys.argv[2])
"""


def test_a_file_is_parsed_again_once_it_has_changed_and_not_before(home: Path) -> None:
    sweep = sweep_folder.create(home, parse_spec(grid([0.1], 2), toy_config()))
    parsed = parse_spec.cache_info().misses
    assert [sweep_folder.read_spec(sweep).size() for _ in range(3)] == [1, 1, 1]
    assert parse_spec.cache_info().misses == parsed
    sweep_folder.extend(sweep, grid([0.1, 0.01], 2))
    assert [sweep_folder.read_spec(sweep).size() for _ in range(3)] == [2, 2, 2]
    assert parse_spec.cache_info().misses == parsed + 1


def test_an_extension_that_was_killed_keeps_the_file_before_it_once(home: Path) -> None:
    first, second = grid([0.1], 2), grid([0.1, 0.01], 2)
    sweep = sweep_folder.create(home, parse_spec(first, toy_config()), id="wide")
    killed = subprocess.run([sys.executable, "-c", KILLED_BEFORE_THE_NEW_FILE, home, second])
    assert killed.returncode == -signal.SIGKILL
    assert sweep_folder.read_text(sweep) == first
    sweep_folder.extend(sweep, second)
    sweep_folder.extend(sweep, first)
    texts = {path.name: path.read_text() for path in sweep.folder.glob("spec*")}
    assert texts == {"spec-1.yaml": first, "spec-2.yaml": second, "spec.yaml": first}
