"""Filters as motifs: a filter that looks for a known motif is told by it, one that looks for nothing is not."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from stand_in import CONFIG

from tfbind.__main__ import main
from tfbind.data.dataset import Windows, make_builtin
from tfbind.evaluation import filters
from tfbind.evaluation.filters import FIRST_LAYER, FilterReport
from tfbind.motifs.pwm import jaspar_motif
from tfbind.runs import folder
from tfbind.runs.folder import Run
from tfbind.runs.record import pack_validation

FOXA1 = jaspar_motif()


@pytest.fixture
def data(tmp_path: Path) -> Windows:
    return make_builtin(tmp_path, windows=1500)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run whose filters are FOXA1, its reverse complement, the same for every word, and never excited."""
    made = folder.create(tmp_path, CONFIG.model_copy(update={"dataset": "builtin"}))
    flanked = np.zeros((4, 4, 12), np.float32)
    flanked[0, :, 2:10] = FOXA1.log_odds
    flanked[1, :, 2:10] = FOXA1.reverse_complement().log_odds
    flanked[2] = 1
    flanked[3] = -1
    save_file({FIRST_LAYER: flanked}, made.folder / folder.BEST)
    nothing = np.zeros(900)
    held = pack_validation(np.arange(900), np.zeros((900, 300)), nothing, nothing)
    (made.folder / folder.VALIDATION).write_bytes(held)
    return made


def test_filters_are_told_by_the_words_that_excite_them(run: Run, data: Windows) -> None:
    """One search for all: the comparison is compiled the first time it runs in an environment."""
    found = filters.describe_filters(run, data)
    assert found.windows == 900
    first, second, constant, dead = found.filters
    assert first.motif is not None
    assert second.motif is not None
    assert FOXA1.consensus in first.motif.consensus
    assert FOXA1.reverse_complement().consensus in second.motif.consensus
    assert constant.motif is None
    assert (dead.motif, dead.words) == (None, 0)
    for one in (first, second):
        assert "FOXA1" in {match.name for match in one.matches}
        assert one.match is not None
        assert one.match.e_value < 1e-3
    assert first.matches[0].strand != second.matches[0].strand
    assert found.behind in (FOXA1.consensus, FOXA1.reverse_complement().consensus)
    assert found.for_the_labels == [first, second]
    kept = filters.read_filters(run)
    assert kept is not None
    assert_same(kept, found)


def assert_same(first: FilterReport, second: FilterReport) -> None:
    assert (first.windows, first.behind) == (second.windows, second.behind)
    for one, other in zip(first.filters, second.filters, strict=True):
        assert (one.number, one.words, one.windows, one.matches, one.behind) == (
            other.number,
            other.words,
            other.windows,
            other.matches,
            other.behind,
        )
        assert (one.motif is None) == (other.motif is None)
        if one.motif and other.motif:
            np.testing.assert_allclose(one.motif.probabilities, other.motif.probabilities, atol=1e-5)


def test_the_command_says_how_like_the_motif_of_the_labels_each_filter_is(
    run: Run, data: Windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TFBIND_HOME", str(tmp_path))
    assert main(["filters", run.id]) == 0
    first, second, constant, dead = capsys.readouterr().out.splitlines()
    found = filters.describe_filters(run, data).filters
    assert first.endswith(f"  like the labels' motif: p {found[0].behind:.1g}")
    assert second.endswith(f"  like the labels' motif: p {found[1].behind:.1g}")
    assert "labels" not in constant + dead


def test_nothing_is_told_before_it_was_asked_or_after_the_weights_have_changed(run: Run) -> None:
    assert filters.read_filters(run) is None
    kept = run.folder / folder.FILTERS
    kept.write_text('{"filters": [], "windows": 3, "behind": null}')
    assert filters.read_filters(run) == FilterReport([], 3, None)
    later = time.time() + 10
    touch(run.folder / folder.BEST, later)
    assert filters.read_filters(run) is None
    touch(kept, later + 1)
    kept.write_text('{"filters": 3}')
    touch(kept, later + 1)
    with pytest.raises(ValueError, match=r"filters\.json: filters, windows, behind missing or of another kind"):
        filters.read_filters(run)


def touch(path: Path, when: float) -> None:
    os.utime(path, (when, when))


def test_a_run_without_weights_is_refused(tmp_path: Path, data: Windows) -> None:
    empty = folder.create(tmp_path, CONFIG.model_copy(update={"dataset": "builtin"}))
    with pytest.raises(ValueError, match="no weights yet; expected a run with a finished epoch"):
        filters.describe_filters(empty, data)


def test_filters_of_a_run_that_cannot_be_written_are_printed(
    run: Run, data: Windows, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(30, "Read-only file system", "/home/runs/one/filters.json")

    monkeypatch.setattr(filters.REPORT_FILE.__class__, "write", full)
    report = filters.describe_filters(run, data)
    assert report.unkept == "/home/runs/one/filters.json: read-only file system"
    assert filters.read_filters(run) is None
    monkeypatch.setenv("TFBIND_HOME", str(run.home))
    assert main(["filters", run.id]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("filter   1 ")
    assert printed.err == "tfbind: not kept for later: /home/runs/one/filters.json: read-only file system\n"
