"""Runs pulled from W&B, or from folders of its offline runs: the list first, curves when they are asked for.

`python -m tfbind.tracking.pull` is the process that asks W&B. `client.run_client` starts it, with the key in its
environment, and ends it when it hangs. It reads a request on standard input and writes one JSON line for each run and
each history. The request: `path` entity/project, `sweep` or null, `list` whether all runs are asked for, `histories`
"all" or ids, `known` the line counts of the histories that the caller has.
"""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tfbind.runs import RunRecord
from tfbind.store import require_regular_file
from tfbind.tracking import client
from tfbind.tracking.cache import (
    StoredProject,
    complete,
    key_of,
    known_count,
    new_project,
    offline_project,
    open_project,
    projects,
    read_project,
    save_history,
    save_offline_run,
    save_project,
    stored_run_records,
    stored_runs,
)
from tfbind.tracking.client import (
    BASE_URL,
    KEY,
    STALL_SECONDS,
    URL,
    NotThereError,
    WandbError,
    environment,
    find_key,
    full_message,
    run_client,
)

PATH = re.compile(
    r"(?P<project>[^/\s]+/[^/\s]+)(?:/sweeps/(?P<sweep>[^/\s]+))?"
    r"(?:/(?:table|workspace|overview|logs|files|(?:runs|reports|artifacts)(?:/.*)?))?/?"
)
HOST = re.compile(r"(?:[\w-]+\.)*wandb\.ai/", re.IGNORECASE)

Progress = Callable[[int, int], None]
Facts = dict[str, dict[str, Any]]  # of runs, by id
READ_SECONDS = 120
MOST_BYTES = 1 << 30
PER_PAGE = 500
DEEPEST = 20  # settings within settings
AT_ONCE = 8  # the client sends at most ten requests at a time
FEW = 100  # so many runs are asked for by name; of more, all are listed
UNTOLD = 10_000
MOST_ROWS = 2**31 - 1  # of which the client can ask for a number
ALIVE_ROWS = 1000

Send = Callable[..., None]


@dataclass(frozen=True)
class Pulled:
    """The runs that were asked for. `fresh`: the server was asked just now; else they were kept since `when`."""

    project: StoredProject
    records: list[RunRecord]
    fresh: bool
    when: str


def parse_path(text: str) -> tuple[str, str | None]:
    """Entity/project, and the sweep, from `entity/project[/sweeps/id]` or the address of such a page.

    The address of another page of a project, such as that of a run, stands for the project.

    Raises:
        ValueError: it is something else.
    """
    path = text.strip()
    if "://" in path or HOST.match(path):
        path = unquote(urlsplit(path if "://" in path else f"https://{path}").path).removeprefix("/wandb/")
        path = path.strip("/").removesuffix("/sweeps")
    match = PATH.fullmatch(path)
    if not match or ".." in path:
        raise ValueError(f"{text[:80]!r}: expected ENTITY/PROJECT or ENTITY/PROJECT/sweeps/ID")
    return match["project"], match["sweep"]


def pull_runs(
    home: Path,
    path: str,
    base_url: str | None = None,
    key: str | None = None,
    refresh: bool = False,
    progress: Progress | None = None,
    histories: bool = False,
    stall_seconds: float = STALL_SECONDS,
) -> Pulled:
    """The runs of a project or sweep: as they are kept, else, or to `refresh` them, from the server.

    Args:
        path: `entity/project[/sweeps/id]`.
        progress: told how many of how many curves there are.
        histories: ask for all curves, too; without them a run has one row, its last values.
        stall_seconds: how long the server may say nothing.

    Raises:
        ValueError: the path or the address is not one.
        NotThereError: the server has no such project, or no run of such a sweep.
        WandbError: the server could not be asked; what is kept stays, and so do curves that came before.
    """
    name, sweep = parse_path(path)
    url = client.base_url(base_url)
    project = open_project(home, url, name) or new_project(home, url, name)
    when = _pulled_at(project, sweep)
    if when and not refresh:
        if histories:
            fetch_histories(home, [record.key for record in stored_run_records(project, sweep)], url, key, progress)
        return Pulled(project, stored_run_records(project, sweep), False, when)
    now = datetime.now(UTC).isoformat(timespec="seconds")

    def save(pulled: Facts) -> None:
        if sweep and not pulled:
            raise NotThereError(f"W&B at {url} has no run of a sweep {sweep!r} in {name}; is its id spelled right?")
        others = {id: facts for id, facts in project.runs.items() if sweep not in (None, facts["sweep"])}
        scopes = {**project.scopes, sweep: now} if sweep else {"": now}
        save_project(replace(project, scopes=scopes, runs={**others, **pulled}))

    request = {"path": name, "sweep": sweep, "list": True, "histories": "all" if histories else []}
    _request(home, project, request, save, key, progress, stall_seconds)
    stored = read_project(project.folder)
    return Pulled(stored, stored_run_records(stored, sweep), True, now)


