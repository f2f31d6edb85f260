"""The published experiment's three rates: its own runs as W&B gives them, and four seeds of each, measured here."""

from pathlib import Path

from past_runs import curve, past

from tfbind.config import TrainConfig, parse_config
from tfbind.runs import Row, folder, record
from tfbind.runs.record import RunRecord

HASH = "ab" * 32
# The best epoch's val_pearsonr and val_loss, seeds 0 to 3, on all windows of chr22.
MEASURED = {
    0.01: [(0.8809, 0.5536), (0.8735, 0.5927), (0.8762, 0.5885), (0.8766, 0.5756)],
    0.001: [(0.8829, 0.5425), (0.8770, 0.5653), (0.8803, 0.5695), (0.8817, 0.5570)],
    0.0001: [(0.6913, 1.2911), (0.6225, 1.4882), (0.5840, 1.6238), (0.6171, 1.5200)],
}
PULLED = {0.01: (0.8809, 0.5548), 0.001: (0.8686, 0.6159), 0.0001: (0.6542, 1.4150)}
STATED = ("optimizer_type", "weight_decay", "batch_size", "num_epochs", "num_channels", "kernel_size", "dropout_rate")


def pulled(**config: object) -> list[RunRecord]:
    """The three runs as pulled: they state what their sweep states, neither seed nor data set."""
    stated = {name: getattr(TrainConfig(), name) for name in STATED} | config
    return [
        RunRecord(
            f"wandb:p:w{rate:g}",
            f"w{rate:g}",
            f"sweep {rate:g}",
            "finished",
            "wandb",
            "x/y",
            {"learning_rate": rate, **stated},
            curve([loss], val_pearsonr=[pearson]),
        )
        for rate, (pearson, loss) in PULLED.items()
    ]


def measured(seeds: tuple[int, ...] = (0, 1, 2, 3), **config: object) -> list[RunRecord]:
    """Runs of this home with these seeds."""
    return [
        past(
            f"{rate:g}-{seed}{config.get('dataset', '')}",
            0,
            rows=_rows(*MEASURED[rate][seed]),
            **{
                **TrainConfig(dataset="chr22", learning_rate=rate, seed=seed).model_dump(),
                "dataset_hash": HASH,
                **config,
            },
        )
        for rate in MEASURED
        for seed in seeds
    ]


def _rows(pearson: float, loss: float) -> list[Row]:
    return curve([2.0, loss], val_pearsonr=[0.1, pearson], train_loss=[2.0, loss], seconds=[2.0, 2.0])


def keep(home: Path) -> list[RunRecord]:
    """All of `measured`, as folders in a home."""
    kept = []
    for one in measured():
        config = parse_config({name: one.config[name] for name in ("dataset", "learning_rate", "seed")})
        run = folder.create(home, config, id=one.id.replace(".", "p"), facts={"dataset_hash": HASH, "sweep": "real"})
        for row in one.rows:
            folder.append_row(run, row | {"learning_rate": config.learning_rate, "windows_per_second": 900.0})
        run.set_state("finished", started=0.0, ended=1.0, device="cpu")
        kept.append(record.read_run_record(run))
    return kept
