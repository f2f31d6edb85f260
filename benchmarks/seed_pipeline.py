"""The published experiment's own way from two files to a trained model: the yardstick of `train_speed.py`.

Step for step what it does, with its own layers and loaders and none of this project's code, and nothing made slower:
pandas reads, a Python loop encodes base by base, a `Dataset` holds one pair of tensors per window, two loader
processes batch them, and every batch waits for its loss. `python benchmarks/seed_pipeline.py SEQUENCES SCORES` ends
with one line of JSON.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import pearsonr
from torch import nn
from torch.utils.data import DataLoader, Dataset, random_split

ROW = {"A": 0, "C": 1, "G": 2, "T": 3}
CHANNELS, BLOCKS, KERNEL, DROPOUT, LENGTH = 32, 3, 3, 0.2, 300


def one_hot(sequence: str) -> torch.Tensor:
    """A sequence as float32 (4, L); a letter other than A C G T is a column of zeros."""
    encoded = torch.zeros((4, len(sequence)), dtype=torch.float32)
    for position, base in enumerate(sequence.upper()):
        row = ROW.get(base, -1)
        if row != -1:
            encoded[row, position] = 1.0
    return encoded


class WindowTensors(Dataset):
    """One tensor (4, L) and one (L,) per window; scores belong to sequences by their order."""

    def __init__(self, sequences: pd.DataFrame, scores: pd.DataFrame) -> None:
        self.inputs = [one_hot(sequence) for sequence in sequences["sequence"]]
        self.targets = [torch.tensor(scores[name].values, dtype=torch.float32) for name in scores.columns]

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.inputs[index], self.targets[index]


def convolution(inputs: int) -> nn.Conv1d:
    """A convolution that keeps the length, with He's initial weights."""
    layer = nn.Conv1d(inputs, CHANNELS, KERNEL, padding=KERNEL // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer


class Block(nn.Module):
    """Two convolutions beside an identity."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Sequential(
            convolution(CHANNELS), nn.LayerNorm([CHANNELS, LENGTH]), nn.ReLU(), nn.Dropout(DROPOUT)
        )
        self.after = nn.Sequential(convolution(CHANNELS), nn.LayerNorm([CHANNELS, LENGTH]))
        self.activation = nn.ReLU()

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        out = self.after(self.before(X))
        out += X
        return self.activation(out)


class SeedModel(nn.Module):
    """The published network: (N, 4, 300) -> (N, 300), 153,249 parameters."""

    def __init__(self) -> None:
        super().__init__()
        first = [convolution(4), nn.LayerNorm([CHANNELS, LENGTH]), nn.ReLU()]
        self.trunk = nn.Sequential(*first, *(Block() for _ in range(BLOCKS)))
        self.head = nn.Conv1d(CHANNELS, 1, 1)
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        return self.head(self.trunk(X)).squeeze(1)


def train_epoch(model: nn.Module, batches: DataLoader, optimizer: torch.optim.Optimizer) -> float:
    """One pass over the training windows; the mean of the batches' losses."""
    model.train()
    criterion, total = nn.MSELoss(), 0.0
    for inputs, targets in batches:
        optimizer.zero_grad()
        loss = criterion(model(inputs), targets)
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / len(batches)


@torch.no_grad()
def validate(model: nn.Module, batches: DataLoader) -> tuple[float, float]:
    """The mean of the batches' losses, and Pearson's R over all positions of all validation windows."""
    model.eval()
    criterion, total = nn.MSELoss(), 0.0
    predictions, truths = [], []
    for inputs, targets in batches:
        outputs = model(inputs)
        total += criterion(outputs, targets).item()
        predictions.append(outputs)
        truths.append(targets)
    return total / len(batches), flattened_pearson(torch.cat(predictions), torch.cat(truths))


def flattened_pearson(predictions: torch.Tensor, truths: torch.Tensor) -> float:
    """Pearson's R of all finite pairs of values."""
    x, y = predictions.numpy().flatten(), truths.numpy().flatten()
    finite = np.isfinite(x) & np.isfinite(y)
    return float(pearsonr(x[finite], y[finite])[0])


def run(sequences: Path, scores: Path, epochs: int = 5, learning_rate: float = 0.01, seed: int = 0) -> dict[str, Any]:
    """The whole experiment, from opening the files to the end of the last epoch.

    Returns:
        seconds in all, for reading, for encoding and per epoch, and one row of metrics per epoch.
    """
    torch.manual_seed(seed)
    started = time.perf_counter()
    frames = pd.read_csv(sequences, sep="\t"), pd.read_csv(scores, sep="\t")
    read = time.perf_counter()
    windows = WindowTensors(*frames)
    encoded = time.perf_counter()
    held_out = int(len(windows) * 0.2)
    training, validation = random_split(windows, [len(windows) - held_out, held_out])
    model = SeedModel()
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=1e-5)
    batches = DataLoader(training, batch_size=64, shuffle=True, num_workers=2)
    checks = DataLoader(validation, batch_size=64, shuffle=False, num_workers=2)
    rows, marks = [], [time.perf_counter()]
    for epoch in range(1, epochs + 1):
        train_loss = train_epoch(model, batches, optimizer)
        val_loss, val_pearsonr = validate(model, checks)
        rows.append({"epoch": epoch, "train_loss": train_loss, "val_loss": val_loss, "val_pearsonr": val_pearsonr})
        marks.append(time.perf_counter())
    return {
        "seconds": marks[-1] - started,
        "reading": read - started,
        "encoding": encoded - read,
        "epochs": np.diff(marks).tolist(),
        "rows": rows,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sequences", type=Path)
    parser.add_argument("scores", type=Path)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--learning-rate", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    print(json.dumps(run(**vars(parser.parse_args()))))
