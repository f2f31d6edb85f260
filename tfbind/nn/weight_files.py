"""Weights without torch: safetensors files with a hash of their tensors, and models imported into a home.

The hash is the SHA-256 of the header without its metadata, as JSON with sorted keys, and of the bytes behind it: it
detects damage that keeps the size. Files from elsewhere have none and are accepted as they are. An imported model is
`<home>/models/<name>/`: its weights as safetensors, and a card of its origin. A child process (`tfbind.nn.weights`)
reads files to import, so that nothing here needs torch, nor trusts the file.
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
BANDS = "bands"  # the key in the metadata of `metrics.Bands`, as JSON
LOWEST_LABEL = "lowest_label"  # the key in the metadata of the lowest score above 0 in the training data
MAX_BYTES = 1 << 30
MAX_HEADER = 16 << 20
LENGTH_BYTES = 8  # of the number at the beginning, the length of the header
WEIGHTS = "weights.safetensors"
CARD = "card.json"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
RESERVED = ("builtin",)
TORCH_SUFFIXES = (".pt", ".pth")
CONVERT_SECONDS = 300


def pack(tensors: Mapping[str, NDArray[Any]], facts: Mapping[str, str]) -> bytes:
    """Serialise tensors by name as safetensors, with `facts` and their hash as metadata."""
    _, hash = _hashes(save(dict(tensors)))
    return _sorted_metadata(save(dict(tensors), {**facts, HASH: hash}))


def _sorted_metadata(content: bytes) -> bytes:
    """The same safetensors file with its metadata in order: the library shuffles them, and equal models would differ.

    A file is the length of its header in eight bytes, the header as JSON, padded to eight bytes, and the data.
    """
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text = text.ljust(-(-len(text) // 8) * 8)
    return len(text).to_bytes(8, "little") + text + content[end:]


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Read the tensors in a safetensors file, by name.

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
    """Read the metadata of a safetensors file; {} where it is missing or damaged."""
    if not path.exists():
        return {}
    with require_regular_file(path).open("rb") as file:
        size = int.from_bytes(file.read(LENGTH_BYTES), "little")
        header = file.read(size) if size <= MAX_HEADER else b""
    try:
        metadata = json.loads(header).get("__metadata__") or {}
        return {str(name): str(value) for name, value in metadata.items()}
    except (AttributeError, ValueError):  # reading the tensors says what is wrong
        return {}


def check(path: Path, content: bytes) -> None:
    """Check the content of a safetensors file against the hash in its metadata, if it has one.

    Raises:
        ValueError: the hashes differ.
    """
    written, computed = _hashes(content)
    if written not in (None, computed):
        raise ValueError(f"{path}: other weights than were written; the file was damaged")


def _hashes(content: bytes) -> tuple[str | None, str]:
    """The hash in the metadata, None if there is none, and that of the content."""
    start = LENGTH_BYTES + int.from_bytes(content[:LENGTH_BYTES], "little")
    header = json.loads(content[LENGTH_BYTES:start])
    written = (header.pop("__metadata__", None) or {}).get(HASH)
    return written, sha256(json.dumps(header, sort_keys=True).encode() + content[start:]).hexdigest()


@dataclass(frozen=True)
class Card:
    """The card of an imported model. `length` is that of its windows, None for a model that takes any."""

    name: str
    source: str
    sha256: str
    parameters: int
    receptive_field: int
    length: int | None
    imported: str


CARD_FILE: KeptFile[Card] = kept_file(CARD, Card)


def import_model(home: Path, source: Path, name: str | None = None) -> Card:
    """Import the weights in a file as a model of a home.

    Args:
        home: the project's home folder.
        source: weights as `read_weights` reads them.
        name: of the model; None to name it after the file.

    Returns:
        The card of the model.

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
        card = _make_card(name, source, draft / WEIGHTS)
        CARD_FILE.write(draft / CARD, card)
        if not rename_exclusive(draft, _folder(home) / name):
            raise _name_taken(name)
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
        owner = "a run" if name not in RESERVED else "the model that ships"
        raise ValueError(f"model name {name!r}: that is {owner}; choose another one")
    if (_folder(home) / name).exists():
        raise _name_taken(name)


def _name_taken(name: str) -> ValueError:
    return ValueError(f"model {name!r}: exists already and is not overwritten; choose another name")


def _make_card(name: str, source: Path, weights: Path) -> Card:
    tensors = read_tensors(weights)
    shape = read_shape(tensors)
    parameters = sum(tensor.size for key, tensor in tensors.items() if key.endswith((".weight", ".bias")))
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Card(name, source.name, _sha256(source), parameters, shape.receptive_field, shape.length, now)


def _sha256(path: Path) -> str:
    with require_regular_file(path, MAX_BYTES).open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def convert(source: Path, target: Path) -> None:
    """Convert weights to the form of the target's suffix, `.safetensors` or `.pt`, in a child process.

    Args:
        source: weights as `read_weights` reads them.
        target: the file to write.

    Raises:
        ValueError: one line: what `source` is instead of weights of a BindingPredictorCNN.
        OSError: the child process failed.
    """
    command = [sys.executable, "-m", "tfbind.nn.weights", str(source.resolve()), str(target.resolve())]
    try:
        process = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=CONVERT_SECONDS)
    except subprocess.TimeoutExpired:
        raise OSError(f"{source}: reading the weights took over {CONVERT_SECONDS} s and was ended") from None
    message = (process.stderr.strip().splitlines() or ["it said nothing"])[-1]
    if process.returncode == 2:
        raise ValueError(message)
    if process.returncode == 3:
        raise OSError(message)
    if process.returncode:
        code = process.returncode
        raise OSError(f"{source}: the process that reads weights ended with exit code {code}: {message}")


def converted(home: Path, source: Path) -> Path:
    """Convert weights to safetensors, cached by content in the home.

    Args:
        home: the project's home folder.
        source: weights as `read_weights` reads them.

    Returns:
        The path of the safetensors file.

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
    """The path of an imported model's weights; None if there is no model of this name."""
    path = _folder(home) / name / WEIGHTS
    return path if NAME.fullmatch(name) and path.exists() else None


def list_models(home: Path) -> list[Card]:
    """List the imported models of a home by name.

    Raises:
        ValueError: a card is damaged.
    """
    return [read_card(home, name) for name in names(home)]


def names(home: Path) -> list[str]:
    """The names of the imported models of a home."""
    folders = sorted(_folder(home).iterdir()) if _folder(home).is_dir() else []
    return [folder.name for folder in folders if weights_of(home, folder.name)]


def read_card(home: Path, name: str) -> Card:
    """Read the card of an imported model.

    Raises:
        ValueError: its card is damaged.
    """
    try:
        return CARD_FILE.read(_folder(home) / name / CARD)
    except DamagedFile as error:
        raise DamagedFile(Path(error.place), f"{error.detail}; delete the model and import it again") from None


def delete_model(home: Path, name: str) -> Path:
    """Move an imported model to the trash of its home.

    Args:
        home: the project's home folder.
        name: of the model.

    Returns:
        Its path in the trash.

    Raises:
        ValueError: there is no such model.
    """
    if weights_of(home, name) is None:
        raise ValueError(f"no imported model {name[:80]!r}; `python -m tfbind model list` lists them")
    return move_to_trash(home, _folder(home) / name, f"model-{name}")
