"""Fixtures that the stress tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from life import SEED, end_all
from toy import toy_home


def pytest_report_header() -> str:
    return f"stress: TFBIND_STRESS_SEED={SEED}"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home with the data set `toy`; whatever works on a run of it ends with the test."""
    home = toy_home(tmp_path)
    yield home
    end_all(home)
