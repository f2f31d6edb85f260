"""What far simpler models reach on the same split, and what the best possible one could: what to hold a run against.

Each is fitted on the training part in seconds and measured on the validation part as a run is. Scores (N, L) are
float32, one per base.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from filelock import FileLock
from numpy.typing import NDArray

from tfbind.config import PROJECT, flag
from tfbind.datasets import Windows
from tfbind.files import read_json, write_json
from tfbind.leaks import Leaks, find_leaks
from tfbind.metrics import pearson, window_loss, window_pearson
from tfbind.motifs import Motif, jaspar, paint, threshold_of
from tfbind.sequences import UNKNOWN, Codes
from tfbind.simulate import P_VALUE
from tfbind.splits import Places, Split

WORDS = (10, 8, 6)
FOLDER = "baselines"
SPLIT = ("dataset", "split_by", "validation_split", "test_split", "seed")
LOWEST_PRIORITY = 19
FEWEST_WINDOWS = 500
FITTED_WINDOWS = 4_000  # enough to fit the two numbers of a line, and quick

Scores = NDArray[np.float32]


@dataclass(frozen=True)
class Baseline:
    """A simple model's figures on the validation windows; None where a correlation is undefined."""

    key: str
    name: str
    about: str
    val_loss: float
    val_pearsonr: float | None
    val_pearsonr_window: float | None
    val_windows_undefined: int


def compute(data: Windows, parts: Split) -> list[Baseline]:
    """All baselines for a split, the ceiling last where the rule behind the labels is known."""
    codes, scores = np.asarray(data.codes), np.asarray(data.scores)
    train, held = parts.train, parts.validation
    mean = float(scores[train].mean())
    motif, threshold = jaspar(), threshold_of(jaspar(), P_VALUE)
    word = best_word(codes, scores, train)
    found = [
        _measure("mean", "mean", "the mean score, everywhere", np.full_like(scores[held], mean), scores[held]),
        _fitted(
            "words",
            f"table of {word}-mers",
            f"for each word of {word} bases the score it had in training",
            word_table(codes, scores, train, word),
            codes,
            scores,
            train,
            held,
        ),
        _fitted(
            "jaspar",
            f"JASPAR {motif.matrix_id}",
            f"a scan with the matrix of {motif.name}, both strands",
            lambda windows: paint(motif, windows, threshold),
            codes,
            scores,
            train,
            held,
        ),
    ]
    rule = known_rule(data)
    if rule:
        about = "the rule that made the labels, seeing no more than the window"
        found.append(_measure("ceiling", "ceiling", about, paint(rule[0], codes[held], rule[1]), scores[held]))
    return found


def known_rule(data: Windows) -> tuple[Motif, float] | None:
    """The motif and the threshold that the labels of a data set were made with, None where nobody knows.

    A hit across the edge of a window is painted into it, but cannot be seen in it: the rule applied to the window
    alone is the best that any model can do.
    """
    origin = data.meta["origin"]
    if origin["kind"] != "simulation":
        return None
    return jaspar(origin["matrix_id"]), float(origin["threshold"])


def best_word(codes: Codes, scores: Scores, train: Places) -> int:
    """The length of word whose table, made from three quarters of the training part, does best on the others."""
    asked, learnt = train[::4], np.delete(train, np.s_[::4])
    truth = scores[asked]

    def r(word: int) -> float:
        return pearson(word_table(codes, scores, learnt, word)(codes[asked]), truth) or 0.0

    return max((word for word in WORDS if word <= codes.shape[1]), key=r, default=WORDS[-1])


def word_table(codes: Codes, scores: Scores, train: Places, word: int) -> Callable[[Codes], Scores]:
    """A model that knows for each word of `word` bases how it was scored in training, and nothing else.

    A word's value is the mean, over its places in training, of the lowest score along it: high where words of that
    kind lie within a scored stretch. A base's prediction is the highest value of the words that cover it. A word that
    was never met has the value of the shorter one in its middle.
    """
    tables = {width: _table(codes[train], scores[train], width) for width in WORDS if width <= word}

    def predict(windows: Codes) -> Scores:
        values = _values(windows, tables, word)
        predicted = np.zeros(windows.shape, dtype=np.float32)
        for offset in range(min(word, windows.shape[1])):
            part = predicted[:, offset : offset + values.shape[1]]
            np.maximum(part, values, out=part)
        return predicted

    return predict


def _numbers(codes: Codes, width: int) -> NDArray[np.int64]:
    """Each word as a number below 4**width; -1 where it holds an N."""
    starts = max(codes.shape[1] - width + 1, 0)
    numbers = np.zeros((len(codes), starts), dtype=np.int64)
    unknown = np.zeros(numbers.shape, dtype=bool)
    for offset in range(width):
        base = codes[:, offset : offset + starts]
        numbers = numbers * 4 + (base & 3)
        unknown |= base == UNKNOWN
    numbers[unknown] = -1
    return numbers


def _table(codes: Codes, scores: Scores, width: int) -> Scores:
    """The value of each word, NaN for one that was never met."""
    numbers = _numbers(codes, width)
    lowest = np.full(numbers.shape, np.inf, dtype=np.float32)
    for offset in range(width):
        np.minimum(lowest, scores[:, offset : offset + numbers.shape[1]], out=lowest)
    known = numbers >= 0
    count = np.bincount(numbers[known], minlength=4**width)
    total = np.bincount(numbers[known], lowest[known], minlength=4**width)
    with np.errstate(invalid="ignore"):
        return (total / count).astype(np.float32)


