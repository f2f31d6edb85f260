"""Hints on a run from its learning curves: pure rules over its rows.

One hint at a time, the first of these causes that holds, because each makes the ones after it meaningless or
misleading:

- diverged: the rest of the curve is then noise
- as good as the rule: whatever the curve does, more training has little to add to the best epoch
- overfitting: a falling training loss is then no reason for more epochs
- few steps: of a rate that was hardly tried nothing can be said
- nothing learnt: a loss that falls to what a constant would reach is no reason for more epochs or a higher rate
- rate too low: a stronger form of still improving
- still improving
- settled

A rule that needs more epochs than there are does not hold.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from tfbind.config import TrainConfig
from tfbind.runs.folder import best_row
from tfbind.text import significant

Row = dict[str, Any]
Kind = Literal[
    "diverged",
    "as good as the rule",
    "overfitting",
    "few steps",
    "nothing learnt",
    "rate too low",
    "still improving",
    "settled",
]

DIVERGED_FACTOR = 2.0
DIVERGED_EPOCHS = 3
EXPLODED_FACTOR = 1000.0  # one epoch is enough
OVERFITTING_FACTOR = 1.03
FALLING_SHARE = 0.02
FALLING_EPOCHS = 3  # the fall at the end is the mean of the steps between these: one lucky step is not enough
ANNEALED_SHARE = 0.1
NO_CORRELATION = 0.1
USUAL_RATE = 0.01  # the published one; nothing above it is called too low
FEW_STEPS = 100  # 96 steps of the published model reach r 0.30, 192 0.77, 600 0.93
LOWER_RATE = "Try a learning rate 3 to 10 times lower."
HIGHER_RATE = "Try a learning rate 3 to 10 times higher."


@dataclass(frozen=True)
class Hint:
    """An observation on a run, and what to try."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class Steps:
    """The optimizer steps of a run: one for each batch of its training `windows`."""

    windows: int
    batch_size: int

    @property
    def per_epoch(self) -> int:
        """Steps of one epoch."""
        return math.ceil(self.windows / self.batch_size)

    def words(self, epochs: int) -> str:
        """The number of steps in so many epochs, in words, and the batches behind it."""
        count = "one step" if self.per_epoch == 1 else f"{self.per_epoch} steps"
        batch = "a batch of {:,} holds all {:,}" if self.per_epoch == 1 else "batches of {:,} from {:,}"
        reason = f"{batch.format(self.batch_size, self.windows)} training windows"
        return f"{count} an epoch, {epochs * self.per_epoch:,} in all ({reason})"


def few_steps(windows: int, config: TrainConfig) -> str | None:
    """Describe the steps of a run before it starts, where they are few, or one an epoch.

    Args:
        windows: training windows.
        config: batch size and number of epochs.

    Returns:
        One line; None for a run with enough steps.
    """
    steps = Steps(windows, config.batch_size)
    if steps.per_epoch > 1 and config.num_epochs * steps.per_epoch >= FEW_STEPS:
        return None
    few = ": few to learn from" if config.num_epochs * steps.per_epoch < FEW_STEPS else ""
    return f"{steps.words(config.num_epochs)}{few}; a smaller batch_size takes more steps"


def hint(
    rows: list[Row], to_the_end: bool = True, steps: Steps | None = None, rule: float | None = None
) -> Hint | None:
    """Find the most important hint of a run.

    Args:
        rows: of its finished epochs, in order; `epoch`, `train_loss`, `val_loss`, `val_pearsonr` and `learning_rate`
            are read.
        to_the_end: whether it trained all its epochs. How the curve of a stopped run ends says nothing about its
            settings.
        steps: its optimizer steps, where known.
        rule: the Pearson r from which on a run is as good as the rule behind the labels, where known.

    Returns:
        The hint; None where no rule holds.
    """
    during = (_exploded(rows), _diverged(rows), _as_good_as_the_rule(rows, rule), _overfitting(rows))
    at_the_end = (
        _few_steps(rows, steps),
        _nothing_learnt(rows),
        _rate_too_low(rows),
        _still_improving(rows),
        _settled(rows),
    )
    return next(filter(None, (*during, *(at_the_end if to_the_end else ()))), None)


def fall_per_epoch(losses: list[float]) -> float:
    """The share by which the loss fell per epoch, the geometric mean from the first to the last of `losses`."""
    return 1 - (losses[-1] / losses[0]) ** (1 / (len(losses) - 1))


def _exploded(rows: list[Row]) -> Hint | None:
    lowest = min([row["val_loss"] for row in rows] + [row["train_loss"] for row in rows[:1]], default=0.0)
    if not 0 < EXPLODED_FACTOR * lowest < rows[-1]["val_loss"]:
        return None
    last = rows[-1]
    return Hint(
        "diverged",
        f"The validation loss rose to {significant(last['val_loss'], 3)} in epoch {last['epoch']}, more than "
        f"{EXPLODED_FACTOR:,.0f} times what it was ({significant(lowest, 3)}): the run diverged. {LOWER_RATE}",
    )


