"""Runs from W&B, and from folders of offline W&B runs: pulled once, kept in the home, usable without a network.

Each project has a folder in `<home>/wandb/projects/`: the list of its runs with settings and last values, and a file
for each curve that was asked for. Names that other people's code uses are mapped onto this project's once, and
remembered with it.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tfbind import wandb_client
from tfbind.files import read_fields, read_json, to_trash, write_json
from tfbind.history import Past
from tfbind.wandb_client import FOLDER, NotThereError, WandbError, converse, find_key
from tfbind.wandb_names import check_names
from tfbind.wandb_rows import flat, is_number, merge, settings

PATH = re.compile(r"(?P<project>[^/\s]+/[^/\s]+)(?:/sweeps/(?P<sweep>[^/\s]+))?(?:/(?:table|workspace|overview))?/?")
INDEX, NAMES, HISTORIES = "project", "names", "histories"

IN_INDEX = {"path": str, "base_url": str, "source": str, "scopes": dict, "runs": dict}
FACTS: dict[str, Any] = {"id": str, "name": str, "state": str, "config": dict, "summary": dict, "tags": list}
FACTS |= dict.fromkeys(("sweep", "group", "created", "note"), str | None)

Progress = Callable[[int, int], None]
Facts = dict[str, dict[str, Any]]  # of runs, by id

_SEEN: dict[tuple[Path, str], tuple[int, dict[str, Any], dict[str, str], Past]] = {}


@dataclass(frozen=True)
class Project:
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
        kept = read_json(path) if path.exists() else {}
        if not all(isinstance(ours, str) for ours in kept.values()):
            raise ValueError(f"{path}: expected a name for each name; the file was damaged")
        return kept


@dataclass(frozen=True)
class Pulled:
    """The runs that were asked for. `fresh`: the server was asked just now; else they were kept since `when`."""

    project: Project
    pasts: list[Past]
    fresh: bool
    when: str


def parse_path(text: str) -> tuple[str, str | None]:
    """Entity/project, and the sweep, from `entity/project[/sweeps/id]` or the address of such a page.

    Raises:
        ValueError: it is something else.
    """
    given = text.strip()
    if "://" in given:
        given = unquote(urlsplit(given).path).removeprefix("/wandb/").strip("/")
    found = PATH.fullmatch(given)
    if not found or ".." in given:
        raise ValueError(f"{text[:80]!r}: expected ENTITY/PROJECT or ENTITY/PROJECT/sweeps/ID")
    return found["project"], found["sweep"]


def pull(
    home: Path,
    path: str,
    base_url: str | None = None,
    key: str | None = None,
    refresh: bool = False,
    progress: Progress | None = None,
    histories: bool = False,
) -> Pulled:
    """The runs of a project or sweep: as they are kept, else, or to `refresh` them, from the server.

    Args:
        path: `entity/project[/sweeps/id]`.
        progress: told how many of how many curves there are.
        histories: ask for all curves, too; without them a run has one row, its last values.

    Raises:
        ValueError: the path or the address is not one.
        NotThereError: the server has no such project, or no run of such a sweep.
        WandbError: the server could not be asked; what is kept stays, and so do curves that came before.
    """
    name, sweep = parse_path(path)
    url = wandb_client.base_url(base_url)
    project = _open(home, url, name) or _new(home, url, name)
    when = _since(project, sweep)
    if when and not refresh:
        if histories:
            fetch_histories(home, [past.key for past in _pasts(project, sweep)], url, key, progress)
        return Pulled(project, _pasts(project, sweep), False, when)
    now = datetime.now(UTC).isoformat(timespec="seconds")

    def keep(found: Facts) -> None:
        if sweep and not found:
            raise NotThereError(f"W&B at {url} has no run of a sweep {sweep!r} in {name}; is its id spelled right?")
        others = {id: facts for id, facts in project.runs.items() if sweep not in (None, facts["sweep"])}
        scopes = {**project.scopes, sweep: now} if sweep else {"": now}
        _save(replace(project, scopes=scopes, runs={**others, **found}))

    request = {"path": name, "sweep": sweep, "list": True, "histories": "all" if histories else []}
    _ask(home, project, request, keep, key, progress)
    kept = _read(project.folder)
    return Pulled(kept, _pasts(kept, sweep), True, now)


def _since(project: Project, sweep: str | None) -> str | None:
    """When these runs were pulled last, None where they never were: a sweep may be newer than its project here."""
    if sweep in project.scopes:
        return project.scopes[sweep]
    known = sweep is None or any(facts["sweep"] == sweep for facts in project.runs.values())
    return project.scopes.get("") if known else None


def fetch_histories(
    home: Path,
    keys: Iterable[str],
    base_url: str | None = None,
    key: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Ask for the curves that are missing of the runs with these `Past.key`s.

    Args:
        base_url: the server that `key` is for; no other one sees it.

    Raises:
        ValueError: the address is not one.
        WandbError: a server could not be asked; what others gave, and what came before that, is kept.
    """
    asked, url = set(keys), wandb_client.base_url(base_url)
    failed: dict[str, WandbError] = {}
    for project in projects(home):
        lacking = [id for id in project.runs if _key(project, id) in asked and not _complete(project, id)]
        if lacking and project.source == "wandb" and project.base_url not in failed:
            try:
                _fetch(home, project, lacking, key if project.base_url == url else None, progress)
            except WandbError as error:
                failed[project.base_url] = error
    if failed:
        raise WandbError("; ".join(map(str, failed.values())))


