"""Weights without torch: safetensors files that carry a hash of their tensors, and models imported into a home.

The hash is the SHA-256 of the header without its metadata, as JSON with sorted keys, and of the bytes behind it: it
tells damage that keeps the size. Files from elsewhere have none and are taken as they are. An imported model is
`<home>/models/<name>/`: its weights as safetensors, and a card that says where they came from. A short process of its
own reads such a file (`tfbind.nn.weights`), so that nothing here needs torch, nor trusts the file.
"""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from tfbind.config import PROJECT
from tfbind.nn.onnx import read_shape
from tfbind.store import (
    DamagedFile,
    KeptFile,
    atomic_write,
    kept_file,
    move_to_trash,
    rename_exclusive,
    require_regular_file,
    scratch,
)

HASH = "tfbind_sha256"
LOWEST_LABEL = "lowest_label"  # the fact that holds the lowest score above 0 of the data that the weights learnt from
MAX_BYTES = 1 << 30
MAX_HEADER = 16 << 20
LENGTH_BYTES = 8  # of the number that says how long the header is
WEIGHTS = "weights.safetensors"
CARD = "card.json"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
RESERVED = ("builtin",)
TORCH_SUFFIXES = (".pt", ".pth")
CONVERT_SECONDS = 300


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
        content = require_regular_file(path, MAX_BYTES).read_bytes()
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
    with require_regular_file(path).open("rb") as file:
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


@dataclass(frozen=True)
class Card:
    """What is known of an imported model. `length` is that of its windows, None for a model that takes any."""

    name: str
    source: str
    sha256: str
    parameters: int
    receptive_field: int
    length: int | None
    imported: str


CARD_FILE: KeptFile[Card] = kept_file(CARD, Card)


def import_model(home: Path, source: Path, name: str | None = None) -> Card:
    """Keep the weights in `source` as a model of this home, called like the file unless `name` is given.

    Raises:
        ValueError: one line: the file is missing, damaged, no weights of a BindingPredictorCNN, or the name cannot be
            used.
        OSError: the file cannot be read, or the model not written.
    """
    if not source.exists():
        raise ValueError(f"{source}: no such file")
    require_regular_file(source, MAX_BYTES)
    name = name if name is not None else _name_of(source)
    _check_free(home, name)
    with scratch(_folder(home), name) as draft:
        convert(source, draft / WEIGHTS)
        card = _describe(name, source, draft / WEIGHTS)
        CARD_FILE.write(draft / CARD, card)
        if not rename_exclusive(draft, _folder(home) / name):
            raise _taken(name)
    return card


def _folder(home: Path) -> Path:
    return home / "models"


def _name_of(source: Path) -> str:
    return re.sub("[^a-z0-9]+", "-", source.name.partition(".")[0].lower()).strip("-")[:64] or "model"


def _check_free(home: Path, name: str) -> None:
    if not NAME.fullmatch(name):
        raise ValueError(
            f"model name {name[:80]!r}: expected 1 to 64 of a-z 0-9 _ - that begin with a letter or digit"
        )
    if name in RESERVED or (home / "runs" / name).exists():
        what = "a run" if name not in RESERVED else "the model that ships"
        raise ValueError(f"model name {name!r}: that is {what}; choose another one")
    if (_folder(home) / name).exists():
        raise _taken(name)


def _taken(name: str) -> ValueError:
    return ValueError(f"model {name!r}: exists already and is not overwritten; choose another name")


def _describe(name: str, source: Path, weights: Path) -> Card:
    tensors = read_tensors(weights)
    shape = read_shape(tensors)
    learnt = sum(tensor.size for key, tensor in tensors.items() if key.endswith((".weight", ".bias")))
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Card(name, source.name, _sha256(source), learnt, shape.receptive_field, shape.length, now)


def _sha256(path: Path) -> str:
    with require_regular_file(path, MAX_BYTES).open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def convert(source: Path, target: Path) -> None:
    """Write the weights of any readable file as `target`, by its suffix `.safetensors` or `.pt`.

    Raises:
        ValueError: one line: what `source` is instead of weights of a BindingPredictorCNN.
        OSError: the process that reads them failed.
    """
    command = [sys.executable, "-m", "tfbind.nn.weights", str(source.resolve()), str(target.resolve())]
    try:
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=CONVERT_SECONDS)
    except subprocess.TimeoutExpired:
        raise OSError(f"{source}: reading the weights took over {CONVERT_SECONDS} s and was ended") from None
    said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    if done.returncode == 2:
        raise ValueError(said)
    if done.returncode == 3:
        raise OSError(said)
    if done.returncode:
        raise OSError(f"{source}: the process that reads weights ended with exit code {done.returncode}: {said}")


def converted(home: Path, source: Path) -> Path:
    """A safetensors copy of the weights in `source`, made once for each content and kept in the cache of the home.

    Raises:
        ValueError: as `import_model`.
    """
    if not source.exists():
        raise ValueError(f"{source}: no such file")
    target = home / "cache" / "weights" / f"{_sha256(source)}.safetensors"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(target) as draft:
            convert(source, draft)
    return target


def weights_of(home: Path, name: str) -> Path | None:
    """The weights of an imported model; None if there is none of this name."""
    path = _folder(home) / name / WEIGHTS
    return path if NAME.fullmatch(name) and path.exists() else None


def list_models(home: Path) -> list[Card]:
    """The imported models of a home, by name.

    Raises:
        ValueError: a card is damaged.
    """
    return [read_card(home, name) for name in names(home)]


def names(home: Path) -> list[str]:
    """What the imported models of a home are called."""
    found = sorted(_folder(home).iterdir()) if _folder(home).is_dir() else []
    return [path.name for path in found if weights_of(home, path.name)]


def read_card(home: Path, name: str) -> Card:
    """What is known of an imported model.

    Raises:
        ValueError: its card is damaged.
    """
    try:
        return CARD_FILE.read(_folder(home) / name / CARD)
    except DamagedFile as error:
        raise DamagedFile(Path(error.place), f"{error.detail}; delete the model and import it again") from None


def delete_model(home: Path, name: str) -> Path:
    """Move an imported model to the trash of its home; where it lies now.

    Raises:
        ValueError: there is no such model.
    """
    if weights_of(home, name) is None:
        raise ValueError(f"no imported model {name[:80]!r}; `python -m tfbind model list` lists them")
    return move_to_trash(home, _folder(home) / name, f"model-{name}")
