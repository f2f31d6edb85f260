"""What a model's scores are of: the factor, the unit and the motif, as far as its training data tell."""

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

from tfbind import runs
from tfbind.data import dataset
from tfbind.metrics import Bands, bands_from_json, lowest_label
from tfbind.motifs import Scan, scan_of_origin
from tfbind.nn import BANDS, LOWEST_LABEL, read_facts, weight_files
from tfbind.store import expand_path

BUILTIN = "builtin"  # the model that ships
MEASURED = Path(__file__).parents[1] / "builtin" / "measured.json"
MADE_BY_SCAN = ("simulation", "motif")
THRESHOLD = 3.0  # sites are called from here on where a model has no threshold of its own; in the unit of the scores


@dataclass(frozen=True)
class ScoreTarget:
    """What the scores of a model are of. `factor` and `origin` are known for data made by a motif scan, for others at
    most the name of the data set.

    `own_threshold` is half the lowest score above 0 of the data, from which on sites are called; None where that is
    not known, or where the data are a signal. `bands` are those around scores of one strand; None where the model,
    such as an average of runs, was not calibrated.
    """

    factor: str = ""
    data: str = ""
    origin: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)
    own_threshold: float | None = field(default=None, compare=False)
    bands: Bands | None = field(default=None, compare=False)

    @cached_property
    def scan(self) -> Scan | None:
        """The motif whose hits are the scores, with its threshold; None where there is none."""
        return scan_of_origin(self.origin) if self.origin else None

    @property
    def scale(self) -> str:
        """The unit in words, as in `score in ...`."""
        if self.origin:
            return "nats above background"
        return f"the unit of data set {self.data}" if self.data else "the unit of the data it was trained on"

    @property
    def words(self) -> str:
        """Factor and unit in words, on one line."""
        if self.origin:
            return f"{self.factor}, score in {self.scale}, not occupancy"
        return f"score in {self.scale}"

    @property
    def unit(self) -> str:
        """The unit behind a number, with a space before it; "" where it has no name."""
        return " nats" if self.origin else ""

    @property
    def threshold(self) -> float:
        """The least score of a called site unless another is given."""
        return THRESHOLD if self.own_threshold is None else self.own_threshold

    @property
    def why_threshold(self) -> str:
        """`threshold` and its source in words."""
        if self.own_threshold is None:
            return f"{THRESHOLD:g}, since the lowest score of a site in the data behind the model is not known"
        return f"{self.own_threshold:g}, half the lowest score of a site in the data behind the model"

    @property
    def on_threshold(self) -> str:
        """A note on `threshold` where it is not the model's own; "" where it is."""
        return f"sites are called from {self.why_threshold}" if self.own_threshold is None else ""


def half_lowest_label(lowest: float | None) -> float | None:
    """The threshold for a lowest label: half of it, in four digits, so that it reads the same everywhere."""
    return None if lowest is None else float(f"{lowest / 2:.4g}")


UNKNOWN = ScoreTarget()
SHIPPED = ScoreTarget(
    "FOXA1",
    origin={"kind": "simulation", "matrix_id": "MA0148.5", "threshold": 4.366},
    own_threshold=half_lowest_label(4.366379),
)


def read_score_target(home: Path, names: str) -> ScoreTarget:
    """Read what the scores of a model are of.

    Args:
        home: the home of runs and imported models.
        names: as for `load_model`.

    Returns:
        The target, unknown for an average of members with different ones. The threshold of an average is the mean of
        its members'; it has none of its own where one of them has none.

    Raises:
        ValueError: the record of a run is damaged.
    """
    targets = [_member_target(home, name.strip()) for name in names.split(",")]
    target = targets[0] if all(other == targets[0] for other in targets) else UNKNOWN
    thresholds = [member.own_threshold for member in targets if member.own_threshold is not None]
    mean = half_lowest_label(2 * sum(thresholds) / len(thresholds)) if len(thresholds) == len(targets) else None
    return replace(target, own_threshold=mean, bands=targets[0].bands if len(targets) == 1 else None)


def _member_target(home: Path, name: str) -> ScoreTarget:
    if name == BUILTIN:
        return replace(SHIPPED, bands=bands_from_json(json.dumps(measured()["bands"])))
    if not runs.is_run(home, name):
        weights = _weights_of(home, name)
        return ScoreTarget(own_threshold=_stored_threshold(weights), bands=_stored_bands(weights))
    run = runs.find(home, name)
    record = runs.read_record(run)
    threshold = _stored_threshold(run.folder / runs.BEST)
    if threshold is None:
        threshold = _threshold_from_data(home, record)
    bands = _stored_bands(run.folder / runs.BEST)
    return replace(_data_target(home, record), own_threshold=threshold, bands=bands)


@cache
def measured() -> dict[str, Any]:
    """What `benchmarks/builtin_bands.py` measured of the model that ships: its bands and its background."""
    content: dict[str, Any] = json.loads(MEASURED.read_text(encoding="utf-8"))
    return content


def _stored_bands(weights: Path | None) -> Bands | None:
    """The bands stored with some weights.

    Raises:
        ValueError: what is stored is none.
    """
    text = read_facts(weights).get(BANDS) if weights else None
    try:
        return None if text is None else bands_from_json(text)
    except ValueError as error:
        raise ValueError(f"{weights}: {error}") from None


def _weights_of(home: Path, name: str) -> Path | None:
    """The safetensors file of a model that is no run; None for one of torch, which holds nothing but tensors."""
    return expand_path(name) if name.endswith(".safetensors") else weight_files.weights_of(home, name)


def _stored_threshold(weights: Path | None) -> float | None:
    """The threshold by the lowest label stored with some weights.

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


def _threshold_from_data(home: Path, record: Mapping[str, Any]) -> float | None:
    """The threshold of a run without a stored one, from its data set where that is in the home."""
    content = record.get("dataset_hash")
    data = dataset.find_content(home, content)
    return half_lowest_label(_lowest_label_of(home, data[0], str(content))) if data else None


@lru_cache(maxsize=64)
def _lowest_label_of(home: Path, name: str, content: str) -> float | None:  # noqa: ARG001 - other content, another lowest score
    return lowest_label(dataset.open_dataset(home, name).scores)


def _data_target(home: Path, record: Mapping[str, Any]) -> ScoreTarget:
    match = dataset.find_content(home, record.get("dataset_hash"))
    if match is None:
        return ScoreTarget(data=str(record["dataset"]))
    name, origin = match
    if origin["kind"] in MADE_BY_SCAN:
        return ScoreTarget(str(origin["motif"]), origin=origin)
    return ScoreTarget(data=name)
