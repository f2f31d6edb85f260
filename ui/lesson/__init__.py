"""The lesson: two small sweeps over the built-in data that show what a learning rate does, and what it cannot do."""

from pathlib import Path

import yaml

from tfbind import sweeps
from tfbind.config import PRESETS, parameter_count, receptive_field
from tfbind.data import BUILTIN
from tfbind.sweeps import Sweep

RATES = (0.02, 0.002, 0.0002)
FIRST_KERNELS = (3, 7, 11)
SEEDS = 3
PRESET = "quick"
BASE = PRESETS[PRESET].model_copy(update={"dataset": BUILTIN})
FIXED = {"kernel_size": 3, "first_kernel_size": FIRST_KERNELS[0], "num_epochs": 2}
RATES_NAME, KERNELS_NAME = "Lesson: three learning rates", "Lesson: three widths of the first kernel"


def rates_sweep() -> str:
    """The sweep file over learning rates, each with `SEEDS` seeds."""
    return _sweep(RATES_NAME, "learning_rate", RATES, SEEDS)


def kernels_sweep() -> str:
    """The sweep file over widths of the first kernel, at the highest of the rates."""
    return _sweep(KERNELS_NAME, "first_kernel_size", FIRST_KERNELS, 1)


def _sweep(title: str, field: str, values: tuple[float, ...], replicates: int) -> str:
    document = {
        "name": title,
        "method": "grid",
        "metric": {"name": "val_pearsonr", "goal": "maximize"},
        "parameters": {
            **{fixed: {"value": value} for fixed, value in FIXED.items()},
            field: {"values": list(values)},
        },
        "replicates": replicates,
    }
    return yaml.safe_dump(document, sort_keys=False)


def newest(home: Path, name: str) -> Sweep | None:
    """The newest sweep of that name, None if there is none."""
    matches = [sweep for sweep in sweeps.list_sweeps(home) if sweeps.sweep_name(sweep) == name]
    return matches[-1] if matches else None


def reach(first_kernel: int) -> int:
    """Bases that a score depends on with this first kernel."""
    return receptive_field(BASE.model_copy(update={**FIXED, "first_kernel_size": first_kernel}))


def parameters(length: int) -> int:
    """How many numbers training adjusts in the model with the narrowest first kernel."""
    return parameter_count(BASE.model_copy(update=FIXED), length)


def needed(width: int) -> int:
    """Bases that a score can depend on in the data: a base is scored when a match of the motif, `width` bases wide,
    covers it, so the outermost match begins `width` - 1 bases before it or ends as many after it."""
    return 2 * width - 1