def _fetch(home: Path, project: Project, lacking: list[str], key: str | None, progress: Progress | None) -> None:
    gone = set(lacking)

    def keep(found: Facts) -> None:
        gone.difference_update(found)
        known = {id: facts for id, facts in found.items() if id in project.runs}
        _save(replace(project, runs={**project.runs, **known}))

    _ask(
        home, project, {"path": project.path, "sweep": None, "list": False, "histories": lacking}, keep, key, progress
    )
    if gone:
        few = f"{', '.join(sorted(gone)[:5])}{' and others' if len(gone) > 5 else ''}"
        raise NotThereError(
            f"W&B at {project.base_url} has no longer {few} in {project.path}; their last values stay"
        )


def _ask(
    home: Path,
    project: Project,
    request: dict[str, Any],
    keep: Callable[[Facts], None],
    key: str | None,
    progress: Progress | None,
) -> None:
    """Have `keep` keep the runs that the server tells of, once all of them are told, and keep curves as they come.

    Raises:
        WandbError: the server could not be asked, or not for all curves; it says how many came before that.
    """
    found: Facts = {}
    counts = {"all": 0, "done": 0}

    def hear(said: dict[str, Any]) -> None:
        if "run" in said:
            found[said["run"]["id"]] = said["run"]
        elif "histories" in said:
            keep(found)
            counts["all"] = said["histories"]
        elif "history" in said:
            keep_history(project, **said["history"])
            counts["done"] += 1
        if progress and ("histories" in said or "history" in said):
            progress(counts["done"], counts["all"])

    known = {id: _known_count(project, id) for id in project.runs}
    secret = find_key(project.base_url, key)
    try:
        converse(home, project.base_url, secret, "tfbind.wandb_pull", {**request, "known": known}, hear)
    except WandbError as error:
        if not counts["all"]:
            raise
        came = f"{counts['done']} of {counts['all']} curves came before that and are kept"
        raise WandbError(f"{error}; {came}, so that the next pull goes on from there") from None


def keep_history(project: Project, id: str, rows: list[dict[str, Any]], count: int | None, sampled: bool) -> None:
    """Keep a curve: its numbers as columns, None where a row has no value."""
    names = {name for row in rows for name, value in row.items() if is_number(value)}
    columns = {name: [row.get(name) if is_number(row.get(name)) else None for row in rows] for name in sorted(names)}
    path = _history_path(project, id)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"count": count, "sampled": sampled, "columns": columns})


def _history_path(project: Project, id: str) -> Path:
    return project.folder / HISTORIES / f"{hashlib.sha256(id.encode()).hexdigest()[:20]}.json"


def _known_count(project: Project, id: str) -> int | None:
    path = _history_path(project, id)
    kept = _load(path, path.stat().st_mtime_ns) if path.exists() else None
    return None if kept is None or kept["sampled"] else kept["count"]


def _complete(project: Project, id: str) -> bool:
    known = _known_count(project, id)
    return known is not None and known == project.runs[id]["count"]


def projects(home: Path) -> list[Project]:
    """What is kept, by path.

    Raises:
        ValueError: a file is damaged.
    """
    folders = (home / FOLDER / "projects").glob(f"*/{INDEX}.json")
    return sorted((_read(path.parent) for path in folders), key=lambda project: project.path)


def stored(home: Path, project: str | None = None) -> list[Past]:
    """The runs of all kept projects, or of the one with this key.

    Raises:
        ValueError: a file is damaged.
    """
    kept = [found for found in projects(home) if project in (None, found.key)]
    return [past for found in kept for past in _pasts(found)]


def forget(home: Path, project: str) -> None:
    """Move a kept project to the trash of the home."""
    folder = home / FOLDER / "projects" / Path(project).name
    to_trash(home, folder, f"wandb-{folder.name}")


