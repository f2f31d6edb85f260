"""The sealed test part of a run: scored once, by a command of its own, and the result kept.

A test part that is looked at again and again while training goes on is a second validation part.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from tfbind import runs
from tfbind.data import open_training_data, split
from tfbind.evaluation.baselines import fit_baselines, name_of
from tfbind.metrics import figures, of_part
from tfbind.runs import Run, log
from tfbind.scoring import load_model, score_windows
from tfbind.store import KeptFile, kept_file
from tfbind.text import figure


@dataclass(frozen=True)
class TestedBaseline:
    """The figures of a simple model on the test windows; none where it could not be fitted: `about` says why."""

    __test__ = False  # no test class, whatever its name

    key: str
    name: str
    about: str
    test_loss: float | None = None
    test_pearsonr: float | None = None
    test_pearsonr_window: float | None = None
    test_windows_undefined: int | None = None
    test_precision: float | None = None
    test_recall: float | None = None
    test_auprc: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", name_of(self.key, self.name))


@dataclass(frozen=True)
class TestResult:
    """The figures of the best weights of a run on its test windows, and when they were computed.

    `baselines` are the simple models on the same windows. Results of older versions lack them, and the figures of
    sites.
    """

    __test__ = False

    opened: str
    windows: int
    test_loss: float
    test_pearsonr: float | None
    test_pearsonr_window: float | None
    test_windows_undefined: int
    split_hash: str
    test_precision: float | None = None
    test_recall: float | None = None
    test_auprc: float | None = None
    baselines: list[TestedBaseline] = field(default_factory=list)


RESULT_FILE: KeptFile[TestResult] = kept_file(runs.TEST, TestResult)


def read_test_result(run: Run) -> TestResult | None:
    """Read the result of the test; None while it is sealed.

    Raises:
        ValueError: the file that holds it is damaged.
    """
    path = run.folder / runs.TEST
    return RESULT_FILE.read(path) if path.exists() else None


def open_test(run: Run) -> TestResult:
    """Score the test windows with the best weights and keep the result, which later calls return.

    Raises:
        ValueError: the run has no test part or has not finished, or its data set is gone or has changed.
    """
    earlier = read_test_result(run)
    if earlier:
        return earlier
    config, record, state = runs.read_config(run), runs.read_record(run), run.state
    if not config.test_split:
        raise ValueError(f"run {run.id} has no test part; one is sealed by `train --test-split 0.1`")
    if state != "finished":
        raise ValueError(f"run {run.id} is {state}; the test of a run is opened when it has finished")
    data = open_training_data(run.home, record)
    parts = split(data, config)
    if parts.hash != record["split_hash"]:
        raise ValueError(f"run {run.id}: the program splits {data.name} otherwise now; its test windows are gone")
    with run.lock():
        earlier = read_test_result(run)
        if earlier:
            return earlier
        truth = np.asarray(data.scores[parts.test])
        predicted = score_windows(load_model(run.home, run.id), np.asarray(data.codes[parts.test]))
        result = TestResult(
            opened=datetime.now(UTC).isoformat(timespec="seconds"),
            windows=len(truth),
            split_hash=parts.hash,
            baselines=[TestedBaseline(**fields) for fields in fit_baselines(data, parts.train, parts.test, "test")],
            **of_part("test", figures(predicted, truth)),
        )
        RESULT_FILE.write(run.folder / runs.TEST, result)
        message = f"test opened: {result.windows} windows, loss {figure(result.test_loss)}"
        log.note(run, message, windows=result.windows, test_loss=result.test_loss)
    return result
