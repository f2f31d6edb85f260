"""What keeps a process beside a run from starting is in the log of the run, whoever leads it."""

from pathlib import Path

import pytest
from toy import toy_config, toy_home

from tfbind.evaluation import baselines
from tfbind.runs import launch, log


def test_what_cannot_start_is_in_the_log_and_on_no_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = launch.prepare(toy_home(tmp_path), toy_config(), launch.RunRequest(wandb="offline")).create()
    monkeypatch.setenv("WANDB_BASE_URL", "no address")
    baselines.start_sidecars(run)
    assert " WARNING not logged to W&B: W&B address 'no address': expected one such as " in log.tail(run)
    assert capfd.readouterr().err == ""
