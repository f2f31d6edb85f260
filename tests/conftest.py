"""Fixtures that several test files share."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from wandb_server import KEY, WandbServer

# How long an example takes says more of the machine's other work than of the code.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

# Under nohup these are ignored, also by every program that a test starts and sends them to.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, usual)

SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared_file(*parts: str) -> Path:
    """A file of reference material beside the checkout; the test is skipped where it is missing."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        reason = f"no reference material: {path} is missing"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@pytest.fixture
def real_pair() -> tuple[Path, Path]:
    """The real chr22 windows: paths of the sequences and of the scores."""
    return shared_file("data", "chr22_sequences.txt.gz"), shared_file("data", "chr22_scores.txt.gz")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of what is called in this process, not yet made."""
    monkeypatch.setenv("TFBIND_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def no_wandb(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The patch of an environment of which W&B's client can read nothing."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture
def server(no_wandb: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    """An empty W&B server, its address and a key in the environment."""
    with WandbServer() as server:
        no_wandb.setenv("WANDB_API_KEY", KEY)
        no_wandb.setenv("WANDB_BASE_URL", server.url)
        yield server


@pytest.fixture
def seed_experiment() -> str:
    """The published experiment's text, with its code."""
    return shared_file("seed", "tf-binding-hyperparameter-tuning.md").read_text()
