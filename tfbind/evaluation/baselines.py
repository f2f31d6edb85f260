"""Baselines: simpler models on the split of a run, computed by a process that starts with the run."""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from tfbind import runs
from tfbind.config import PROJECT, flag
from tfbind.data import Leaks, Places, Split, Windows, find_leaks, resolve_name
from tfbind.dna import Codes, word_numbers
from tfbind.metrics import figures, of_part, pearson
from tfbind.motifs import DiscoveredMotif, Scan, TrainingExamples, all_but_overhang, fit_scan, known_motif, label_scan
from tfbind.runs import Run, log
from tfbind.store import DamagedFile, KeptFile, format_error, kept_file, spawn
from tfbind.tracking import logger

WORDS = (10, 8, 6)
FOLDER = "baselines"
FORMAT = 5  # of what is kept; older figures are made anew
SPLIT = ("dataset", "split_by", "validation_split", "test_split", "seed")
LOW_PRIORITY = 10  # a tenth of a core that two trainings want as well
FEWEST_WINDOWS = 500
AT_ONCE = 4_000  # windows whose words are numbered in memory together
ALIKE = 0.005  # differences of Pearson r below that are the luck of a seed
FITTED = {
    "painted": "read off the painted hits of the training part",
    "marked": "counted from the marked hits of the training part",
    "enriched": "of the words that are common at high training scores, which no motif scan made",
}
RULE, SCAN = "ceiling", "motif scan"  # the key of the rule behind the labels in kept files, and what it is
EXACT = "the very rule behind the labels, in each window; of hits across its edges only guesses know more"
FITTED_WINDOWS = 4_000  # enough to fit the two numbers of a line, and quick

Scores = NDArray[np.float32]


@dataclass(frozen=True)
class Baseline:
    """The figures of a simple model on the validation windows, see `metrics.figures`; None where undefined.

    One that could not be fitted has no figures at all: `about` says why.
    """

    key: str
    name: str
    about: str
    val_loss: float | None = None
    val_pearsonr: float | None = None
    val_pearsonr_window: float | None = None
    val_windows_undefined: int | None = None
    val_precision: float | None = None
    val_recall: float | None = None
    val_auprc: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", name_of(self.key, self.name))


def name_of(key: str, name: str) -> str:
    """The name of a baseline: files of earlier versions call the motif scan a ceiling, which it is not."""
    return SCAN if key == RULE else name


@dataclass(frozen=True)
class FittedBaseline:
    """A fitted simple model: scores (N, L) of codes (N, L). Only the rule uses the true scores, its second argument.

    One that could not be fitted predicts nothing: `about` says why.
    """

    key: str
    name: str
    about: str
    predict: Callable[[Codes, Scores], Scores] | None


def compute_baselines(data: Windows, parts: Split) -> list[Baseline]:
    """Fit the baselines of a split and measure them on the validation part."""
    return [Baseline(**record) for record in fit_baselines(data, parts.train, parts.validation, "val")]


def fit_baselines(data: Windows, train: Places, held_out: Places, part: str) -> list[dict[str, Any]]:
    """Fit all simple models on the training part and measure them on a held-out one.

    Args:
        data: the data set.
        train: indices of the training windows.
        held_out: indices of the held-out windows.
        part: `val` or `test`, with which the names of figures begin.

    Returns:
        `key`, `name`, `about` and figures of each model, the rule behind the labels last where it is known.
    """
    codes, truth = np.asarray(data.codes[held_out]), np.asarray(data.scores[held_out])
    records = []
    for model in _simple_models(data, train):
        measured = figures(model.predict(codes, truth), truth) if model.predict else {}
        records.append({"key": model.key, "name": model.name, "about": model.about, **of_part(part, measured)})
    return records


def _simple_models(data: Windows, train: Places) -> list[FittedBaseline]:
    codes, scores = np.asarray(data.codes), np.asarray(data.scores)
    examples, origin = TrainingExamples(codes[train], scores[train]), data.meta["origin"]
    (word, middles), fitted_scan = best_table(codes, scores, train), fit_scan(examples)
    motif_scan, is_own = known_motif(origin, examples)
    nearest = "of all vertebrate motifs the one nearest to the training scores"
    mean = examples.scores.mean()
    models = [
        FittedBaseline("mean", "mean", "the mean score, everywhere", lambda _, truth: np.full_like(truth, mean)),
        FittedBaseline(
            "words",
            f"table of {word}-mers",
            f"for each word of {word} bases the score it had in training; a new one has "
            + ("that of its middle" if middles else "0"),
            _calibrated(word_table(codes, scores, train, word, middles), examples),
        ),
        _fitted_matrix(fitted_scan, examples),
        FittedBaseline(
            "jaspar",
            f"JASPAR {motif_scan.motif.name}",
            f"a scan with {motif_scan.motif.matrix_id}, {'which made these labels' if is_own else nearest}",
            _calibrated(motif_scan, examples),
        ),
    ]
    rule = label_scan(origin, fitted_scan)
    if rule:
        models.append(FittedBaseline(RULE, SCAN, EXACT, partial(all_but_overhang, rule)))
    return models


