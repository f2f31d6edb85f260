"""Times worked by hand from the arithmetic of one window."""

from pathlib import Path

import pytest
from stand_in import LENGTH, make_run
from toy import toy_config, toy_home

from tfbind.config import TrainConfig, choices, forward_flops
from tfbind.runs import launch
from tfbind.runs.estimate import (
    REFERENCE_SPEED,
    START_SECONDS,
    WEIGHT_COPIES,
    SpeedSample,
    disk_needed,
    duration,
    estimate_run,
    recent_samples,
    round_seconds,
)
from tfbind.runs.folder import METRICS, list_runs
from tfbind.runs.worker import Worker

CPU = TrainConfig(device="cpu", threads=2, num_epochs=5, validation_split=0.2)


def past(windows_per_second: float, **changes: object) -> SpeedSample:
    return SpeedSample(CPU.model_copy(update=changes), 300, windows_per_second)


def test_speed_of_the_same_model_gives_the_time() -> None:
    # 800 windows to train and 200 to validate at a third of the cost: 866.67 a epoch, 5 epochs at 100 a second.
    found = estimate_run(CPU, 1000, 300, [past(100)])
    assert found.seconds == pytest.approx(START_SECONDS + 5 * (800 + 200 / 3) / 100)
    assert found.measured


def test_another_model_is_scaled_by_its_arithmetic() -> None:
    other = past(100, num_channels=64)
    ratio = forward_flops(other.config, 300) / forward_flops(CPU, 300)
    found = estimate_run(CPU, 1000, 300, [other])
    assert found.seconds - START_SECONDS == pytest.approx(5 * (800 + 200 / 3) / (100 * ratio))
    assert "other" in found.basis


def test_twice_the_length_takes_twice_as_long() -> None:
    short, long = (estimate_run(CPU, 1000, length, [past(100)]).seconds - START_SECONDS for length in (300, 600))
    assert long == pytest.approx(2 * short)


def test_the_same_model_counts_before_a_newer_other_one() -> None:
    runs = [past(1, num_channels=64), past(100)]
    assert estimate_run(CPU, 1000, 300, runs).seconds == estimate_run(CPU, 1000, 300, [past(100)]).seconds


def test_five_newest_runs_count_and_their_median() -> None:
    runs = [past(speed) for speed in (90, 100, 110, 100, 5)] + [past(1)] * 20
    assert estimate_run(CPU, 1000, 300, runs).seconds == estimate_run(CPU, 1000, 300, [past(100)]).seconds


def test_runs_on_another_device_do_not_count() -> None:
    guess = estimate_run(CPU, 1000, 300, [past(100, device="cuda")])
    assert not guess.measured
    assert "rough" in guess.basis


def test_runs_on_other_threads_count_where_there_are_no_others() -> None:
    threads = CPU.threads or 1
    guess = estimate_run(CPU, 1000, 300, [past(100, threads=2 * threads)])
    assert guess.seconds - START_SECONDS == pytest.approx(5 * (800 + 200 / 3) / 50)
    assert (guess.measured, guess.basis) == (True, "scaled from your last run on other threads")
    assert estimate_run(CPU, 1000, 300, [past(100, threads=2 * threads), past(70)]).basis.startswith("measured in")


def test_threads_do_not_matter_on_a_gpu() -> None:
    gpu = CPU.model_copy(update={"device": "cuda"})
    assert estimate_run(gpu, 1000, 300, [past(100, device="cuda", threads=16)]).measured


def test_reference_is_per_thread() -> None:
    found = estimate_run(CPU, 1000, 300)
    work = 5 * (800 + 200 / 3) * forward_flops(CPU, 300)
    assert found.seconds == pytest.approx(START_SECONDS + work / (2 * REFERENCE_SPEED["cpu"]))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (90, "1 min 30 s"),
        (601, "10 min"),
        (3600, "1 h"),
        (3900, "1 h 5 min"),
    ],
)
def test_duration_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(("seconds", "rounded"), [(1, 5), (43, 45), (130, 120), (140, 150), (700, 720)])
def test_estimates_are_rounded(seconds: float, rounded: float) -> None:
    assert round_seconds(seconds) == rounded


def test_finished_runs_of_the_home_are_read_newest_first(tmp_path: Path) -> None:
    make_run(tmp_path, "finished", 3, id="a", config=CPU)
    make_run(tmp_path, "killed", 3, id="b", config=CPU)
    make_run(tmp_path, "finished", 0, id="c", config=CPU)
    damaged = make_run(tmp_path, "finished", 3, id="d", config=CPU)
    (damaged.folder / METRICS).write_text("{\n")
    make_run(tmp_path, "finished", 3, id="e", config=CPU.model_copy(update={"num_channels": 8}))
    found = recent_samples(list_runs(tmp_path))
    assert [run.config.num_channels for run in found] == [8, 32]
    assert [(run.length, run.windows_per_second) for run in found] == [(LENGTH, 1200.0)] * 2


def test_what_each_optimizer_keeps_is_known() -> None:
    assert set(WEIGHT_COPIES) == set(choices("optimizer_type"))


@pytest.mark.parametrize("optimizer", ["AdamW", "SGD"])
def test_a_run_keeps_about_what_was_reckoned(tmp_path: Path, optimizer: str) -> None:
    config = toy_config(num_channels=64, num_epochs=2, optimizer_type=optimizer)
    run = launch.prepare(toy_home(tmp_path), config).create()
    assert Worker(run).work() == "finished"
    kept = sum(path.stat().st_size for path in run.folder.iterdir())
    assert disk_needed(config, held_out=10, length=20) == pytest.approx(kept, rel=0.05)
