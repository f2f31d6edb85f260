"""Signal from a bigWig file, read by a process of its own: a damaged file may end the one that reads it.

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
    """The bases of each chromosome that the file knows.

    Raises:
        ValueError: not a readable bigWig file.
        OSError: there is no such file, or it cannot be read within an hour.
    """
    found: dict[str, int] = json.loads(_reader(path))
    return found


def values(path: Path, windows: Sequence[tuple[str, int]], length: int, out: Path) -> NDArray[np.float32]:
    """The signal of windows, each a chromosome and its 0-based start, mapped from `out`, which is written.

    Returns:
        (N, length), NaN where the file has no value.

    Raises:
        ValueError: not a readable bigWig file.
    """
    _reader(path, str(out), asked=json.dumps({"length": length, "windows": windows}))
    return np.memmap(out, dtype=np.float32, mode="r", shape=(len(windows), length))


def _reader(path: Path, *words: str, asked: str = "") -> str:
    with path.open("rb"):
        pass  # that there is no such file is said by the system
    command = [sys.executable, "-P", __file__, str(path), *words]
    try:
        done = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise OSError(f"{path}: reading it took over {SECONDS} s and was ended") from None
    if done.returncode:
        raise ValueError(f"{path.name!r}: not a readable bigWig file, or a damaged one; expected bigWig")
    return done.stdout


def _main(file: str, out: str = "") -> None:
    with pybigtools.open(file) as bigwig:
        if not out:
            print(json.dumps(bigwig.chroms()))
            return
        _check_index(file)
        asked: dict[str, Any] = json.load(sys.stdin)
        with Path(out).open("wb") as stream:
            for chromosome, start in asked["windows"]:
                found = bigwig.values(chromosome, start, start + asked["length"], fillna=None)
                stream.write(np.asarray(found, dtype=np.float32).tobytes())


def _check_index(file: str) -> None:
    """Refuse an index that leads to one of its nodes twice: who follows it in circles never ends."""
    with Path(file).open("rb") as stream:
        order = "<" if stream.read(len(LITTLE_ENDIAN)) == LITTLE_ENDIAN else ">"
        branch = struct.Struct(f"{order}4IQ")  # the stretch that lies below, and the node
        stream.seek(INDEX_AT)
        waiting = [struct.unpack(f"{order}Q", stream.read(8))[0] + INDEX_HEADER]
        seen: set[int] = set()
        while waiting:
            node = waiting.pop()
            if node in seen:
                raise ValueError(f"the node at {node} is there twice")
            seen.add(node)
            stream.seek(node)
            leaf, count = struct.unpack(f"{order}BxH", stream.read(4))
            if not leaf:
                waiting += [child for *_, child in branch.iter_unpack(stream.read(count * branch.size))]


if __name__ == "__main__":
    _main(*sys.argv[1:])