def save_names(project: Project, names: dict[str, str]) -> None:
    """Remember what the names in a project are called here.

    Raises:
        ValueError: two names become one, or a name becomes one that nobody knows.
    """
    write_json(project.folder / f"{NAMES}.json", check_names(names))


def names_in(project: Project) -> tuple[list[str], list[str]]:
    """The settings and the metrics of a project, as its own code calls them."""
    settings = {name for facts in project.runs.values() for name in flat(facts["config"])}
    metrics = {name for facts in project.runs.values() for name, v in facts["summary"].items() if is_number(v)}
    return sorted(settings), sorted(name for name in metrics if not name.startswith("_"))


def offline_project(home: Path, name: str) -> Project:
    """The project that keeps imported offline runs of this project name; empty when none were imported."""
    return _open(home, "", f"offline/{name}") or _new(home, "", f"offline/{name}", "offline")


def keep_offline(project: Project, facts: dict[str, Any], rows: list[dict[str, Any]]) -> Project:
    """Keep an imported run with its curve."""
    keep_history(project, facts["id"], rows, len(rows), False)
    scopes = {"": datetime.now(UTC).isoformat(timespec="seconds")}
    kept = replace(project, scopes=scopes, runs={**project.runs, facts["id"]: {**facts, "count": len(rows)}})
    _save(kept)
    return kept


def _new(home: Path, url: str, path: str, source: str = "wandb") -> Project:
    name = hashlib.sha256(f"{url}/{path}".encode()).hexdigest()[:16]
    return Project(home / FOLDER / "projects" / name, path, url, source, {}, {})


def _open(home: Path, url: str, path: str) -> Project | None:
    folder = _new(home, url, path).folder
    return _read(folder) if (folder / f"{INDEX}.json").exists() else None


def _read(folder: Path) -> Project:
    path = folder / f"{INDEX}.json"
    kept = read_fields(path, IN_INDEX)
    for id, facts in kept["runs"].items():
        if not isinstance(facts, dict) or not all(isinstance(facts.get(key, 0), kind) for key, kind in FACTS.items()):
            raise ValueError(f"{path}: not the facts of a run: {id!r:.40}; the file was damaged")
    return Project(folder, *(kept[name] for name in IN_INDEX))


def _save(project: Project) -> None:
    project.folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({name: getattr(project, name) for name in IN_INDEX}, default=str)
    write_json(project.folder / f"{INDEX}.json", json.loads(text, parse_constant=str))


def _key(project: Project, id: str) -> str:
    return f"{project.source}:{project.key}:{id}"


def _pasts(project: Project, sweep: str | None = None) -> list[Past]:
    names = project.names
    chosen = [facts for facts in project.runs.values() if sweep in (None, facts["sweep"])]
    return [_past(project, facts, names) for facts in chosen]


def _past(project: Project, facts: dict[str, Any], names: dict[str, str]) -> Past:
    """The run as a comparison sees it: the very same object as long as nothing has changed."""
    path = _history_path(project, facts["id"])
    stamp = path.stat().st_mtime_ns if path.exists() else 0
    key = _key(project, facts["id"])
    kept = _SEEN.get((project.folder, key))
    if kept is None or kept[:3] != (stamp, facts, names):
        _SEEN[project.folder, key] = kept = (stamp, facts, names, _make(project, facts, names, stamp))
    return kept[3]


def _make(project: Project, facts: dict[str, Any], names: dict[str, str], stamp: int) -> Past:
    kept = _load(_history_path(project, facts["id"]), stamp) if stamp else None
    sampled = kept is None or kept["sampled"] or kept["count"] != facts.get("count")
    last = {name: [value] for name, value in facts["summary"].items() if is_number(value)}
    columns = kept["columns"] if kept else {}
    return Past(
        key=_key(project, facts["id"]),
        id=facts["id"],
        name=facts["name"],
        state=facts["state"],
        source="offline" if project.source == "offline" else "wandb",
        group=facts["sweep"] or facts["group"] or project.path,
        config=settings(facts["config"], names),
        rows=merge(columns or last, names),
        created=facts["created"] or "",
        sampled=sampled,
        last_only=not columns,
        server=project.base_url,
        tags=facts["tags"],
        note=facts["note"],
    )


@lru_cache(maxsize=4096)
def _load(path: Path, changed: int) -> dict[str, Any]:  # noqa: ARG001 - a file that changed is another one
    kept = read_fields(path, {"count": int | None, "sampled": bool, "columns": dict})
    columns = kept["columns"].values()
    if not all(isinstance(column, list) and all(v is None or is_number(v) for v in column) for column in columns):
        raise ValueError(f"{path}: expected columns of numbers; the file was damaged")
    if len({len(column) for column in columns}) > 1:
        raise ValueError(f"{path}: columns of different lengths; the file was damaged")
    return kept