def _diverged(rows: list[Row]) -> Hint | None:
    losses = [row["val_loss"] for row in rows]
    if len(rows) <= DIVERGED_EPOCHS or not 0 < DIVERGED_FACTOR * min(losses) < min(losses[-DIVERGED_EPOCHS:]):
        return None
    return Hint(
        "diverged",
        f"The validation loss rose to {losses[-1]:.3g}, {losses[-1] / min(losses):.1f} times its lowest value "
        f"({min(losses):.3g}), and stayed above twice that for {DIVERGED_EPOCHS} epochs: the run diverged. "
        + LOWER_RATE,
    )


def _as_good_as_the_rule(rows: list[Row], rule: float | None) -> Hint | None:
    best = best_row(rows)
    if best is None or rule is None or (best["val_pearsonr"] or 0) < rule:
        return None
    return Hint(
        "as good as the rule",
        f"The best epoch, {best['epoch']} of {len(rows)}, is as good as a scan with the rule behind the labels: more "
        "training has little to add.",
    )


def _overfitting(rows: list[Row]) -> Hint | None:
    best = best_row(rows)
    if best is None or not 0 < OVERFITTING_FACTOR * best["val_loss"] <= rows[-1]["val_loss"]:
        return None
    if rows[-1]["train_loss"] >= best["train_loss"]:
        return None
    if _learnt_nothing(rows) and rows[-1]["train_loss"] >= best["val_loss"]:  # nor anything by heart
        return None
    rise = rows[-1]["val_loss"] / best["val_loss"] - 1
    return Hint(
        "overfitting",
        f"Since epoch {best['epoch']} the training loss went on falling ({best['train_loss']:.3g} to "
        f"{rows[-1]['train_loss']:.3g}) while the validation loss rose by {rise:.0%}: the model began to learn the "
        "training windows by heart. The weights of the best epoch are kept; fewer epochs, more dropout or more "
        "data would help.",
    )


def _few_steps(rows: list[Row], steps: Steps | None) -> Hint | None:
    if steps is None or not rows or len(rows) * steps.per_epoch >= FEW_STEPS:
        return None
    if best_row(rows) != rows[-1] and not _learnt_nothing(rows):
        return None
    return Hint(
        "few steps",
        f"The weights moved only a few times: {steps.words(len(rows))}. That is too few to judge the learning rate. "
        "Try a smaller batch size, or many more epochs.",
    )


def _learnt_nothing(rows: list[Row]) -> bool:
    best = best_row(rows)
    return best is not None and (best["val_pearsonr"] or 0) < NO_CORRELATION


def _nothing_learnt(rows: list[Row]) -> Hint | None:
    if len(rows) < 2 or not _learnt_nothing(rows):
        return None
    losses = [row["train_loss"] for row in rows]
    always_falling = all(later < earlier for earlier, later in pairwise(losses))
    too_low = always_falling and _rate(rows) < USUAL_RATE
    return Hint(
        "nothing learnt",
        f"Nothing was learnt in {len(rows)} epochs: the predictions of the best one do not follow the true scores. "
        + (HIGHER_RATE if too_low else LOWER_RATE),
    )


def _rate_too_low(rows: list[Row]) -> Hint | None:
    losses = [row["val_loss"] for row in rows[-FALLING_EPOCHS:]]
    if _annealed(rows) or _rate(rows) > USUAL_RATE:
        return None
    if len(losses) < FALLING_EPOCHS or best_row(rows) != rows[-1] or fall_per_epoch(losses) <= FALLING_SHARE:
        return None
    return Hint(
        "rate too low",
        f"The validation loss was still falling by {fall_per_epoch(losses):.0%} an epoch at the end: "
        f"{len(rows)} epochs were too few at this learning rate. Try more epochs, or a rate 3 times higher.",
    )


def _annealed(rows: list[Row]) -> bool:
    """Whether the schedule ended near a rate of zero: the loss then falls at the end whatever the rate before."""
    return bool(rows) and rows[-1]["learning_rate"] < ANNEALED_SHARE * _rate(rows)


def _rate(rows: list[Row]) -> float:
    """The highest learning rate at the end of an epoch."""
    return max((float(row["learning_rate"]) for row in rows), default=0.0)


def _still_improving(rows: list[Row]) -> Hint | None:
    if len(rows) < 2 or best_row(rows) != rows[-1]:
        return None
    return Hint(
        "still improving",
        f"The last epoch was the best ({rows[-1]['val_loss']:.3g} after {rows[-2]['val_loss']:.3g}): more epochs "
        "would probably still help.",
    )


def _settled(rows: list[Row]) -> Hint | None:
    best = best_row(rows)
    if best is None or len(rows) < 2:
        return None
    return Hint(
        "settled",
        f"The best epoch was {best['epoch']} of {len(rows)}; the validation loss has not come below "
        f"{best['val_loss']:.3g} since. More epochs alone would not change much.",
    )
