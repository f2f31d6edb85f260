"""What a run keeps of its best epoch as arrays: the predictions on the held-out windows, and the weights."""

import io
import zipfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file


class HeldOut(NamedTuple):
    """The held-out `windows`, (M,) indices into the data; `predictions` (M, L), `loss` and `pearson` (M,) of them."""

    windows: NDArray[np.int64]
    predictions: NDArray[np.float16]
    loss: NDArray[np.float32]
    pearson: NDArray[np.float32]


def pack_held_out(
    windows: NDArray[Any], predictions: NDArray[Any], loss: NDArray[Any], pearson: NDArray[Any]
) -> bytes:
    """Held-out windows as the bytes of a file."""
    with np.errstate(over="ignore"):  # beyond 65,504 a prediction is kept as infinite: such a model is beyond use
        halves = predictions.astype(np.float16)
    kept = HeldOut(windows.astype(np.int64), halves, loss.astype(np.float32), pearson.astype(np.float32))
    buffer = io.BytesIO()
    np.savez(buffer, **kept._asdict())
    return buffer.getvalue()


def read_held_out(path: Path) -> HeldOut:
    """The held-out windows in a file.

    Raises:
        ValueError: the file is missing or damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
            found = HeldOut(*(saved[name] for name in HeldOut._fields))
    except (AttributeError, EOFError, KeyError, OSError, TypeError, ValueError, zipfile.BadZipFile, zlib.error):
        raise _damaged(path, "the predictions of its best epoch") from None
    count = len(found.windows)
    if found.predictions.ndim != 2 or any(len(array) != count for array in found):
        raise _damaged(path, "the predictions of its best epoch")
    return found


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a safetensors file by name.

    Raises:
        ValueError: the file is missing or damaged.
    """
    try:
        tensors: dict[str, NDArray[Any]] = load_file(path)
    except (SafetensorError, OSError):
        raise _damaged(path, "weights as safetensors") from None
    return tensors


def _damaged(path: Path, expected: str) -> ValueError:
    return ValueError(f"{path}: {'damaged' if path.exists() else 'missing'}; expected {expected}")
