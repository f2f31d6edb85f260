"""Read bigWig files in a child process: a damaged file may crash the process that reads it.

Run as a program it is that process: `bigwig.py FILE` prints the bases of each chromosome as JSON, and
`bigwig.py FILE OUT` writes the values (N, length) of the windows asked for on standard input, float32, NaN where the
file has none. It imports nothing of this project.
"""

import json
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pybigtools
from numpy.typing import NDArray

SECONDS = 3600
LITTLE_ENDIAN = b"\x26\xfc\x8f\x88"  # how a file in that order begins
INDEX_AT, INDEX_HEADER = 24, 48  # where a header says where the index lies, and bytes before the index's first node


def chromosomes(path: Path) -> dict[str, int]:
    """The chromosome sizes in a bigWig file, in bases.

    Raises:
        ValueError: not a readable bigWig file.
        OSError: there is no such file, or it cannot be read within an hour.
    """
    sizes: dict[str, int] = json.loads(_run_reader(path))
    return sizes


def values(path: Path, windows: Sequence[tuple[str, int]], length: int, out: Path) -> NDArray[np.float32]:
    """The signal of windows.

    Args:
        path: the bigWig file.
        windows: chromosome and 0-based start of each.
        length: bases of a window.
        out: a file to write the values to.

    Returns:
        (N, length) mapped from `out`, NaN where the bigWig has no value.

    Raises:
        ValueError: not a readable bigWig file.
    """
    _run_reader(path, str(out), request=json.dumps({"length": length, "windows": windows}))
    return np.memmap(out, dtype=np.float32, mode="r", shape=(len(windows), length))


def _run_reader(path: Path, *arguments: str, request: str = "") -> str:
    with path.open("rb"):
        pass  # that there is no such file is said by the system
    command = [sys.executable, "-P", __file__, str(path), *arguments]
    try:
        process = subprocess.run(command, input=request, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise OSError(f"{path}: reading it took over {SECONDS} s and was ended") from None
    if process.returncode:
        raise ValueError(f"{path.name!r}: not a readable bigWig file, or a damaged one; expected bigWig")
    return process.stdout


def _main(file: str, out: str = "") -> None:
    with pybigtools.open(file) as bigwig:
        if not out:
            print(json.dumps(bigwig.chroms()))
            return
        _check_index(file)
        request: dict[str, Any] = json.load(sys.stdin)
        with Path(out).open("wb") as stream:
            for chromosome, start in request["windows"]:
                signal = bigwig.values(chromosome, start, start + request["length"], fillna=None)
                stream.write(np.asarray(signal, dtype=np.float32).tobytes())


def _check_index(file: str) -> None:
    """Refuse an index that reaches a node twice: following it would never end."""
    with Path(file).open("rb") as stream:
        order = "<" if stream.read(len(LITTLE_ENDIAN)) == LITTLE_ENDIAN else ">"
        branch = struct.Struct(f"{order}4IQ")  # the stretch that lies below, and the node
        stream.seek(INDEX_AT)
        stack = [struct.unpack(f"{order}Q", stream.read(8))[0] + INDEX_HEADER]
        seen: set[int] = set()
        while stack:
            node = stack.pop()
            if node in seen:
                raise ValueError(f"the node at {node} is there twice")
            seen.add(node)
            stream.seek(node)
            leaf, count = struct.unpack(f"{order}BxH", stream.read(4))
            if not leaf:
                stack += [child for *_, child in branch.iter_unpack(stream.read(count * branch.size))]


if __name__ == "__main__":
    _main(*sys.argv[1:])
