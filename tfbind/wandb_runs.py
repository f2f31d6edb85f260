"""Runs are pulled from W&B: the list with settings and last values first, curves when they are asked for."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tfbind import wandb_client
from tfbind.history import Past
from tfbind.wandb_client import NotThereError, WandbError, converse, find_key
from tfbind.wandb_kept import (
    Project,
    complete,
    keep_history,
    key_of,
    known_count,
    new_project,
    open_project,
    pasts_of,
    projects,
    read_project,
    save_project,
)

PATH = re.compile(r"(?P<project>[^/\s]+/[^/\s]+)(?:/sweeps/(?P<sweep>[^/\s]+))?(?:/(?:table|workspace|overview))?/?")

Progress = Callable[[int, int], None]
Facts = dict[str, dict[str, Any]]  # of runs, by id


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
    project = open_project(home, url, name) or new_project(home, url, name)
    when = _since(project, sweep)
    if when and not refresh:
        if histories:
            fetch_histories(home, [past.key for past in pasts_of(project, sweep)], url, key, progress)
        return Pulled(project, pasts_of(project, sweep), False, when)
    now = datetime.now(UTC).isoformat(timespec="seconds")

    def keep(found: Facts) -> None:
        if sweep and not found:
            raise NotThereError(f"W&B at {url} has no run of a sweep {sweep!r} in {name}; is its id spelled right?")
        others = {id: facts for id, facts in project.runs.items() if sweep not in (None, facts["sweep"])}
        scopes = {**project.scopes, sweep: now} if sweep else {"": now}
        save_project(replace(project, scopes=scopes, runs={**others, **found}))

    request = {"path": name, "sweep": sweep, "list": True, "histories": "all" if histories else []}
    _ask(home, project, request, keep, key, progress)
    kept = read_project(project.folder)
    return Pulled(kept, pasts_of(kept, sweep), True, now)


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
        lacking = [id for id in project.runs if key_of(project, id) in asked and not complete(project, id)]
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
        save_project(replace(project, runs={**project.runs, **known}))

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

    known = {id: known_count(project, id) for id in project.runs}
    secret = find_key(project.base_url, key)
    try:
        converse(home, project.base_url, secret, "tfbind.wandb_pull", {**request, "known": known}, hear)
    except WandbError as error:
        if not counts["all"]:
            raise
        came = f"{counts['done']} of {counts['all']} curves came before that and are kept"
        raise WandbError(f"{error}; {came}, so that the next pull goes on from there") from None
