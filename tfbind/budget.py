"""The limit that a user sets on what a home takes of the disk. It warns; nothing is deleted and no run is refused."""

import re
from collections.abc import Callable
from pathlib import Path

from tfbind.json_files import read_fields, write_json

FILE = "budget.json"
UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12}
LARGEST = 10**18  # bytes; no disk is larger
NONE = "none"
REMEDY = "make room with `python -m tfbind disk` or under Disk on the Data page, or raise it"

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(MB|GB|TB)", re.IGNORECASE)


def parse(text: str) -> int | None:
    """Bytes of a size as people write it, such as `20GB` or `1.5 TB`; None for `none`.

    Raises:
        ValueError: it is no such size.
    """
    text = text.strip()
    if text.lower() == NONE:
        return None
    match = _SIZE.fullmatch(text)
    size = float(match[1]) * UNITS[match[2].upper()] if match else 0.0
    if not 1 <= size <= LARGEST:
        raise ValueError(f"budget {text[:20]!r}: expected a size such as 20GB, 500 MB or 1.5 TB, or {NONE}")
    return round(size)


def set_budget(home: Path, limit: int | None) -> None:
    """Keep the limit in the home, in bytes; None takes it away.

    Raises:
        OSError: the home cannot be written.
    """
    home.mkdir(parents=True, exist_ok=True)
    if limit is None:
        (home / FILE).unlink(missing_ok=True)
    else:
        write_json(home / FILE, {"bytes": limit})


def budget_of(home: Path) -> int | None:
    """The limit of a home in bytes, None where nobody set one.

    Raises:
        ValueError: its file is damaged.
    """
    if not (home / FILE).exists():
        return None
    limit: int = read_fields(home / FILE, {"bytes": int})["bytes"]
    if limit <= 0:
        raise ValueError(f"{home / FILE}: {limit} bytes; set the budget again")
    return limit


def warning(home: Path, used: Callable[[], int], planned: int = 0) -> str:
    """What a user is to know before `planned` bytes more come into a home, in one line; "" if nothing.

    `used` adds up the bytes of the home, and is asked only where a budget is set.
    """
    try:
        limit = budget_of(home)
        return objection(limit, used(), planned) if limit else ""
    except ValueError as error:
        return str(error)


def objection(limit: int | None, used: int, planned: int = 0) -> str:
    """What speaks against a home of `used` bytes, or against `planned` more, in one line; "" if nothing does."""
    if limit is None or used + planned <= limit:
        return ""
    if used > limit:
        return f"This home takes {size(used)}, more than its budget of {size(limit)}: {REMEDY}."
    left = f"{size(limit - used)} of {size(limit)} are left of this home's budget"
    return f"What is planned takes about {size(planned)}, {left}: {REMEDY}."


def size(count: int) -> str:
    """Bytes in words: `1.2 GB`, `300.0 MB`."""
    return f"{count / 1e9:,.1f} GB" if count >= UNITS["GB"] else f"{count / 1e6:,.1f} MB"
