"""What is kept of W&B projects and of imported offline runs: usable without a network.

Each project has a folder in `<home>/wandb/projects/`: the list of its runs with settings and last values, and a file
for each curve that was asked for. Names that other people's code uses are mapped onto this project's once, and
remembered with it.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import model_validator

from tfbind.runs import RunRecord
from tfbind.store import DAMAGED, Facts, KeptFile, kept_file, move_to_trash, mtime_ns
from tfbind.tracking.client import FOLDER
from tfbind.tracking.mapping import check_names, flat, is_number, kept_number, merge, settings

INDEX, NAMES, HISTORIES = "project", "names", "histories"


class _Run(Facts):
    id: str
    name: str
    state: str
    config: dict[str, Any]
    summary: dict[str, Any]
    tags: list[str]
    sweep: str | None
    group: str | None
    created: str | None
    note: str | None


class _Project(Facts):
    path: str
    base_url: str
    source: str
    scopes: dict[str, str]
    runs: dict[str, _Run]


class _Names(Facts):
    __pydantic_extra__: dict[str, str]


class _History(Facts):
    count: int | None
    sampled: bool
    columns: dict[str, list[float | Literal["NaN", "Infinity", "-Infinity"] | None]]

    @model_validator(mode="after")
    def _check_equal_lengths(self) -> "_History":
        if len({len(column) for column in self.columns.values()}) > 1:
            raise ValueError(f"columns of different lengths; {DAMAGED}")
        return self


PROJECT_FILE: KeptFile[dict[str, Any]] = kept_file(f"{INDEX}.json", _Project)
NAMES_FILE: KeptFile[dict[str, str]] = kept_file(f"{NAMES}.json", _Names)
HISTORY_FILE: KeptFile[dict[str, Any]] = kept_file(f"{HISTORIES}/*.json", _History)

_RECORDS: dict[tuple[Path, str], tuple[int, dict[str, Any], dict[str, str], RunRecord]] = {}


@dataclass(frozen=True)
class StoredProject:
    """What is kept of a W&B project, or of imported folders (`source` "offline").

    `scopes` says when the whole project ("") or one of its sweeps was pulled; `key` names the project in this home.
    """

    folder: Path
    path: str
    base_url: str
    source: str
    scopes: dict[str, str]
    runs: dict[str, dict[str, Any]]

    @property
    def key(self) -> str:
        return self.folder.name

    @property
    def place(self) -> str:
        """Where its runs come from: the path, and the server that has it."""
        return f"{self.path} at {self.base_url}" if self.base_url else self.path

    @property
    def names(self) -> dict[str, str]:
        """Names of other people's code, and what they are called here."""
        path = self.folder / f"{NAMES}.json"
        return NAMES_FILE.read(path) if path.exists() else {}


def save_history(
    project: StoredProject, id: str, rows: list[dict[str, Any]], count: int | None, sampled: bool
) -> None:
    """Keep a curve: its numbers as columns, None where a row has no value."""
    rows = [flat(row) for row in rows]
    names = {name for row in rows for name, value in row.items() if is_number(value)}
    columns = {name: [kept_number(row.get(name)) for row in rows] for name in sorted(names)}
    path = _history_path(project, id)
    path.parent.mkdir(parents=True, exist_ok=True)
    HISTORY_FILE.write(path, {"count": count, "sampled": sampled, "columns": columns})


def _history_path(project: StoredProject, id: str) -> Path:
    return project.folder / HISTORIES / f"{hashlib.sha256(id.encode()).hexdigest()[:20]}.json"


def known_count(project: StoredProject, id: str) -> int | None:
    """How many rows the curve of a run had when it was read in full; None where it never was."""
    path = _history_path(project, id)
    history = _load(path, path.stat().st_mtime_ns) if path.exists() else None
    return None if history is None or history["sampled"] else history["count"]


def complete(project: StoredProject, id: str) -> bool:
    """Whether the curve of a run is here as the server last had it."""
    count = known_count(project, id)
    return count is not None and count == project.runs[id]["count"]


def projects(home: Path) -> list[StoredProject]:
    """What is kept, by path.

    Raises:
        ValueError: a file is damaged.
    """
    folders = (home / FOLDER / "projects").glob(f"*/{INDEX}.json")
    return sorted((read_project(path.parent) for path in folders), key=lambda project: project.path)


def stored_runs(home: Path, project: str | None = None) -> list[RunRecord]:
    """The runs of all kept projects, or of the one with this key.

    Raises:
        ValueError: a file is damaged.
    """
    matches = [candidate for candidate in projects(home) if project in (None, candidate.key)]
    return [record for candidate in matches for record in stored_run_records(candidate)]


def discard_project(home: Path, project: StoredProject) -> None:
    """Move a kept project to the trash of the home."""
    move_to_trash(home, project.folder, f"wandb-{project.key}")


