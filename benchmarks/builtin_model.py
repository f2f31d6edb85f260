"""How good the shipped model is on windows that nobody has trained on: simulated anew from other seeds."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tfbind.data.simulate import simulate_windows
from tfbind.metrics import pearson, window_pearson
from tfbind.scoring.model import load_model, score_windows
from tfbind.scoring.target import BUILTIN

SEEDS = (101, 102, 103)
WINDOWS = 3_000


def main() -> None:
    """Print flattened and per-window Pearson of the average and of each member."""
    model = load_model(Path(), BUILTIN)
    for seed in SEEDS:
        made = simulate_windows(WINDOWS, seed)
        predicted = score_windows(model, made.codes)
        alone = [pearson(score_windows(member, made.codes), made.scores) for member in model.split()]
        each = window_pearson(predicted, made.scores)
        print(
            f"simulation {seed}: {WINDOWS} windows, Pearson {pearson(predicted, made.scores):.4f}, "
            f"mean of windows {np.nanmean(each):.4f} ({np.isnan(each).sum()} undefined), "
            f"single members {', '.join(f'{value:.4f}' for value in alone)}"
        )


if __name__ == "__main__":
    main()