def _values(windows: Codes, tables: dict[int, Scores], width: int) -> Scores:
    starts = max(windows.shape[1] - width + 1, 0)
    values = np.full((len(windows), starts), np.nan, dtype=np.float32)
    for shorter, table in sorted(tables.items(), reverse=True):
        inside = (width - shorter) // 2
        numbers = _numbers(windows, shorter)[:, inside : inside + starts]
        missing = np.isnan(values) & (numbers >= 0)
        values[missing] = table[numbers[missing]]
    return np.nan_to_num(values, copy=False)


def _fitted(
    key: str,
    name: str,
    about: str,
    model: Callable[[Codes], Scores],
    codes: Codes,
    scores: Scores,
    train: Places,
    held: Places,
) -> Baseline:
    """The figures of a model after the straight line that fits its scores to those of the training part best, which
    changes its loss and no correlation."""
    chosen = train[:: max(1, len(train) // FITTED_WINDOWS)]
    x, y = model(codes[chosen]).ravel().astype(np.float64), scores[chosen].ravel().astype(np.float64)
    spread = float(x.var())
    slope = float(((x - x.mean()) * (y - y.mean())).mean()) / spread if spread else 0.0
    predicted = model(codes[held]) * np.float32(slope) + np.float32(y.mean() - slope * x.mean())
    return _measure(key, name, about, predicted, scores[held])


def _measure(key: str, name: str, about: str, predicted: Scores, truth: Scores) -> Baseline:
    by_window = window_pearson(predicted, truth)
    defined = by_window[np.isfinite(by_window)]
    return Baseline(
        key,
        name,
        about,
        float(window_loss(predicted, truth).mean()),
        pearson(predicted, truth),
        float(defined.mean()) if len(defined) else None,
        len(by_window) - len(defined),
    )


def _path(home: Path, dataset_hash: str, split_hash: str) -> Path:
    return home / FOLDER / f"{dataset_hash[:24]}-{split_hash[:24]}.json"


@dataclass(frozen=True)
class Appraisal:
    """What is known of a split whatever is trained on it."""

    baselines: list[Baseline]
    leaks: Leaks


def stored(home: Path, record: dict[str, Any]) -> Appraisal | None:
    """What is known of the split of a run, from its `config.json`; None while that has not been computed.

    Raises:
        ValueError: the file that holds it is damaged.
    """
    if not record.get("dataset_hash") or not record.get("split_hash"):
        return None
    path = _path(home, record["dataset_hash"], record["split_hash"])
    if not path.exists():
        return None
    try:
        kept = read_json(path)
        leaks = Leaks(**{**kept["leaks"], "example": kept["leaks"]["example"] and tuple(kept["leaks"]["example"])})
        return Appraisal([Baseline(**entry) for entry in kept["baselines"]], leaks)
    except (KeyError, TypeError):
        raise ValueError(f"{path}: not what is known of a split; delete it, and it is computed again") from None


def make(home: Path, data: Windows, parts: Split) -> Appraisal:
    """What is known of a split, computed if it has not been; of several processes that ask, one computes."""
    record = {"dataset_hash": data.hash, "split_hash": parts.hash}
    path = _path(home, data.hash, parts.hash)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        found = stored(home, record)
        if found is None:
            found = Appraisal(compute(data, parts), find_leaks(data, parts))
            write_json(path, asdict(found))
    return found


def start(home: Path, record: dict[str, Any]) -> None:
    """Have a process of low priority find out what is not known of the split of a run, if it is large enough."""
    if not record.get("split_hash") or record["windows"] < FEWEST_WINDOWS or stored(home, record):
        return
    settings = [word for field in SPLIT for word in (flag(field), str(record[field]))]
    child = subprocess.Popen(
        [sys.executable, "-m", "tfbind", "baselines", *settings],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TFBIND_HOME": str(home)},
        start_new_session=True,
        cwd=PROJECT,
    )
    psutil.Process(child.pid).nice(LOWEST_PRIORITY)
    threading.Thread(target=child.wait, daemon=True).start()  # leaves no zombie


def remark(found: list[Baseline], val_pearsonr: float | None) -> str | None:
    """A sentence where a simple model is as good as the run, or the run as good as it can be."""
    if val_pearsonr is None:
        return None
    simple = [base for base in found if base.key != "ceiling" and base.val_pearsonr is not None]
    best = max(simple, key=lambda base: base.val_pearsonr or 0.0, default=None)
    if best and (best.val_pearsonr or 0.0) >= val_pearsonr:
        return (
            f"A simpler model does as well. {best.name}, {best.about}: Pearson {best.val_pearsonr:.4f} on the same "
            f"windows; this run: {val_pearsonr:.4f}. It has learnt nothing that the simpler one does not know."
        )
    ceiling = next((base for base in found if base.key == "ceiling" and base.val_pearsonr), None)
    if ceiling and ceiling.val_pearsonr and val_pearsonr >= ceiling.val_pearsonr - 0.005:
        return f"The ceiling is {ceiling.val_pearsonr:.4f}, for {ceiling.about}: there is nothing left to learn here."
    return None
