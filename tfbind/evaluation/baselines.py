"""How far simpler models get on the split of a run, found by a process that starts beside it, as does W&B's."""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from filelock import FileLock
from numpy.typing import NDArray

from tfbind import runs
from tfbind.config import PROJECT, flag
from tfbind.data import Leaks, Places, Split, Windows, find_leaks, resolve_name
from tfbind.dna import UNKNOWN, Codes
from tfbind.metrics import figures, of_part, pearson
from tfbind.motifs import DiscoveredMotif, Scan, TrainingExamples, all_but_overhang, fit_scan, known_motif, label_scan
from tfbind.runs import Run, log
from tfbind.store import DamagedFile, KeptFile, format_error, kept_file
from tfbind.tracking import logger

WORDS = (10, 8, 6)
FOLDER = "baselines"
FORMAT = 4  # of what is kept; older figures are made anew
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
    """A simple model's figures on the validation windows, see `metrics.figures`; None where one is undefined.

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


def name_of(key: str, kept: str) -> str:
    """What a simple model is called: files of earlier versions call the motif scan a ceiling, which it is not."""
    return SCAN if key == RULE else kept


@dataclass(frozen=True)
class FittedBaseline:
    """A simple model, fitted: scores (N, L) of codes (N, L). The true scores beside them are for the rule alone.

    One that could not be fitted predicts nothing: `about` says why.
    """

    key: str
    name: str
    about: str
    predict: Callable[[Codes, Scores], Scores] | None


def compute_baselines(data: Windows, parts: Split) -> list[Baseline]:
    """The baselines of a split, from `measured`, with their figures on the validation part."""
    return [Baseline(**one) for one in fit_baselines(data, parts.train, parts.validation, "val")]


def fit_baselines(data: Windows, train: Places, held: Places, part: str) -> list[dict[str, Any]]:
    """All simple models, the rule behind the labels last where it is known: `key`, `name`, `about`, and the
    figures on the held-out windows under the names of their part.

    All is fitted on the training part; what is held out is only measured.
    """
    codes, truth = np.asarray(data.codes[held]), np.asarray(data.scores[held])
    found = []
    for model in _simple_models(data, train):
        reached = figures(model.predict(codes, truth), truth) if model.predict else {}
        found.append({"key": model.key, "name": model.name, "about": model.about, **of_part(part, reached)})
    return found


def _simple_models(data: Windows, train: Places) -> list[FittedBaseline]:
    codes, scores = np.asarray(data.codes), np.asarray(data.scores)
    examples, origin = TrainingExamples(codes[train], scores[train]), data.meta["origin"]
    word, fit = best_word(codes, scores, train), fit_scan(examples)
    known, its_own = known_motif(origin, examples)
    how = "which made these labels" if its_own else "of all vertebrate motifs the one nearest to the training scores"
    mean = examples.scores.mean()
    found = [
        FittedBaseline("mean", "mean", "the mean score, everywhere", lambda _, truth: np.full_like(truth, mean)),
        FittedBaseline(
            "words",
            f"table of {word}-mers",
            f"for each word of {word} bases the score it had in training",
            _lined_up(word_table(codes, scores, train, word), examples),
        ),
        _fitted_matrix(fit, examples),
        FittedBaseline(
            "jaspar",
            f"JASPAR {known.motif.name}",
            f"a scan with {known.motif.matrix_id}, {how}",
            _lined_up(known, examples),
        ),
    ]
    rule = label_scan(origin, fit)
    if rule:
        found.append(FittedBaseline(RULE, SCAN, EXACT, partial(all_but_overhang, rule)))
    return found


def _fitted_matrix(fit: tuple[Scan, DiscoveredMotif] | None, examples: TrainingExamples) -> FittedBaseline:
    if fit is None:
        why = "cannot be fitted: no motif is to be found behind the training scores"
        return FittedBaseline("pwm", "fitted matrix", why, None)
    scan, behind = fit
    about = f"a scan with {behind.motif.consensus}, {FITTED[behind.how]}"
    return FittedBaseline("pwm", "fitted matrix", about, _lined_up(scan, examples))


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
    count, total = np.zeros(4**width, dtype=np.int64), np.zeros(4**width)
    for some in (slice(at, at + AT_ONCE) for at in range(0, len(codes), AT_ONCE)):
        numbers = _numbers(codes[some], width)
        lowest = np.full(numbers.shape, np.inf, dtype=np.float32)
        for offset in range(width):
            np.minimum(lowest, scores[some, offset : offset + numbers.shape[1]], out=lowest)
        known = numbers >= 0
        count += np.bincount(numbers[known], minlength=4**width)
        total += np.bincount(numbers[known], lowest[known], minlength=4**width)
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


def _lined_up(model: Callable[[Codes], Scores], examples: TrainingExamples) -> Callable[[Codes, Scores], Scores]:
    """A model after the straight line that fits its scores to those of the training part best, which changes its loss
    and no correlation."""
    some = examples.some(FITTED_WINDOWS)
    x, y = model(some.codes).ravel().astype(np.float64), some.scores.ravel().astype(np.float64)
    spread = float(x.var())
    slope = float(((x - x.mean()) * (y - y.mean())).mean()) / spread if spread else 0.0
    start = np.float32(y.mean() - slope * x.mean())
    return lambda codes, _: model(codes) * np.float32(slope) + start


def _path(home: Path, dataset_hash: str, split_hash: str) -> Path:
    return home / FOLDER / f"{dataset_hash[:24]}-{split_hash[:24]}-{FORMAT}.json"


@dataclass(frozen=True)
class SplitBaselines:
    """What is known of a split whatever is trained on it."""

    baselines: list[Baseline]
    leaks: Leaks


APPRAISAL_FILE: KeptFile[SplitBaselines] = kept_file("baselines/*.json", SplitBaselines)


def read_baselines(home: Path, record: dict[str, Any]) -> SplitBaselines | None:
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
        return APPRAISAL_FILE.read(path)
    except DamagedFile as error:
        raise DamagedFile(path, f"{error.detail}; delete it, and it is computed again") from None


@dataclass(frozen=True)
class BaselineComparison:
    """A baseline beside the runs of a comparison: one value of a metric for each of their splits, where defined;
    `data` names the data set."""

    key: str
    name: str
    about: str
    values: list[float]
    data: str = ""

    @property
    def mean(self) -> float | None:
        """None where no split gave a value."""
        return sum(self.values) / len(self.values) if self.values else None


def compare_baselines(home: Path, records: Iterable[Mapping[str, Any]], metric: str) -> list[BaselineComparison]:
    """The baselines of the splits of some runs, from their `config.json`; [] where none has such a metric, or where
    the runs are of several data sets, whose figures have no common mean.

    Raises:
        ValueError: a file that holds them is damaged.
    """
    splits = {(one.get("dataset_hash"), one.get("split_hash")): dict(one) for one in records}
    if len({content for content, _ in splits if content}) > 1:
        return []
    known = [found for record in splits.values() if (found := read_baselines(home, record))]
    rows: dict[tuple[str, str], BaselineComparison] = {}
    for base in [base for found in known for base in found.baselines]:
        value = vars(base).get(metric)
        row = rows.setdefault((base.key, base.name), BaselineComparison(base.key, base.name, base.about, []))
        row.values.extend([] if value is None else [value])
    order = {base.key: place for found in known for place, base in enumerate(found.baselines)}
    return sorted((row for row in rows.values() if row.values), key=lambda row: order[row.key])


def compare_baselines_by_data(
    home: Path, records: Sequence[Mapping[str, Any]], metric: str
) -> list[BaselineComparison]:
    """As `beside`, for each of several data sets apart.

    Raises:
        ValueError: a file that holds them is damaged.
    """
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        if content := record.get("dataset_hash"):
            kinds.setdefault(content, []).append(record)
    return [
        replace(one, data=str(kind[0].get("dataset")))
        for kind in kinds.values()
        for one in compare_baselines(home, kind, metric)
    ]


def ensure_baselines(home: Path, data: Windows, parts: Split) -> SplitBaselines:
    """What is known of a split, computed if it has not been; of several processes that ask, one computes."""
    record = {"dataset_hash": data.hash, "split_hash": parts.hash}
    path = _path(home, data.hash, parts.hash)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        found = read_baselines(home, record)
        if found is None:
            found = SplitBaselines(compute_baselines(data, parts), find_leaks(data, parts))
            APPRAISAL_FILE.write(path, found)
    return found


def baselines_command(home: Path, record: Mapping[str, Any]) -> list[str]:
    """The words of the command that finds out what is known of the split of a run.

    Raises:
        ValueError: its data are not here.
    """
    settings = {**record, "dataset": resolve_name(home, record)}
    return ["baselines", *(word for field in SPLIT for word in (flag(field), str(settings[field])))]


def start_baselines(home: Path, record: dict[str, Any]) -> None:
    """Have a process of low priority find out what is not known of the split of a run, if it is large enough."""
    if not record.get("split_hash") or record.get("windows", 0) < FEWEST_WINDOWS or read_baselines(home, record):
        return
    child = subprocess.Popen(
        [sys.executable, "-m", "tfbind", *baselines_command(home, record)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TFBIND_HOME": str(home)},
        process_group=0,  # no session of its own: Linux shares cores among sessions before it looks at priorities
        cwd=PROJECT,
    )
    psutil.Process(child.pid).nice(LOW_PRIORITY)
    threading.Thread(target=child.wait, daemon=True).start()  # leaves no zombie


def remark(found: Sequence[Baseline], val_pearsonr: float | None, model: str = "this run") -> str | None:
    """What there is to say where a simple model is as good as another, or that one as the rule behind the labels."""
    if val_pearsonr is None:
        return None
    said = []
    reached = {base: base.val_pearsonr for base in found if base.val_pearsonr is not None}
    rivals = [base for base, r in reached.items() if base.key != RULE and r >= val_pearsonr - ALIKE]
    if rivals:
        best = max(rivals, key=lambda base: reached[base])
        how = "better" if reached[best] > val_pearsonr + ALIKE else "as well"
        said.append(
            f"A simpler model does {how}: {best.name} ({best.about}) reaches Pearson {reached[best]:.4f} on the same "
            f"windows, {model} {val_pearsonr:.4f}. Nothing shows that more was learnt than the simpler one knows."
        )
    scan = as_good_as_the_rule(found)
    if scan is not None and val_pearsonr >= scan:
        said.append(
            f"A {SCAN} with the very rule behind the labels reaches Pearson {scan + ALIKE:.4f} in the same windows, "
            f"{model} {val_pearsonr:.4f}: little is left to learn here."
        )
    return " ".join(said) or None


def as_good_as_the_rule(found: Sequence[Baseline]) -> float | None:
    """The Pearson r from which on a model is as good as the rule behind the labels; None where that is not known."""
    reached = [base.val_pearsonr for base in found if base.key == RULE and base.val_pearsonr is not None]
    return reached[0] - ALIKE if reached else None


def remark_on_best(
    home: Path, records: Sequence[Mapping[str, Any]], metric: str, value: float, model: str
) -> str | None:
    """The same for the best setting of a comparison, from the `config.json` of its runs; None where it is judged by
    anything but Pearson's r, or where not every one of them was measured on windows with known baselines.

    Raises:
        ValueError: a file that holds baselines is damaged.
    """
    if metric != "val_pearsonr" or not all(read_baselines(home, dict(record)) for record in records):
        return None
    found = compare_baselines(home, records, metric)
    return remark([Baseline(one.key, one.name, one.about, val_pearsonr=one.mean) for one in found], value, model)


def start_sidecars(run: Run) -> None:
    """Start them. Neither ever stops a run: what keeps them from starting goes into its log."""
    record = runs.read_record(run)
    if logger.requested_mode(record) != "off":
        with _noted(run, "not logged to W&B"):
            logger.start(run)
    with _noted(run, "no baselines"):  # a run is worth as much without figures to hold it against
        start_baselines(run.home, record)


@contextlib.contextmanager
def _noted(run: Run, lacking: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        with contextlib.suppress(OSError, ValueError):  # a log that takes no line ends no run
            log.note(run, f"{lacking}: {format_error(error)}", "WARNING")
