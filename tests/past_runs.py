"""Runs as a comparison sees them, with curves and figures chosen to the digit."""

from typing import Any

from tfbind.runs.record import RunRecord, Source

SETTINGS = {"dataset": "chr22", "dataset_hash": "ab", "num_epochs": 5, "batch_size": 64, "validation_split": 0.2}


def past(
    key: str,
    figure: float | None,
    *,
    epochs: int = 5,
    state: str = "finished",
    source: Source = "local",
    rows: list[dict[str, Any]] | None = None,
    name: str = "",
    group: str = "",
    **config: Any,
) -> RunRecord:
    """A run whose val_pearsonr is `figure` at its last epoch, also its best, and 0.02 less at each before."""
    made = [
        {
            "epoch": epoch,
            "train_loss": 1 / epoch,
            "val_loss": 1 / epoch,
            "val_pearsonr": None if figure is None else figure - 0.02 * (epochs - epoch),
            "seconds": 2.0,
        }
        for epoch in range(1, epochs + 1)
    ]
    known = {key: value for key, value in {**SETTINGS, **config}.items() if value is not None}
    return RunRecord(key, key, name or key, state, source, group, known, made if rows is None else rows)


def replicates(rate: float, figures: list[float], **config: Any) -> list[RunRecord]:
    """Runs of one learning rate with seeds 0, 1, and so on."""
    return [
        past(f"lr{rate}-{seed}", figure, learning_rate=rate, seed=seed, **config)
        for seed, figure in enumerate(figures)
    ]


def logged(key: str, rate: float, figure: float) -> RunRecord:
    """A run that another program logged to W&B: no seed, no data set, fewer settings, no windows."""
    return past(
        key,
        figure,
        source="wandb",
        learning_rate=rate,
        dataset=None,
        dataset_hash=None,
        group="someone/project",
    )


def curve(values: list[float], metric: str = "val_loss", **others: list[float]) -> list[dict[str, Any]]:
    """Rows whose `metric` takes these values."""
    columns = {metric: values, **others}
    return [
        {"epoch": place + 1, **{key: column[place] for key, column in columns.items()}}
        for place in range(len(values))
    ]
