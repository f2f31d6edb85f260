"""Finished sweeps of any size that no worker trained: names as long as three hyperparameters make them."""

import time
from pathlib import Path

from stand_in import make_rows

from tfbind.config import TrainConfig
from tfbind.runs import StopReason, StopRequest, folder
from tfbind.sweeps import controller, sweep_folder
from tfbind.sweeps.spec import parse_spec
from tfbind.sweeps.sweep_folder import Sweep

RATES = (0.0001, 0.00025, 0.001, 0.0025, 0.01)
CHANNELS = (16, 32)
SHAPES = {1: (1, 1, 1), 3: (3, 1, 1), 8: (2, 2, 2), 21: (3, 7, 1), 50: (5, 5, 2)}  # runs: values of each setting
DIVERGED = 2.8e65  # a validation loss that is finite and of no use
EPOCHS = 20


def make_race(home: Path, count: int, diverged: int = 0, pruned: int = 0, state: str = "finished") -> Sweep:
    """A sweep of `count` runs over three hyperparameters, on the data set `toy`.

    The last `diverged` runs diverge, the first `pruned` ones, which are the best, were stopped early.
    """
    sweep = sweep_folder.create(
        home, parse_spec(text_of(count), TrainConfig(dataset="toy", device="cpu")), name=f"race of {count}"
    )
    spec = sweep_folder.read_spec(sweep)
    for place, config in enumerate(spec.grid()):
        facts = {"sweep": sweep.id, "wandb": "off", "windows": 50, "length": 20}
        settled = config.model_copy(update={"threads": 1})
        run = folder.create(home, settled, name=controller.run_name(spec, config), facts=facts)
        epochs = 6 if place < pruned else EPOCHS
        for row in make_rows(epochs):
            lost = place >= count - diverged and row["epoch"] > 2
            falls = 0.02 if place < pruned else 0.5
            loss = DIVERGED if lost else falls * row["val_loss"] + 0.02 * (place + 1)
            folder.append_row(run, row | {"val_loss": loss, "val_pearsonr": row["val_pearsonr"] - 0.01 * place})
        if place < pruned:
            run.request_stop(StopRequest(StopReason.PRUNED, "val_loss is not among the best"))
        ended = {"ended": time.time(), "device": "cpu"}
        run.set_state("killed" if place < pruned else "finished", started=time.time() - 60, **ended)
    sweep.set_state(state, started=time.time() - 60)
    return sweep


def text_of(count: int) -> str:
    """A sweep file of `count` runs; the name of each has about 60 letters."""
    rates, patience, channels = SHAPES[count]
    values = {
        "learning_rate": RATES[:rates],
        "early_stopping_patience": range(101, 101 + patience),
        "num_channels": CHANNELS[:channels],
    }
    lines = [f"  {field}: {{values: {list(each)}}}" for field, each in values.items()]
    return "\n".join(["method: grid", "parameters:", f"  num_epochs: {{value: {EPOCHS}}}", *lines]) + "\n"
