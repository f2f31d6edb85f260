"""Commands run for a page: what they print, what they complain of, and how far they are."""

from pathlib import Path

import pytest

from tfbind.datasets import open_dataset
from ui.child import command

BUILD = ("--motif", "MA0148.5", "--json", "--progress")


@pytest.fixture
def genome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TFBIND_HOME", str(tmp_path / "home"))
    path = tmp_path / "g.fa"
    path.write_text(">chr1\n" + "TGTTTACATAGGCCATTGCA\n" * 500)
    return path


def test_the_share_that_is_done_is_told_while_it_runs(genome: Path) -> None:
    shares: list[float] = []
    printed = command("data", "build", "own", "--genome", str(genome), *BUILD, seconds=120, tell=shares.append)
    assert shares[-1] == 1.0
    assert shares == sorted(shares)
    assert '"name": "own"' in printed


def test_a_page_that_ends_while_it_is_told_does_not_end_the_command(genome: Path, tmp_path: Path) -> None:
    def leave(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        command("data", "build", "own", "--genome", str(genome), *BUILD, seconds=120, tell=leave)
    assert len(open_dataset(tmp_path / "home", "own")) == 33


def test_a_complaint_is_one_line_and_what_takes_too_long_is_ended(genome: Path) -> None:
    with pytest.raises(ValueError, match="not in JASPAR 2026"):
        command("data", "build", "own", "--genome", str(genome), "--motif", "no such", seconds=120)
    with pytest.raises(ValueError, match="data: stopped after 0 seconds without an end"):
        command("data", "list", seconds=0.01)