def _fitted_matrix(fitted_scan: tuple[Scan, DiscoveredMotif] | None, examples: TrainingExamples) -> FittedBaseline:
    if fitted_scan is None:
        reason = "cannot be fitted: no motif is to be found behind the training scores"
        return FittedBaseline("pwm", "fitted matrix", reason, None)
    scan, discovered = fitted_scan
    about = f"a scan with {discovered.motif.consensus}, {FITTED[discovered.how]}"
    return FittedBaseline("pwm", "fitted matrix", about, _calibrated(scan, examples))


def best_table(codes: Codes, scores: Scores, train: Places) -> tuple[int, bool]:
    """The word length and the value of new words, see `word_table`, that do best when fitted on three quarters of the
    training part: the highest r on the rest."""
    held_out, fitted = train[::4], np.delete(train, np.s_[::4])
    truth = scores[held_out]

    def r(table: tuple[int, bool]) -> float:
        return pearson(word_table(codes, scores, fitted, *table)(codes[held_out]), truth) or 0.0

    tables = [(word, middles) for word in WORDS if word <= codes.shape[1] for middles in (True, False)]
    return max(tables, key=r, default=(WORDS[-1], True))


def word_table(
    codes: Codes, scores: Scores, train: Places, word: int, middles: bool = True
) -> Callable[[Codes], Scores]:
    """Fit a table with a value for each word of `word` bases, from its scores in training.

    A word's value is the mean, over its places in training, of the lowest score along it: high where words of that
    kind lie within a scored stretch. A base's prediction is the highest value of the words that cover it. A word that
    was never met has the value of the shorter one in its middle, or 0 without `middles`.
    """
    widths = [width for width in WORDS if width <= word] if middles else [word]
    tables = {width: _table(codes[train], scores[train], width) for width in widths}

    def predict(windows: Codes) -> Scores:
        values = _values(windows, tables, word)
        predicted = np.zeros(windows.shape, dtype=np.float32)
        for offset in range(min(word, windows.shape[1])):
            part = predicted[:, offset : offset + values.shape[1]]
            np.maximum(part, values, out=part)
        return predicted

    return predict


def _table(codes: Codes, scores: Scores, width: int) -> Scores:
    """The value of each word, NaN for one that does not occur."""
    count, total = np.zeros(4**width, dtype=np.int64), np.zeros(4**width)
    for rows in (slice(start, start + AT_ONCE) for start in range(0, len(codes), AT_ONCE)):
        numbers = word_numbers(codes[rows], width)
        lowest = np.full(numbers.shape, np.inf, dtype=np.float32)
        for offset in range(width):
            np.minimum(lowest, scores[rows, offset : offset + numbers.shape[1]], out=lowest)
        valid = numbers >= 0
        count += np.bincount(numbers[valid], minlength=4**width)
        total += np.bincount(numbers[valid], lowest[valid], minlength=4**width)
    with np.errstate(invalid="ignore"):
        return (total / count).astype(np.float32)


def _values(windows: Codes, tables: dict[int, Scores], width: int) -> Scores:
    starts = max(windows.shape[1] - width + 1, 0)
    values = np.full((len(windows), starts), np.nan, dtype=np.float32)
    for shorter, table in sorted(tables.items(), reverse=True):
        inside = (width - shorter) // 2
        numbers = word_numbers(windows, shorter)[:, inside : inside + starts]
        missing = np.isnan(values) & (numbers >= 0)
        values[missing] = table[numbers[missing]]
    return np.nan_to_num(values, copy=False)


