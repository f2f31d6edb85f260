"""Data sets: windows of DNA with a score per base, kept under `<home>/data/<name>/` and opened as memory maps.

The folder's layout, the registry and the checks. Names (N,) bytes, codes (N, L) uint8 and scores (N, L) float32 are
NumPy's files. A data set is written beside its place and renamed there, so that it is there whole or not at all;
nothing that exists is overwritten.
"""

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from tokenize import TokenError
from typing import Annotated, Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from pydantic import AfterValidator, PositiveInt, model_validator

from tfbind.data.pairs import Pair, Progress, constant_score, constant_score_message, read_pair, report
from tfbind.data.simulate import LENGTH, SEED, WINDOWS, Simulation, simulate_windows
from tfbind.dna import LETTERS, Codes
from tfbind.store import (
    Facts,
    KeptFile,
    annotate_oserror,
    first_lines,
    kept_file,
    plural,
    quote,
    require_regular_file,
)

FORMAT = 1
META, NAMES, CODES, SCORES = "meta.json", "names.npy", "codes.npy", "scores.npy"
ARRAYS = (NAMES, CODES, SCORES)
BUILTIN = "builtin"
SIMULATED = "simulation"  # the kind of its origin
INCOMING, LOCK = ".incoming", ".lock"
PAIR_SUFFIXES = ("_sequences.txt", "_scores.txt")

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


class _Origin(Facts):
    kind: str


def _all_letters(letters: dict[str, int]) -> dict[str, int]:
    if not set(LETTERS) <= set(letters):
        raise ValueError(f"counts of {LETTERS} are missing")
    return letters


class _Meta(Facts):
    created: str
    windows: PositiveInt
    length: PositiveInt
    hash: str
    origin: _Origin
    letters: Annotated[dict[str, int], AfterValidator(_all_letters)]
    scored: int | float
    coordinates: str | None
    notes: list[str]

    @model_validator(mode="before")
    @classmethod
    def _of_this_format(cls, meta: dict[str, Any]) -> dict[str, Any]:
        if meta.get("format") != FORMAT:
            raise ValueError(f"not a data set of format {FORMAT}, which this version reads")
        return meta


META_FILE: KeptFile[dict[str, Any]] = kept_file(META, _Meta)


def read_meta(folder: Path) -> dict[str, Any]:
    """Read the metadata of a data set.

    Raises:
        ValueError: the file is missing, damaged, or of another version.
    """
    return META_FILE.read(folder / META)


def map_array(path: Path) -> NDArray[Any]:
    """Memory-map one of the arrays.

    Raises:
        ValueError: the file is damaged.
        FileNotFoundError: it is missing.
    """
    try:
        with np.errstate(over="raise"):  # of a shape that no file has
            return np.lib.format.open_memmap(require_regular_file(path), mode="r")
    except (ArithmeticError, EOFError, MemoryError, RuntimeError, SyntaxError, TokenError, TypeError, ValueError):
        raise ValueError(f"{path}: not a readable array; expected the file that an import wrote") from None


def content_hash(folder: Path) -> str:
    """The hash of the arrays on disk, cached until a file changes."""
    return _read_hash(folder, tuple((folder / file).stat().st_mtime_ns for file in ARRAYS))


@lru_cache(maxsize=256)
def _read_hash(folder: Path, written: tuple[int, ...]) -> str:  # noqa: ARG001 - a file that changed is another one
    return hash_of(map_array(folder / file) for file in ARRAYS)


def hash_of(arrays: Iterable[NDArray[Any]]) -> str:
    """SHA-256 of names, codes and scores, in this order."""
    content = hashlib.sha256()
    for array in arrays:
        content.update(array.view(np.uint8).data)
    return content.hexdigest()


@dataclass(frozen=True)
class Windows:
    """A data set, memory-mapped: names (N,) bytes, codes (N, L) uint8, scores (N, L) float32."""

    path: Path
    meta: dict[str, Any]
    names: NDArray[np.bytes_]
    codes: Codes
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def name(self) -> str:
        """The name it is stored under."""
        return self.path.name

    @property
    def length(self) -> int:
        """Bases per window."""
        return self.codes.shape[1]

    @property
    def hash(self) -> str:
        """SHA-256 of names, codes and scores: the same for the same data, wherever they are kept."""
        return str(self.meta["hash"])


