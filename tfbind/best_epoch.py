"""What a run keeps of its best epoch beside the weights: the predictions on the held-out windows."""

import io
import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfbind.files import regular

UNREADABLE = (  # what NumPy and zipfile raise on bytes that are no such file
    AttributeError,
    EOFError,
    KeyError,
    MemoryError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TokenError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


class HeldOut(NamedTuple):
    """The held-out `windows`, (M,) indices into the data; `predictions` (M, L), `loss` and `pearson` (M,) of them."""

    windows: NDArray[np.int64]
    predictions: NDArray[np.float16]
    loss: NDArray[np.float32]
    pearson: NDArray[np.float32]


KINDS = (np.int64, np.float16, np.float32, np.float32)
MEMBERS = [f"{name}.npy" for name in HeldOut._fields]


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


def read_held_out(path: Path, windows: int, length: int) -> HeldOut:
    """The held-out windows in a file, of data that have so many `windows` of so many bases.

    Raises:
        ValueError: the file is missing, damaged, or that of other data.
    """
    try:
        with regular(path).open("rb") as file, np.load(file, allow_pickle=False) as saved:
            packed = saved.zip.infolist()
            names = [member.filename for member in packed if member.compress_type == zipfile.ZIP_STORED]
            if names != MEMBERS or len(packed) > len(names):  # else a small file may hold gigabytes
                raise _damaged(path)
            if saved.zip.testzip():  # first: NumPy may read what has changed as anything
                raise _damaged(path)
            found = HeldOut(*(np.asarray(saved[name]) for name in HeldOut._fields))  # bytes, where none was packed
    except UNREADABLE:
        raise _damaged(path) from None
    count = found.windows.size
    shapes = ((count,), (count, length), (count,), (count,))
    as_packed = [(array.shape, array.dtype) for array in found] == list(zip(shapes, KINDS, strict=True))
    if not as_packed or found.windows.min(initial=0) < 0 or found.windows.max(initial=0) >= windows:
        raise _damaged(path)
    return found


def _damaged(path: Path) -> ValueError:
    what = "damaged" if path.exists() else "missing"
    return ValueError(f"{path}: {what}; expected the predictions of its best epoch")
