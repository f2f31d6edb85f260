"""What was pasted, kept in the home under a random id: a refresh brings it back, no address or log holds the DNA."""

import re
import secrets
from pathlib import Path

from tfbind.files import read_text, write_bytes

ID = re.compile(r"[0-9a-f]{16}")
FOLDER = "queries"


def save(home: Path, text: str, file: bytes | None = None) -> str:
    """Keep `text`, and the content of a file that it names, and return the id that brings them back."""
    folder = home / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    id = secrets.token_hex(8)
    write_bytes(folder / f"{id}.txt", text.encode())
    if file is not None:  # second: where there is no room for it, no more than its name is left over
        write_bytes(folder / f"{id}.bin", file)
    return id


def load(home: Path, id: str) -> str:
    """The text kept under `id`.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    path = home / FOLDER / f"{id}.txt"
    if not ID.fullmatch(id) or not path.exists():
        raise ValueError(f"nothing is kept under {id[:20]!r}; paste or change it again")
    return read_text(path)


def load_file(home: Path, id: str) -> bytes | None:
    """The content of the file kept under `id`, None where only its name is."""
    path = home / FOLDER / f"{id}.bin"
    return path.read_bytes() if ID.fullmatch(id) and path.is_file() else None