def _calibrated(model: Callable[[Codes], Scores], examples: TrainingExamples) -> Callable[[Codes, Scores], Scores]:
    """Calibrate a model by the least-squares line from its scores to the true ones of the training part.

    That changes its loss and no correlation.
    """
    sample = examples.some(FITTED_WINDOWS)
    x, y = model(sample.codes).ravel().astype(np.float64), sample.scores.ravel().astype(np.float64)
    spread = float(x.var())
    slope = float(((x - x.mean()) * (y - y.mean())).mean()) / spread if spread else 0.0
    start = np.float32(y.mean() - slope * x.mean())
    return lambda codes, _: model(codes) * np.float32(slope) + start


def _baselines_path(home: Path, dataset_hash: str, split_hash: str) -> Path:
    return home / FOLDER / f"{dataset_hash[:24]}-{split_hash[:24]}-{FORMAT}.json"


@dataclass(frozen=True)
class SplitBaselines:
    """Baselines and leaks of a split, whatever is trained on it."""

    baselines: list[Baseline]
    leaks: Leaks


BASELINES_FILE: KeptFile[SplitBaselines] = kept_file("baselines/*.json", SplitBaselines)


def read_baselines(home: Path, record: dict[str, Any]) -> SplitBaselines | None:
    """Read the baselines and leaks of the split of a run; None while they have not been computed.

    Args:
        home: the home of the run.
        record: its `config.json`.

    Raises:
        ValueError: the file that holds it is damaged.
    """
    hashes = [str(record.get("dataset_hash") or ""), str(record.get("split_hash") or "")]
    if not all(hash.isalnum() for hash in hashes):  # those of a pulled run may be anything, also a path
        return None
    path = _baselines_path(home, *hashes)
    if not path.exists():
        return None
    try:
        return BASELINES_FILE.read(path)
    except DamagedFile as error:
        raise DamagedFile(path, f"{error.detail}; delete it, and it is computed again") from None


@dataclass(frozen=True)
class BaselineComparison:
    """A baseline in a comparison of runs: the value of a metric on each of their splits, where defined.

    `data` is the name of the data set.
    """

    key: str
    name: str
    about: str
    values: list[float]
    data: str = ""

    @property
    def mean(self) -> float | None:
        """The mean over splits; None where there is no value."""
        return sum(self.values) / len(self.values) if self.values else None


def compare_baselines(home: Path, records: Iterable[Mapping[str, Any]], metric: str) -> list[BaselineComparison]:
    """Collect the baselines of the splits of some runs.

    Args:
        home: the home of the runs.
        records: their `config.json`.
        metric: a field of `Baseline`.

    Returns:
        The baselines; [] where none has such a metric, or where the runs are of several data sets, whose figures have
        no common mean.

    Raises:
        ValueError: a file that holds them is damaged.
    """
    splits = {(record.get("dataset_hash"), record.get("split_hash")): dict(record) for record in records}
    if len({content for content, _ in splits if content}) > 1:
        return []
    measured = [split for record in splits.values() if (split := read_baselines(home, record))]
    rows: dict[tuple[str, str], BaselineComparison] = {}
    for base in [base for split in measured for base in split.baselines]:
        value = vars(base).get(metric)
        row = rows.setdefault((base.key, base.name), BaselineComparison(base.key, base.name, base.about, []))
        row.values.extend([] if value is None else [value])
    order = {base.key: index for split in measured for index, base in enumerate(split.baselines)}
    return sorted((row for row in rows.values() if row.values), key=lambda row: order[row.key])


def compare_baselines_by_data(
    home: Path, records: Sequence[Mapping[str, Any]], metric: str
) -> list[BaselineComparison]:
    """Collect the baselines of the splits of some runs, for each of their data sets.

    Args:
        home: the home of the runs.
        records: their `config.json`.
        metric: a field of `Baseline`.

    Returns:
        The baselines, with the name of the data set.

    Raises:
        ValueError: a file that holds them is damaged.
    """
    by_data: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        if content := record.get("dataset_hash"):
            by_data.setdefault(content, []).append(record)
    return [
        replace(comparison, data=str(group[0].get("dataset")))
        for group in by_data.values()
        for comparison in compare_baselines(home, group, metric)
    ]


def ensure_baselines(home: Path, data: Windows, parts: Split) -> SplitBaselines:
    """Read the baselines and leaks of a split, computing them if needed; of several processes one computes.

    Args:
        home: where they are kept.
        data: the data set.
        parts: its split.

    Returns:
        The baselines and leaks.
    """
    record = {"dataset_hash": data.hash, "split_hash": parts.hash}
    path = _baselines_path(home, data.hash, parts.hash)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        result = read_baselines(home, record)
        if result is None:
            result = SplitBaselines(compute_baselines(data, parts), find_leaks(data, parts))
            BASELINES_FILE.write(path, result)
    return result