def list_datasets(home: Path) -> list[dict[str, Any]]:
    """List the stored data sets by name: `name`, `windows`, `length`, `path`. Damaged ones are left out."""
    return [
        {"name": folder.name, "windows": meta["windows"], "length": meta["length"], "path": str(folder)}
        for folder, meta in _metas(home)
    ]


def dataset_sizes(home: Path) -> dict[str, tuple[int, int]]:
    """Windows, and bases per window, of each data set by name; first the built-in one, also before it is made."""
    stored = {data["name"]: (data["windows"], data["length"]) for data in list_datasets(home)}
    return {BUILTIN: (WINDOWS, LENGTH), **stored}


def find_content(home: Path, hash: str | None) -> tuple[str, dict[str, Any]] | None:
    """Name and origin of the data set whose content has this hash; None if there is none."""
    matches = ((folder.name, meta["origin"]) for folder, meta in _metas(home) if meta["hash"] == hash)
    return next(matches, None)


def content_hashes(home: Path) -> dict[str, str]:
    """The content hash of each stored data set by name; damaged ones are left out."""
    return {folder.name: meta["hash"] for folder, meta in _metas(home)}


def _metas(home: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for folder in sorted(data_folder(home).glob("*")):
        if NAME.fullmatch(folder.name):
            with suppress(ValueError, OSError):
                yield folder, read_meta(folder)


def open_dataset(home: Path, name_or_folder: str) -> Windows:
    """Open a data set by name, or by a folder that is one or holds one pair of the course's files.

    `builtin` is made when it is first opened. The pair in a folder is imported once, under a name made from the
    folder's name and the files' content. A name goes before a folder of the same name.

    Args:
        home: the project's home folder.
        name_or_folder: a name, or the path of a folder.

    Returns:
        The data set, memory-mapped; its content is not checked.

    Raises:
        ValueError: no such data set, or a damaged one.
    """
    folder = Path(name_or_folder)
    if name_or_folder == BUILTIN:
        return make_builtin(home)
    if not _is_stored(home, name_or_folder) and _is_folder(folder):
        return _open(folder) if (folder / META).is_file() else _open_pair_in(home, folder)
    return open_stored(home, name_or_folder)


def open_stored(home: Path, name: str) -> Windows:
    """Open a stored data set by name; none is made or imported.

    Raises:
        ValueError: no such data set, or a damaged one.
    """
    if _is_stored(home, name):
        return _open(data_folder(home) / name)
    known = {BUILTIN, *(entry["name"] for entry in list_datasets(home))} - {name}
    raise ValueError(f"data set {quote(name)}: not found; there are: {', '.join(sorted(known)) or 'none'}")


def _is_stored(home: Path, name: str) -> bool:
    return NAME.fullmatch(name) is not None and (data_folder(home) / name).is_dir()


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # the name is longer than any can be
        return False


def check_learnable(data: Windows, train: NDArray[np.intp]) -> None:
    """Refuse to train on windows that all have the same score at every base.

    Args:
        data: the data set.
        train: the indices of the windows to train on.

    Raises:
        ValueError: every score is the same.
    """
    if (same := constant_score(data.scores, train)) is not None:
        raise ValueError(
            f"data set {quote(data.name)}: {plural(len(train), 'window')} to train on; {constant_score_message(same)}"
        )


def open_validated(home: Path, name_or_folder: str) -> Windows:
    """Open a data set as `open_dataset` does, and check its content against its hash.

    Args:
        home: the project's home folder.
        name_or_folder: a name, or the path of a folder.

    Returns:
        The data set, memory-mapped.

    Raises:
        ValueError: as `open_dataset`, or the content was damaged.
    """
    data = open_dataset(home, name_or_folder)
    check_content(data, content_hash(data.path))
    return data


def check_content(data: Windows, content: str | None = None) -> None:
    """Refuse a data set whose content does not have the hash in its metadata.

    Args:
        data: the data set.
        content: the hash of its arrays; None to compute it.

    Raises:
        ValueError: the hashes differ.
    """
    if (content or hash_of((data.names, data.codes, data.scores))) != data.hash:
        raise ValueError(f"{data.path}: {', '.join(ARRAYS)} do not have the hash in {META}; one of them was damaged")


def make_builtin(home: Path, windows: int = WINDOWS) -> Windows:
    """Open the built-in data set, made if it is missing, by one process while others wait.

    Args:
        home: the project's home folder.
        windows: how many to simulate.

    Returns:
        The data set.
    """
    folder = data_folder(home) / BUILTIN
    if not folder.is_dir():  # else a home that cannot be written need not be
        with lock(home):
            if not folder.is_dir():
                _store(folder, *_simulated(simulate_windows(windows)))
    return _open(folder)


def simulate_dataset(home: Path, name: str, windows: int, seed: int = SEED) -> Windows:
    """Open the simulated data set `name`, made if it is missing.

    Args:
        home: the project's home folder.
        name: of the data set.
        windows: how many windows of `LENGTH` bases.
        seed: of the random numbers.

    Returns:
        The data set.

    Raises:
        ValueError: the name cannot be used, or is that of another data set, or there is to be no window.
    """
    if windows < 1:
        raise ValueError(f"windows {windows}: expected 1 or more")
    if not _is_stored(home, name):
        check_free(home, name)
        return save_dataset(home, name, *_simulated(simulate_windows(windows, seed)))
    data = open_stored(home, name)
    origin = data.meta["origin"]
    if (origin["kind"], origin.get("seed"), len(data)) != (SIMULATED, seed, windows):
        raise ValueError(f"data set {quote(name)}: exists already, and is another one; choose another name")
    return data


def import_pair(
    home: Path, sequences: Path, scores: Path, name: str, transpose: bool = False, progress: Progress | None = None
) -> Windows:
    """Import the course's pair of files as a data set; see `read_pair` for their format.

    Args:
        home: the project's home folder.
        sequences: the table of sequences.
        scores: the table of scores.
        name: what to call the data set; an existing one is not overwritten.
        transpose: the scores file has one row per window instead of one column.
        progress: called with the share of the scores that is read.

    Returns:
        The data set.

    Raises:
        ValueError: one line that names the file and the place, and what was expected there.
        OSError: a file cannot be read or written.
    """
    check_free(home, name)
    return save_dataset(home, name, *_read_pair(sequences, scores, transpose, progress))


def save_dataset(home: Path, name: str, pair: Pair, origin: dict[str, Any]) -> Windows:
    """Store windows as a data set; `origin` records where they come from, with at least its `kind`.

    Raises:
        ValueError: the name cannot be used or is taken.
    """
    folder = data_folder(home) / name
    with lock(home):
        check_free(home, name)
        _store(folder, pair, origin)
    return _open(folder)


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with require_regular_file(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def data_folder(home: Path) -> Path:
    """The folder of a home's data sets."""
    return home / "data"


def lock(home: Path) -> FileLock:
    """The lock to hold while writing under data/; the system frees it when its holder dies."""
    data_folder(home).mkdir(parents=True, exist_ok=True)
    return FileLock(data_folder(home) / LOCK, timeout=600)


def check_free(home: Path, name: str, kind: str = "") -> None:
    """Refuse a name that is taken, or invalid for data whose origin is of this kind."""
    if not NAME.fullmatch(name):
        rule = "1 to 80 of A-Z a-z 0-9 . _ - that begin with a letter or digit"
        raise ValueError(f"data set name {quote(name)}: expected {rule}")
    if name == BUILTIN and kind != SIMULATED:
        raise ValueError(f"data set name {name!r}: kept for the built-in data set; choose another name")
    if (data_folder(home) / name).exists():
        raise ValueError(f"data set {name!r}: exists already and is not overwritten; choose another name")


def _store(folder: Path, pair: Pair, origin: dict[str, Any]) -> None:
    """Write a data set and rename it to `folder`. The caller holds the lock.

    Nobody else writes under the lock, so an incoming folder that is there was left by an import that died.
    """
    incoming = folder.parent / INCOMING
    if incoming.exists():
        shutil.rmtree(incoming)
    incoming.mkdir()
    try:
        with annotate_oserror(folder):
            _write(incoming, pair, origin)
            incoming.rename(folder)
    except OSError as error:
        if error.errno is None:  # numpy says of a disk that takes no more only how much it took
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from None
        raise
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    _sync(folder.parent)


def _write(folder: Path, pair: Pair, origin: dict[str, Any]) -> None:
    """Write the files of a data set, synced to the disk."""
    arrays: tuple[NDArray[Any], ...] = (pair.names, pair.codes, pair.scores)
    for file, array in zip(ARRAYS, arrays, strict=True):
        np.save(folder / file, array)
    meta = {
        "format": FORMAT,
        "created": datetime.fromtimestamp((folder / SCORES).stat().st_mtime, UTC).isoformat(timespec="seconds"),
        "hash": hash_of(arrays),
        "origin": origin,
        **asdict(report(pair)),
    }
    META_FILE.write(folder / META, meta)
    for path in (*folder.iterdir(), folder):
        _sync(path)


def _sync(path: Path) -> None:
    """Sync a file, or the entries of a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _simulated(simulation: Simulation) -> tuple[Pair, dict[str, Any]]:
    """The windows of a simulation and their origin."""
    return Pair(np.array(simulation.names, dtype=np.bytes_), simulation.codes, simulation.scores), {
        "kind": SIMULATED,
        "seed": simulation.seed,
        "motif": simulation.motif.name,
        "matrix_id": simulation.motif.matrix_id,
        "threshold": simulation.threshold,
    }


def _open(folder: Path) -> Windows:
    """Map a data set's arrays; only their shapes are checked, so that opening takes no time."""
    meta = read_meta(folder)
    shape = (meta["windows"], meta["length"])
    names, codes, scores = (map_array(folder / file) for file in ARRAYS)
    if names.shape != shape[:1] or codes.shape != shape or scores.shape != shape:
        shapes = f"{names.shape}, {codes.shape}, {scores.shape}"
        raise ValueError(f"{folder}: {', '.join(ARRAYS)} of shapes {shapes}; {META} says {shape}")
    if (names.dtype.kind, codes.dtype, scores.dtype) != ("S", np.uint8, np.float32):
        raise ValueError(f"{folder}: {', '.join(ARRAYS)} of types {names.dtype}, {codes.dtype}, {scores.dtype}")
    return Windows(folder, meta, names, codes, scores)


def _open_pair_in(home: Path, folder: Path) -> Windows:
    """The data set made from the one pair in `folder`, imported now if it has not been."""
    sequences, scores = (_only_file(folder, suffix) for suffix in PAIR_SUFFIXES)
    for path in (sequences, scores):
        first_lines(path)  # what is no table is refused before all of it is hashed
    content = hashlib.sha256((sha256(sequences) + sha256(scores)).encode()).hexdigest()
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).lstrip("._-")[:60]
    stored = data_folder(home) / f"{words or 'pair'}-{content[:8]}"
    if not stored.is_dir():
        pair, origin = _read_pair(sequences, scores)
        with lock(home):
            if not stored.is_dir():
                _store(stored, pair, origin)
    return _open(stored)


def _read_pair(
    sequences: Path, scores: Path, transpose: bool = False, progress: Progress | None = None
) -> tuple[Pair, dict[str, Any]]:
    """Read a pair; its windows and their origin."""
    pair = read_pair(sequences, scores, transpose, progress)  # first: what is no pair may be long to hash
    files = {"sequences": sequences, "scores": scores}
    origin = {role: {"file": path.name, "sha256": sha256(path)} for role, path in files.items()}
    return pair, {"kind": "pair", **origin}


def _only_file(folder: Path, suffix: str) -> Path:
    matches = sorted(path for path in folder.iterdir() if path.name.removesuffix(".gz").endswith(suffix))
    if len(matches) != 1:
        raise ValueError(
            f"{folder}: {plural(len(matches), 'file')} *{suffix}[.gz]; expected one, or a data set of this project"
        )
    return matches[0]
