"""Networks that score DNA, as the best weights of runs, and DNA for them."""

from pathlib import Path

import numpy as np
import torch

from tfbind.config import PRESETS, TrainConfig
from tfbind.dna.codes import Codes, decode, one_hot
from tfbind.nn.model import BindingPredictorCNN, build_model
from tfbind.nn.weights import pack_weights
from tfbind.runs import folder as runs
from tfbind.runs.folder import Run

LENGTH = 40  # of the windows of a network that takes one length
LOCAL = PRESETS["quick"].model_copy(update={"num_channels": 8})
FIXED = TrainConfig(num_channels=8, num_res_blocks=1)


def network(config: TrainConfig, seed: int = 0) -> BindingPredictorCNN:
    """A network whose norms have seen data, so that no part of it is still the identity."""
    model = build_model(config.model_copy(update={"seed": seed}), LENGTH)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=random)
        for _ in range(3):
            model(torch.from_numpy(one_hot(sequence(LENGTH, seed)[None])))
    return model.eval()


def keep(home: Path, id: str, config: TrainConfig, seed: int = 0) -> Run:
    """A run whose best weights are those of `network`."""
    run = runs.create(home, config, id=id)
    (run.folder / runs.BEST).write_bytes(pack_weights(network(config, seed), {}))
    return run


def home_of_both(folder: Path) -> Path:
    """A home with two runs: `local` scores DNA of any length, `fixed` windows of `LENGTH` bases."""
    keep(folder, "local", LOCAL)
    keep(folder, "fixed", FIXED)
    return folder


def sequence(length: int, seed: int = 0) -> Codes:
    """Random bases (length,), a fifth of them N."""
    return np.random.default_rng(seed).integers(0, 5, length, dtype=np.uint8)


def fasta(sequences: dict[str, Codes], width: int = 60) -> str:
    wrapped = {
        name: "\n".join(decode(codes[start : start + width]) for start in range(0, len(codes), width))
        for name, codes in sequences.items()
    }
    return "".join(f">{name}\n{letters}\n" for name, letters in wrapped.items())
