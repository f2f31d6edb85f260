"""Measure what is said of the scores of the built-in model, and write it to tfbind/builtin/measured.json.

    python benchmarks/builtin_bands.py

The bands are calibrated on windows that are simulated anew, and their coverage is told on others. The background has
the sites of 3 million simulated bases with the words of human DNA.
"""

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tfbind.data.simulate import human_words, simulate_windows
from tfbind.metrics import Bands, calibrate
from tfbind.scoring.model import Model, make_model, read_members, score_windows
from tfbind.scoring.sites import PER_NAT, background
from tfbind.scoring.target import BUILTIN, MEASURED, SHIPPED

WINDOWS, SEEDS = 12_000, (77, 78)


def builtin() -> Model:
    """The model without what was measured of it before."""
    model = make_model(BUILTIN, read_members(Path(), BUILTIN))
    return Model(model.name, model.hash, model.members, model.receptive_field, model.length, SHIPPED)


def coverage(bands: Bands, predictions: np.ndarray, truth: np.ndarray, threshold: float) -> str:
    """The share of true scores inside the bands: of all bases, of called ones, of the last nine, of those called."""
    low, high = np.stack([np.stack(bands.around(row, 0, len(row))) for row in predictions], axis=1)
    inside, called, ends = (truth >= low) & (truth <= high), predictions >= threshold, np.zeros(truth.shape, bool)
    ends[:, -9:] = True
    parts = {"all": ends | True, "called": called, "last nine": ends, "last nine, called": ends & called}
    return ", ".join(f"{name} {inside[part].mean():.1%}" for name, part in parts.items())


def sites(model: Model, both: bool) -> tuple[float, list[int]]:
    """The lowest class of scores, and the sites in each."""
    sites = background(model, both, human_words())
    classes = np.floor(sites.scores * PER_NAT).astype(int)
    return classes[0] / PER_NAT, np.bincount(classes - classes[0]).tolist()


def main() -> None:
    model = builtin()
    learnt, others = (simulate_windows(WINDOWS, seed) for seed in SEEDS)
    bands = calibrate(score_windows(model, learnt.codes), learnt.scores, SHIPPED.threshold)
    print(coverage(bands, score_windows(model, others.codes), others.scores, SHIPPED.threshold))
    counted = {name: sites(model, both) for name, both in (("forward", False), ("both", True))}
    content = {"weights": model.hash, "bands": vars(bands), "background": counted}
    MEASURED.write_text(json.dumps(content, separators=(",", ":")).replace("],", "],\n") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
