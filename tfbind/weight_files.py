"""Weights as safetensors files whose metadata hold a hash of the tensors, so that damage that keeps the size is told.

The hash is the SHA-256 of the header without its metadata, as JSON with sorted keys, and of the bytes behind it.
Files from elsewhere have none and are taken as they are.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from tfbind.files import regular

HASH = "tfbind_sha256"
LOWEST_LABEL = "lowest_label"  # the fact that holds the lowest score above 0 of the data that the weights learnt from
MAX_BYTES = 1 << 30
MAX_HEADER = 16 << 20
LENGTH_BYTES = 8  # of the number that says how long the header is


def pack(tensors: Mapping[str, NDArray[Any]], facts: Mapping[str, str]) -> bytes:
    """Tensors by name as the bytes of a file, with `facts` in its metadata."""
    _, found = _hashes(save(dict(tensors)))
    return save(dict(tensors), {**facts, HASH: found})


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors in a file by name.

    Raises:
        ValueError: one line: the file is missing, damaged, too large for a model, or no safetensors file.
    """
    try:
        content = regular(path, MAX_BYTES).read_bytes()
        tensors = load(content)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file ({error})") from None
    except KeyError as error:
        raise ValueError(f"{path}: tensors of the type {error.args[0]}; expected F32") from None
    check(path, content)
    return tensors


def read_facts(path: Path) -> dict[str, str]:
    """The facts that a safetensors file was written with; none where it is missing, or no such file at all."""
    if not path.exists():
        return {}
    with regular(path).open("rb") as file:
        size = int.from_bytes(file.read(LENGTH_BYTES), "little")
        header = file.read(size) if size <= MAX_HEADER else b""
    try:
        found = json.loads(header).get("__metadata__") or {}
        return {str(name): str(value) for name, value in found.items()}
    except (AttributeError, ValueError):  # whoever reads the tensors says what is wrong
        return {}


def check(path: Path, content: bytes) -> None:
    """Refuse the content of a safetensors file that is not what was written.

    Raises:
        ValueError: the tensors do not have the hash in the metadata.
    """
    written, found = _hashes(content)
    if written not in (None, found):
        raise ValueError(f"{path}: other weights than were written; the file was damaged")


def _hashes(content: bytes) -> tuple[str | None, str]:
    """The hash that a file was written with, None if it has none, and that of what it holds now."""
    start = LENGTH_BYTES + int.from_bytes(content[:LENGTH_BYTES], "little")
    header = json.loads(content[LENGTH_BYTES:start])
    written = (header.pop("__metadata__", None) or {}).get(HASH)
    return written, sha256(json.dumps(header, sort_keys=True).encode() + content[start:]).hexdigest()