def _pulled_at(project: StoredProject, sweep: str | None) -> str | None:
    """When these runs were pulled last, None where they never were: a sweep may be newer than its project here."""
    if sweep in project.scopes:
        return project.scopes[sweep]
    covered = sweep is None or any(facts["sweep"] == sweep for facts in project.runs.values())
    return project.scopes.get("") if covered else None


def fetch_histories(
    home: Path,
    keys: Iterable[str],
    base_url: str | None = None,
    key: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Ask for the curves that are missing of the runs with these `RunRecord.key`s.

    Args:
        base_url: the server that `key` is for; no other one sees it.

    Raises:
        ValueError: the address is not one.
        WandbError: a server could not be asked; what others gave, and what came before that, is kept.
    """
    requested, url = set(keys), client.base_url(base_url)
    failed: dict[str, WandbError] = {}
    for project in projects(home):
        missing = [id for id in project.runs if key_of(project, id) in requested and not complete(project, id)]
        if missing and project.source == "wandb" and project.base_url not in failed:
            try:
                _fetch(home, project, missing, key if project.base_url == url else None, progress)
            except WandbError as error:
                failed[project.base_url] = error
    if failed:
        raise WandbError("; ".join(map(str, failed.values())))


def _fetch(
    home: Path, project: StoredProject, missing: list[str], key: str | None, progress: Progress | None
) -> None:
    deleted = set(missing)

    def save(pulled: Facts) -> None:
        deleted.difference_update(pulled)
        remaining = {id: facts for id, facts in pulled.items() if id in project.runs}
        save_project(replace(project, runs={**project.runs, **remaining}))

    _request(
        home, project, {"path": project.path, "sweep": None, "list": False, "histories": missing}, save, key, progress
    )
    if deleted:
        names = f"{', '.join(sorted(deleted)[:5])}{' and others' if len(deleted) > 5 else ''}"
        raise NotThereError(
            f"W&B at {project.base_url} has no longer {names} in {project.path}; their last values stay"
        )


def _request(
    home: Path,
    project: StoredProject,
    request: dict[str, Any],
    save: Callable[[Facts], None],
    key: str | None,
    progress: Progress | None,
    stall_seconds: float = STALL_SECONDS,
) -> None:
    """Send a request; `save` gets the runs of the answer once all of them are there, curves are kept as they come.

    Raises:
        WandbError: the server could not be asked, or not for all curves; it says how many came before that.
    """
    pulled: Facts = {}
    total, arrived = 0, set[str]()

    def on_message(message: dict[str, Any]) -> None:
        nonlocal total
        if "run" in message:
            pulled[message["run"]["id"]] = message["run"]
        elif "histories" in message:
            save(pulled)
            total = message["histories"]
        elif "history" in message:
            save_history(project, **message["history"])
            arrived.add(message["history"]["id"])
        if progress and ("histories" in message or "history" in message):
            progress(len(arrived), total)

    secret = find_key(project.base_url, key)
    try:
        request = {**request, "known": {id: known_count(project, id) for id in project.runs}}
        run_client(home, project.base_url, secret, "tfbind.tracking.pull", request, on_message, stall_seconds)
    except WandbError as error:
        if not total:
            raise
        remark = f"{len(arrived)} of {total} curves came before that and are kept"
        raise WandbError(f"{error}; {remark}, so that the next pull goes on from there") from None


def import_offline(home: Path, folder: Path) -> Pulled:
    """Keep the offline runs in a folder, or in one `.wandb` file, with the pulled ones.

    Parts of one run, as a resumed run leaves them, become one run. Importing again replaces.

    Raises:
        ValueError: there is no such run.
        WandbError: a file cannot be read.
    """
    files = [folder] if folder.is_file() else sorted(folder.rglob("*.wandb"))
    if not files:
        raise ValueError(f"{folder}: no file .wandb in it; expected a folder such as wandb/offline-run-…")
    parts = sorted((_read_offline_run(home, path) for path in files), key=lambda part: part[0]["created"])
    merged: dict[tuple[str, str], tuple[dict[str, Any], list[dict[str, Any]]]] = {}
    for facts, rows in parts:
        key = facts["project"], facts["id"]
        before = merged[key][1] if key in merged else []
        merged[key] = facts, before + rows
    saved: list[tuple[StoredProject, str]] = []
    for (name, id), (facts, rows) in merged.items():
        saved.append((save_offline_run(offline_project(home, name), facts, rows), id))
    ids = {(project.key, id) for project, id in saved}
    project_keys = {key for key, _ in ids}
    records = [record for key in project_keys for record in stored_runs(home, key) if (key, record.id) in ids]
    project = saved[-1][0]
    return Pulled(project, records, True, project.scopes[""])


def _read_offline_run(home: Path, path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What is known of one run, and its rows."""
    records = _read_records(home, path)
    run_records = [record["run"] for record in records if "run" in record]
    if not run_records or "run_id" not in run_records[0]:
        raise WandbError(f"{path}: not the log of a W&B run, or nothing of it was written")
    rows = [record["history"]["item"] for record in records if "item" in record.get("history", {})]
    summary: dict[str, Any] = {}
    for row in rows:
        summary |= row
    config = _config([run["config"] for run in run_records if "config" in run])
    return {**_offline_facts(run_records[0]), "state": _state(records), "config": config, "summary": summary}, rows


def _read_records(home: Path, path: Path) -> list[dict[str, Any]]:
    log = str(require_regular_file(path, MOST_BYTES))
    try:
        process = subprocess.run(
            [sys.executable, "-m", "wandb", "leet", "inspect", "--json", log],
            env=environment(home, BASE_URL),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=READ_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise WandbError(f"{path}: the reader did not end within {READ_SECONDS} s") from None
    return [json.loads(line) for line in process.stdout.splitlines()]


def _offline_facts(run: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": run["run_id"],
        "project": run.get("project") or "uncategorized",
        "name": run.get("display_name") or run["run_id"],
        "sweep": run.get("sweep_id") or None,
        "group": run.get("run_group") or "",
        "tags": list(run.get("tags") or []),
        "note": run.get("notes") or "",
        "created": str(run.get("start_time") or ""),
    }


def _state(records: list[dict[str, Any]]) -> str:
    exits = [record["exit"].get("exit_code", 0) for record in records if "exit" in record]
    if not exits:
        return "crashed"
    return "finished" if exits[-1] == 0 else "failed"


def _config(updates: list[dict[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for update in updates:
        merged |= update.get("update") or {}
    merged.pop("_wandb", None)
    return merged


def main() -> None:
    """Answer one request."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what the client prints is none of the caller's

    lock = threading.Lock()

    def send(**facts: Any) -> None:
        with lock:
            out.write(json.dumps(facts) + "\n")

    request = json.load(sys.stdin)
    try:
        import wandb

        send(alive=True)
        api = wandb.Api(overrides={"base_url": os.environ[URL]}, api_key=os.environ[KEY], timeout=10)
        send(alive=True)
        listed = []
        for run in _runs(api, request):
            send(run=_facts(run))
            listed.append(run)
        _histories(listed, request, send)
        send(done=True)
    except Exception as error:  # noqa: BLE001 - the client raises what it likes; the caller makes a sentence of it
        send(error=full_message(error))


def _runs(api: Any, request: dict[str, Any]) -> Iterator[Any]:
    path, histories = request["path"], request["histories"]
    sweep = request["sweep"]
    filters: dict[str, Any] = {"sweep": sweep} if sweep else {}
    if not request["list"] and len(histories) <= FEW:
        filters = {"name": {"$in": histories}}  # one that has been deleted does not come
    for run in api.runs(path, filters=filters, per_page=PER_PAGE, lazy=False):
        if (not sweep or run.sweep_name in (None, sweep)) and ("name" not in filters or run.id in histories):
            yield run


def _facts(run: Any) -> dict[str, Any]:
    return {
        "id": run.id,
        "name": run.name or run.id,
        "state": run.state,
        "config": _shallow(dict(run.config)),
        "summary": _shallow(dict(run.summary_metrics or {})),
        "sweep": run.sweep_name,
        "group": run.group,
        "tags": list(run.tags or []),
        "note": run.notes or "",
        "created": run.created_at,
        "count": _count(run),
    }


def _count(run: Any) -> int | None:
    """How many rows a run has; None where the server does not say, or says what cannot be."""
    count = run.historyLineCount
    return count if isinstance(count, int) and 0 <= count <= MOST_ROWS else None


def _shallow(value: Any, depth: int = DEEPEST) -> Any:
    """A value without what is nested deeper than a reader of it can follow."""
    if not isinstance(value, dict | list):
        return value
    if not depth:
        return "…"
    if isinstance(value, list):
        return [_shallow(inner, depth - 1) for inner in value]
    return {name: _shallow(inner, depth - 1) for name, inner in value.items()}


def _histories(listed: list[Any], request: dict[str, Any], send: Send) -> None:
    histories, line_counts = request["histories"], request["known"]
    requested = [run for run in listed if histories == "all" or run.id in histories]
    stale = [run for run in requested if line_counts.get(run.id) is None or line_counts[run.id] != _count(run)]
    send(histories=len(stale))
    pool = ThreadPoolExecutor(AT_ONCE)
    futures = [pool.submit(_history, run, send) for run in stale]
    try:
        for future in as_completed(futures):
            future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # what refuses one run refuses the others, and is said at once


def _history(run: Any, send: Send) -> None:
    """Say the rows of a run, and whether they are all there are: what the server thins is then read page by page."""
    count = _count(run)
    rows = run.history(samples=count or UNTOLD, pandas=False) if count != 0 else []
    whole = len(rows) >= count if count is not None else len(rows) < UNTOLD
    send(history={"id": run.id, "count": count, "sampled": not whole, "rows": rows})
    if whole or count is None:
        return
    pages = []
    for row in run.scan_history():
        pages.append(row)
        if len(pages) % ALIVE_ROWS == 0:
            send(alive=True)
    if len(pages) > len(rows):
        send(history={"id": run.id, "count": count, "sampled": len(pages) < count, "rows": pages})


if __name__ == "__main__":
    main()
