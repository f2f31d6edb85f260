"""Models from elsewhere: a file of weights becomes a model of this home, or is converted so that it can score.

A model is `<home>/models/<name>/`: its weights as safetensors, and a card that says where they came from. Whatever
the file is, a short process of its own reads it (`tfbind.convert`): nothing here needs torch, nor trusts the file.
"""

import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path

from tfbind.config import PROJECT
from tfbind.files import claimed, drafted, regular, scratch, to_trash
from tfbind.json_files import read_as, write_json
from tfbind.onnx_graph import read_shape
from tfbind.weight_files import MAX_BYTES, read_tensors

WEIGHTS = "weights.safetensors"
CARD = "card.json"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
RESERVED = ("builtin",)
TORCH_SUFFIXES = (".pt", ".pth")
CONVERT_SECONDS = 300


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


def import_model(home: Path, source: Path, name: str | None = None) -> Card:
    """Keep the weights in `source` as a model of this home, called like the file unless `name` is given.

    Raises:
        ValueError: one line: the file is missing, damaged, no weights of a BindingPredictorCNN, or the name cannot be
            used.
        OSError: the file cannot be read, or the model not written.
    """
    if not source.exists():
        raise ValueError(f"{source}: no such file")
    regular(source, MAX_BYTES)
    name = name if name is not None else _name_of(source)
    _check_free(home, name)
    with scratch(_folder(home), name) as draft:
        convert(source, draft / WEIGHTS)
        card = _describe(name, source, draft / WEIGHTS)
        write_json(draft / CARD, asdict(card))
        if not claimed(draft, _folder(home) / name):
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
    with regular(path, MAX_BYTES).open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def convert(source: Path, target: Path) -> None:
    """Write the weights of any readable file as `target`, by its suffix `.safetensors` or `.pt`.

    Raises:
        ValueError: one line: what `source` is instead of weights of a BindingPredictorCNN.
        OSError: the process that reads them failed.
    """
    command = [sys.executable, "-m", "tfbind.convert", str(source.resolve()), str(target.resolve())]
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
        with drafted(target) as draft:
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
        return read_as(_folder(home) / name / CARD, Card)
    except ValueError as error:
        raise ValueError(f"{error}; delete the model and import it again") from None


def delete_model(home: Path, name: str) -> Path:
    """Move an imported model to the trash of its home; where it lies now.

    Raises:
        ValueError: there is no such model.
    """
    if weights_of(home, name) is None:
        raise ValueError(f"no imported model {name[:80]!r}; `python -m tfbind model list` lists them")
    return to_trash(home, _folder(home) / name, f"model-{name}")
