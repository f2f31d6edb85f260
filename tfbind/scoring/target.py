"""What the scores of a model mean: the factor, the unit and the motif, as far as the data it was trained on say."""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from tfbind import runs
from tfbind.data import dataset
from tfbind.metrics import lowest_label
from tfbind.motifs import Scan, scan_of_origin
from tfbind.nn import LOWEST_LABEL, read_facts, weight_files
from tfbind.store import expand_path

BUILTIN = "builtin"  # the model that ships
MADE_BY_SCAN = ("simulation", "motif")
THRESHOLD = 3.0  # sites are called from here on where a model has no threshold of its own; in the unit of the scores


@dataclass(frozen=True)
class ScoreTarget:
    """Of data that a motif scan made, `factor` and `origin` are known; of others at most the name of the data set.

    `own_threshold` is half the lowest score above 0 of the data, from which on sites are called; None where that is
    not known, or where the data are a signal.
    """

    factor: str = ""
    data: str = ""
    origin: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)
    own_threshold: float | None = field(default=None, compare=False)

    @cached_property
    def scan(self) -> Scan | None:
        """The motif whose hits are the scores, and from which score on it has one; None where there is none."""
        return scan_of_origin(self.origin) if self.origin else None

    @property
    def scale(self) -> str:
        """What scores are in: `score in ...`."""
        if self.origin:
            return "nats above background"
        return f"the unit of data set {self.data}" if self.data else "the unit of the data it was trained on"

    @property
    def words(self) -> str:
        """Factor and unit on one line."""
        if self.origin:
            return f"{self.factor}, score in {self.scale}, not occupancy"
        return f"score in {self.scale}"

    @property
    def unit(self) -> str:
        """What stands behind a number, with a space before it; "" where the unit has no name."""
        return " nats" if self.origin else ""

    @property
    def threshold(self) -> float:
        """The score from which on a site is called unless another is given."""
        return THRESHOLD if self.own_threshold is None else self.own_threshold

    @property
    def why_threshold(self) -> str:
        """Where `threshold` comes from."""
        if self.own_threshold is None:
            return f"{THRESHOLD:g}, since the lowest score of a site in the data behind the model is not known"
        return f"{self.own_threshold:g}, half the lowest score of a site in the data behind the model"

    @property
    def on_threshold(self) -> str:
        """What is to be said of `threshold` where it is not the model's own; "" where it is."""
        return f"sites are called from {self.why_threshold}" if self.own_threshold is None else ""


def half_lowest_label(lowest: float | None) -> float | None:
    """The threshold to a lowest score, in four digits, so that it reads everywhere as it is."""
    return None if lowest is None else float(f"{lowest / 2:.4g}")


UNKNOWN = ScoreTarget()
SHIPPED = ScoreTarget(
    "FOXA1",
    origin={"kind": "simulation", "matrix_id": "MA0148.5", "threshold": 4.366},
    own_threshold=half_lowest_label(4.366379),
)


def read_score_target(home: Path, names: str) -> ScoreTarget:
    """What the scores of a model mean, by the names that `load_model` takes; those of an average, if of one kind.

    The threshold of an average is the mean of those of its members, as its scores are; it has none of its own where
    one of them has none.

    Raises:
        ValueError: the record of a run is damaged.
    """
    found = [_of_member(home, name.strip()) for name in names.split(",")]
    target = found[0] if all(other == found[0] for other in found) else UNKNOWN
    own = [one.own_threshold for one in found if one.own_threshold is not None]
    mean = half_lowest_label(2 * sum(own) / len(own)) if len(own) == len(found) else None
    return target if target.own_threshold == mean else replace(target, own_threshold=mean)


def _of_member(home: Path, name: str) -> ScoreTarget:
    if name == BUILTIN:
        return SHIPPED
    if not runs.is_run(home, name):
        own = _stored(_weights_of(home, name))
        return UNKNOWN if own is None else ScoreTarget(own_threshold=own)
    run = runs.find(home, name)
    record = runs.read_record(run)
    own = _stored(run.folder / runs.BEST)
    return replace(_of_data(home, record), own_threshold=_of_older(home, record) if own is None else own)


def _weights_of(home: Path, name: str) -> Path | None:
    """The safetensors file of a model that is no run; None for one of torch, which holds nothing but tensors."""
    return expand_path(name) if name.endswith(".safetensors") else weight_files.weights_of(home, name)


def _stored(weights: Path | None) -> float | None:
    """The threshold by what was stored with some weights.

    Raises:
        ValueError: what is stored is no score of a site.
    """
    text = read_facts(weights).get(LOWEST_LABEL) if weights else None
    if text is None:
        return None
    with suppress(ValueError):
        if 0 < (lowest := float(text)) < math.inf:
            return half_lowest_label(lowest)
    raise ValueError(f"{weights}: {LOWEST_LABEL} is {text[:40]!r}; expected a score above 0")


def _of_older(home: Path, record: Mapping[str, Any]) -> float | None:
    """The threshold of a run with which none was stored, from its data where they are here."""
    content = record.get("dataset_hash")
    data = dataset.find_content(home, content)
    return half_lowest_label(_lowest_of(home, data[0], str(content))) if data else None


@lru_cache(maxsize=64)
def _lowest_of(home: Path, name: str, content: str) -> float | None:  # noqa: ARG001 - other content, another lowest score
    return lowest_label(dataset.open_dataset(home, name).scores)


def _of_data(home: Path, record: Mapping[str, Any]) -> ScoreTarget:
    data = dataset.find_content(home, record.get("dataset_hash"))
    if data is None:
        return ScoreTarget(data=str(record["dataset"]))
    called, origin = data
    if origin["kind"] in MADE_BY_SCAN:
        return ScoreTarget(str(origin["motif"]), origin=origin)
    return ScoreTarget(data=called)
