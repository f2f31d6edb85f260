"""What the scores of a model mean: the factor, the unit and the motif, as far as the data it was trained on say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tfbind import datasets, runs
from tfbind.motif_models import Scan, rule_of_origin

BUILTIN = "builtin"  # the model that ships
MADE_BY_SCAN = ("simulation", "motif")


@dataclass(frozen=True)
class Meaning:
    """Of data that a motif scan made, `factor` and `origin` are known; of others at most the name of the data set."""

    factor: str = ""
    data: str = ""
    origin: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)

    @cached_property
    def scan(self) -> Scan | None:
        """The motif whose hits are the scores, and from which score on it has one; None where there is none."""
        return rule_of_origin(self.origin) if self.origin else None

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


UNKNOWN = Meaning()
SHIPPED = Meaning("FOXA1", origin={"kind": "simulation", "matrix_id": "MA0148.5", "threshold": 4.366})


def meaning_of(home: Path, names: str) -> Meaning:
    """What the scores of a model mean, by the names that `load_model` takes; those of an average, if of one kind.

    Raises:
        ValueError: the record of a run is damaged.
    """
    found = [_of_member(home, name.strip()) for name in names.split(",")]
    return found[0] if all(other == found[0] for other in found) else UNKNOWN


def _of_member(home: Path, name: str) -> Meaning:
    if name == BUILTIN:
        return SHIPPED
    if not runs.is_run(home, name):
        return UNKNOWN
    record = runs.read_record(runs.find(home, name))
    data = datasets.find_content(home, record.get("dataset_hash"))
    if data is None:
        return Meaning(data=str(record["dataset"]))
    called, origin = data
    if origin["kind"] in MADE_BY_SCAN:
        return Meaning(str(origin["motif"]), origin=origin)
    return Meaning(data=called)