def save_names(project: StoredProject, names: dict[str, str]) -> None:
    """Remember what the names in a project are called here.

    Raises:
        ValueError: two names become one, or a name becomes one that nobody knows.
    """
    NAMES_FILE.write(project.folder / f"{NAMES}.json", check_names(names))


def names_in(project: StoredProject) -> tuple[list[str], list[str]]:
    """The settings and the metrics of a project, as its own code calls them."""
    settings = {name for facts in project.runs.values() for name in flat(facts["config"])}
    metrics = {name for facts in project.runs.values() for name in _last_values(facts)}
    return sorted(settings), sorted(name for name in metrics if not name.startswith("_"))


def _last_values(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in flat(facts["summary"]).items() if is_number(value)}


def offline_project(home: Path, name: str) -> StoredProject:
    """The project that keeps imported offline runs of this project name; empty when none were imported."""
    return open_project(home, "", f"offline/{name}") or new_project(home, "", f"offline/{name}", "offline")


def save_offline_run(project: StoredProject, facts: dict[str, Any], rows: list[dict[str, Any]]) -> StoredProject:
    """Keep an imported run with its curve."""
    save_history(project, facts["id"], rows, len(rows), False)
    scopes = {"": datetime.now(UTC).isoformat(timespec="seconds")}
    updated = replace(project, scopes=scopes, runs={**project.runs, facts["id"]: {**facts, "count": len(rows)}})
    save_project(updated)
    return updated


def new_project(home: Path, url: str, path: str, source: str = "wandb") -> StoredProject:
    """The project at a server's address, with nothing kept of it yet."""
    name = hashlib.sha256(f"{url}/{path}".encode()).hexdigest()[:16]
    return StoredProject(home / FOLDER / "projects" / name, path, url, source, {}, {})


def open_project(home: Path, url: str, path: str) -> StoredProject | None:
    """What is kept of a project, None where nothing is.

    Raises:
        ValueError: its file is damaged.
    """
    folder = new_project(home, url, path).folder
    return read_project(folder) if (folder / f"{INDEX}.json").exists() else None


def read_project(folder: Path) -> StoredProject:
    """What is kept in a folder.

    Raises:
        ValueError: its file is damaged.
    """
    path = folder / f"{INDEX}.json"
    content = PROJECT_FILE.read(path)
    return StoredProject(folder, *(content[name] for name in _Project.model_fields))


def save_project(project: StoredProject) -> None:
    """Keep the list of runs."""
    project.folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({name: getattr(project, name) for name in _Project.model_fields}, default=str)
    content = json.loads(text, parse_constant=str, parse_int=lambda digits: kept_number(int(digits)))
    PROJECT_FILE.write(project.folder / f"{INDEX}.json", content)


def key_of(project: StoredProject, id: str) -> str:
    """The `RunRecord.key` of a run."""
    return f"{project.source}:{project.key}:{id}"


def stored_run_records(project: StoredProject, sweep: str | None = None) -> list[RunRecord]:
    """The kept runs of a project, or of one of its sweeps."""
    names = project.names
    matches = [facts for facts in project.runs.values() if sweep in (None, facts["sweep"])]
    return [_cached_record(project, facts, names) for facts in matches]


def _cached_record(project: StoredProject, facts: dict[str, Any], names: dict[str, str]) -> RunRecord:
    """The run as a comparison sees it: the very same object as long as nothing has changed."""
    stamp = mtime_ns(_history_path(project, facts["id"]))
    key = key_of(project, facts["id"])
    cached = _RECORDS.get((project.folder, key))
    if cached is None or cached[:3] != (stamp, facts, names):
        _RECORDS[project.folder, key] = cached = (stamp, facts, names, _make_record(project, facts, names, stamp))
    return cached[3]


def _make_record(project: StoredProject, facts: dict[str, Any], names: dict[str, str], stamp: int) -> RunRecord:
    history = _load(_history_path(project, facts["id"]), stamp) if stamp else None
    sampled = history is None or history["sampled"] or history["count"] != facts.get("count")
    last = _last_values(facts)
    columns = history["columns"] if history else {}
    merged = merge(columns or {name: [value] for name, value in last.items()}, names, last)
    return RunRecord(
        key=key_of(project, facts["id"]),
        id=facts["id"],
        name=facts["name"],
        state=facts["state"],
        source="offline" if project.source == "offline" else "wandb",
        group=facts["sweep"] or facts["group"] or project.path,
        config=settings(facts["config"], names),
        rows=merged.rows,
        created=facts["created"] or "",
        sampled=sampled,
        last_only=not columns,
        server=project.base_url,
        tags=facts["tags"],
        note=facts["note"],
        figures=merged.figures,
        assumed=merged.assumed if columns else (),
    )


@lru_cache(maxsize=4096)
def _load(path: Path, changed: int) -> dict[str, Any]:  # noqa: ARG001 - a file that changed is another one
    return HISTORY_FILE.read(path)
