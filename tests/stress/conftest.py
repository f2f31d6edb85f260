"""Fixtures that the stress tests share."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from life import SEED, Start, end_all
from ray_cluster import start_command
from toy import toy_home


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder are slow ones."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("slow")


def pytest_report_header() -> str:
    return f"stress: TFBIND_STRESS_SEED={SEED}"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home with the data set `toy`; whatever works on a run of it ends with the test."""
    home = toy_home(tmp_path)
    yield home
    end_all(home)


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    """Starts a command of the program, which ends with the test."""
    started = []

    def start(*words: str) -> "subprocess.Popen[str]":
        started.append(start_command(home, *words))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()