def baselines_command(home: Path, record: Mapping[str, Any]) -> list[str]:
    """The arguments of the command that computes the baselines of the split of a run.

    Raises:
        ValueError: its data are not here.
    """
    settings = {**record, "dataset": resolve_name(home, record)}
    return ["baselines", *(word for field in SPLIT for word in (flag(field), str(settings[field])))]


def start_baselines(home: Path, record: dict[str, Any]) -> None:
    """Start a process of low priority that computes the baselines of the split of a run, if it is large enough."""
    if not record.get("split_hash") or record.get("windows", 0) < FEWEST_WINDOWS or read_baselines(home, record):
        return
    child = spawn(
        [sys.executable, "-m", "tfbind", *baselines_command(home, record)],
        LOW_PRIORITY,
        env={**os.environ, "TFBIND_HOME": str(home)},
        start_new_session=False,  # Linux shares cores among sessions before it looks at priorities
        process_group=0,
        cwd=PROJECT,
    )
    threading.Thread(target=child.wait, daemon=True).start()  # leaves no zombie


def remark(baselines: Sequence[Baseline], val_pearsonr: float | None, model: str = "this run") -> str | None:
    """A remark where a simple model is as good as a run, or the run as the rule behind the labels.

    Args:
        baselines: of the split of the run.
        val_pearsonr: of the run.
        model: what the remark calls the run.

    Returns:
        One or two sentences; None where there is nothing to remark.
    """
    if val_pearsonr is None:
        return None
    sentences = []
    correlations = {baseline: baseline.val_pearsonr for baseline in baselines if baseline.val_pearsonr is not None}
    rivals = [baseline for baseline, r in correlations.items() if baseline.key != RULE and r >= val_pearsonr - ALIKE]
    if rivals:
        best = max(rivals, key=lambda baseline: correlations[baseline])
        degree = "better" if correlations[best] > val_pearsonr + ALIKE else "as well"
        sentences.append(
            f"A simpler model does {degree}: {best.name} ({best.about}) reaches Pearson "
            f"{correlations[best]:.4f} on the same windows, {model} {val_pearsonr:.4f}. "
            "Nothing shows that more was learnt than the simpler one knows."
        )
    rule = as_good_as_the_rule(baselines)
    if rule is not None and val_pearsonr >= rule:
        sentences.append(
            f"A {SCAN} with the very rule behind the labels reaches Pearson {rule + ALIKE:.4f} in the same windows, "
            f"{model} {val_pearsonr:.4f}: little is left to learn here."
        )
    return " ".join(sentences) or None


def as_good_as_the_rule(baselines: Sequence[Baseline]) -> float | None:
    """The Pearson r from which on a model is as good as the rule behind the labels; None where unknown."""
    correlations = [base.val_pearsonr for base in baselines if base.key == RULE and base.val_pearsonr is not None]
    return correlations[0] - ALIKE if correlations else None


def remark_on_best(
    home: Path, records: Sequence[Mapping[str, Any]], metric: str, value: float, model: str
) -> str | None:
    """The remark on the best setting of a comparison.

    Args:
        home: the home of the runs.
        records: the `config.json` of its runs.
        metric: by which it is judged.
        value: its mean.
        model: what the remark calls it.

    Returns:
        As `remark`; None also where the metric is not Pearson's r, or a split has no baselines yet.

    Raises:
        ValueError: a file that holds baselines is damaged.
    """
    if metric != "val_pearsonr" or not all(read_baselines(home, dict(record)) for record in records):
        return None
    rows = compare_baselines(home, records, metric)
    baselines = [Baseline(base.key, base.name, base.about, val_pearsonr=base.mean) for base in rows]
    return remark(baselines, value, model)


def start_sidecars(run: Run) -> None:
    """Start the logging to W&B and the baselines of a run. An error is logged and does not stop the run."""
    record = runs.read_record(run)
    if logger.requested_mode(record) != "off":
        with _log_errors(run, "not logged to W&B"):
            logger.start(run)
    with _log_errors(run, "no baselines"):  # a run is worth as much without figures to hold it against
        start_baselines(run.home, record)


@contextlib.contextmanager
def _log_errors(run: Run, lacking: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        with contextlib.suppress(OSError, ValueError):  # a log that takes no line ends no run
            log.note(run, f"{lacking}: {format_error(error)}", "WARNING")
