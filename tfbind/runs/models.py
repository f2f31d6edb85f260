"""What the files of a run hold: the values by which they are read, and requests to stop."""

from dataclasses import dataclass
from enum import StrEnum

from pydantic import Field, NonNegativeInt, PositiveInt

from tfbind.store import Facts


class StopReason(StrEnum):
    """Why a run, or a sweep, was asked to stop, as its file `stop` begins."""

    ASKED = ""
    WITH_SWEEP = "stopped with its sweep"  # which goes on with it when it is resumed
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


class Config(Facts):
    """The record of a run; the hyperparameters, which stand beside these, are checked where they are parsed."""

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
    windows: int | None = None
    length: int | None = None


class Labels(Facts):
    """What a page may rewrite."""

    name: str
    tags: list[str]
    note: str


class Progress(Facts):
    """How far the current epoch is, and what the run takes of its machine."""

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
