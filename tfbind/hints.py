"""What a run's curves say, in words: pure rules over its rows.

One hint at a time, the first of these that holds, because each makes the ones after it meaningless or misleading:
diverged (the rest of the curve is then noise), overfitting (a falling training loss is then no reason for more
epochs), rate too low (a stronger form of still improving), still improving, nothing learnt, settled. A rule that
needs more epochs than there are does not hold.
"""

import re
from dataclasses import dataclass
from typing import Any, Literal

from tfbind.numbers import significant
from tfbind.runs import best_row

Row = dict[str, Any]

DIVERGED_FACTOR = 2.0
DIVERGED_EPOCHS = 3
EXPLODED_FACTOR = 1000.0  # one epoch is enough
OVERFITTING_FACTOR = 1.03
FALLING_SHARE = 0.02
FALLING_EPOCHS = 3  # the fall at the end is the mean of the steps between these: one lucky step is not enough
ANNEALED_SHARE = 0.1
NOT_A_NUMBER = re.compile(r"\b(nan|inf)\b", re.IGNORECASE)
NO_CORRELATION = 0.1
LOWER_RATE = "Try a learning rate 3 to 10 times lower."


@dataclass(frozen=True)
class Hint:
    """What was seen, and what to try."""

    kind: Literal["diverged", "overfitting", "rate too low", "still improving", "nothing learnt", "settled"]
    text: str


def lost_its_loss(error: str | None) -> bool:
    """Whether a run failed because a loss became NaN or infinite, which would only happen again."""
    return bool(error and NOT_A_NUMBER.search(error))


def hint(rows: list[Row], to_the_end: bool = True) -> Hint | None:
    """The most important thing that `rows`, one per finished epoch, say about how the training went.

    Args:
        rows: in order; `epoch`, `train_loss`, `val_loss`, `val_pearsonr` and `learning_rate` are read.
        to_the_end: whether the run trained as long as it meant to. How the curve of one that was stopped ends says
            nothing about its settings.
    """
    on_the_way = (_exploded, _diverged, _overfitting)
    of_the_end = (_rate_too_low, _still_improving, _nothing_learnt, _settled) if to_the_end else ()
    for rule in (*on_the_way, *of_the_end):
        found = rule(rows)
        if found:
            return found
    return None


def fall_per_epoch(losses: list[float]) -> float:
    """By what share the loss fell in a mean (geometric) epoch from the first to the last of `losses`."""
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


def _overfitting(rows: list[Row]) -> Hint | None:
    best = best_row(rows)
    if best is None or not 0 < OVERFITTING_FACTOR * best["val_loss"] <= rows[-1]["val_loss"]:
        return None
    if rows[-1]["train_loss"] >= best["train_loss"]:
        return None
    rise = rows[-1]["val_loss"] / best["val_loss"] - 1
    return Hint(
        "overfitting",
        f"Since epoch {best['epoch']} the training loss went on falling ({best['train_loss']:.3g} to "
        f"{rows[-1]['train_loss']:.3g}) while the validation loss rose by {rise:.0%}: the model began to learn the "
        "training windows by heart. The weights of the best epoch are kept; fewer epochs, more dropout or more "
        "data would help.",
    )


def _rate_too_low(rows: list[Row]) -> Hint | None:
    losses = [row["val_loss"] for row in rows[-FALLING_EPOCHS:]]
    if _annealed(rows):  # a schedule that ends near zero makes the loss fall at the end, whatever the rate before
        return None
    if len(losses) < FALLING_EPOCHS or best_row(rows) != rows[-1] or fall_per_epoch(losses) <= FALLING_SHARE:
        return None
    return Hint(
        "rate too low",
        f"The validation loss was still falling by {fall_per_epoch(losses):.0%} an epoch at the end: "
        f"{len(rows)} epochs were too few at this learning rate. Try more epochs, or a rate 3 times higher.",
    )


def _annealed(rows: list[Row]) -> bool:
    return bool(rows) and rows[-1]["learning_rate"] < ANNEALED_SHARE * max(row["learning_rate"] for row in rows)


def _still_improving(rows: list[Row]) -> Hint | None:
    if len(rows) < 2 or best_row(rows) != rows[-1]:
        return None
    return Hint(
        "still improving",
        f"The last epoch was the best ({rows[-1]['val_loss']:.3g} after {rows[-2]['val_loss']:.3g}): more epochs "
        "would probably still help.",
    )


def _nothing_learnt(rows: list[Row]) -> Hint | None:
    best = best_row(rows)
    if best is None or len(rows) < 2 or (best["val_pearsonr"] or 0) >= NO_CORRELATION:
        return None
    return Hint(
        "nothing learnt",
        f"Nothing was learnt in {len(rows)} epochs: the predictions of the best one do not follow the true scores. "
        + LOWER_RATE,
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
