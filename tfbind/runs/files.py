"""Types of the files of a run: its record, labels, progress and status, and requests to stop."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from tfbind.errors import Reason
from tfbind.store import Facts, ProcessIdentity

State = Literal["pending", "running", "finished", "failed", "crashed", "killed"]
ACTIVE: tuple[State, ...] = ("pending", "running")

FIGURES = ("train_loss", "val_loss", "learning_rate", "seconds", "windows_per_second")  # numbers in every row
LONGEST_EPOCH = 1e12  # seconds
Row = dict[str, Any]


def state_word(state: str) -> str:
    """What a reader is told of a state: `killed` is one that somebody has stopped."""
    return "stopped" if state == "killed" else state


class StopReason(StrEnum):
    """Why a run, or a sweep, was asked to stop: the start of its file `stop`."""

    ASKED = ""
    WITH_SWEEP = "stopped with its sweep"  # resumed with it, too
    LEAVE_RUNS = "its runs go on"  # those of a sweep that is to stop alone
    PRUNED = "pruned"
    ON_WANDB = "stopped on W&B"


@dataclass(frozen=True)
class StopRequest:
    """A request to stop; `detail` is for a reader."""

    reason: StopReason = StopReason.ASKED
    detail: str = ""

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.reason, self.detail)))

    @classmethod
    def parse(cls, text: str) -> "StopRequest":
        """The request whose text this is; one that another program wrote is all detail."""
        reason, _, detail = text.partition(": ")
        try:
            return cls(StopReason(reason), detail)
        except ValueError:
            return cls(detail=text)


@dataclass(frozen=True, kw_only=True)
class Status(ProcessIdentity):
    """The state of a run and the process that owns it. Times are seconds since 1970.

    command: arguments of the command that created the run, or that it was created for: the same command trains it.
    error: for a reader; what can be done is decided by `reason`.
    """

    state: State
    started: float | None = None
    ended: float | None = None
    device: str | None = None
    error: str | None = None
    command: list[str] | None = None
    reason: Reason | None = None
    waits: str | None = None  # for what a pending run on a cluster waits

    @property
    def active(self) -> bool:
        return self.state in ACTIVE

    @property
    def diverged(self) -> bool:
        """Whether it failed because a loss became NaN or infinite, which would only happen again."""
        return self.reason == "diverged"


class Config(Facts):
    """The record of a run; the hyperparameters in the same file are checked where they are parsed."""

    created: str
    dataset: str
    parent: str | None = Field(alias="from")
    versions: dict[str, str]
    sweep: str | None = None
    wandb: str | None = None
    ray: str | None = None
    dataset_hash: str | None = None
    split_hash: str | None = None
    split_windows: dict[str, int] | None = None
    windows: int = 0
    length: int = 0
    seed: int = 0


class Labels(Facts):
    """Name, tags and note of a run, the only ones that a page rewrites."""

    name: str
    tags: list[str]
    note: str


class Progress(Facts):
    """Progress within the current epoch, and the cores, memory and GPU in use."""

    epoch: PositiveInt
    num_epochs: PositiveInt
    batches_per_epoch: PositiveInt
    batches: NonNegativeInt
    windows_per_second: float | None
    seconds_left: float | None
    cores: float | None = None
    memory: float | None = None
    gpu_memory: float | None = None
    gpu_busy: float | None = None


def is_row(row: Any, epoch: int) -> bool:
    """Whether a value read from JSON is the row of this epoch."""
    if not isinstance(row, dict) or row.get("epoch") != epoch or "val_pearsonr" not in row:
        return False
    values = row.values()
    if not {int, float, type(None)}.issuperset(map(type, values)) or None in map(row.get, FIGURES):
        return False
    small = all(abs(value) < 2**63 for value in values if isinstance(value, int))
    if not small or row["seconds"] > LONGEST_EPOCH or not math.isfinite(sum(filter(None, values))):
        return False
    return min(row[name] for name in FIGURES) >= 0
