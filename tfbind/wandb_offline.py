"""Folders of offline W&B runs, read by the client's own reader, which forgives a torn tail."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tfbind.files import regular
from tfbind.wandb_client import BASE_URL, WandbError, environment
from tfbind.wandb_kept import Project, keep_offline, offline_project, stored
from tfbind.wandb_runs import Pulled

READ_SECONDS = 120
MOST_BYTES = 1 << 30


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
    parts = sorted((_read(home, path) for path in files), key=lambda part: part[0]["created"])
    whole: dict[tuple[str, str], tuple[dict[str, Any], list[dict[str, Any]]]] = {}
    for facts, rows in parts:
        place = facts["project"], facts["id"]
        before = whole[place][1] if place in whole else []
        whole[place] = facts, before + rows
    kept: list[tuple[Project, str]] = []
    for (name, id), (facts, rows) in whole.items():
        kept.append((keep_offline(offline_project(home, name), facts, rows), id))
    ids = {(project.key, id) for project, id in kept}
    pasts = [past for key in {key for key, _ in ids} for past in stored(home, key) if (key, past.id) in ids]
    project = kept[-1][0]
    return Pulled(project, pasts, True, project.scopes[""])


def _read(home: Path, path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What is known of one run, and its rows."""
    records = _records(home, path)
    told = [record["run"] for record in records if "run" in record]
    if not told or "run_id" not in told[0]:
        raise WandbError(f"{path}: not the log of a W&B run, or nothing of it was written")
    rows = [record["history"]["item"] for record in records if "item" in record.get("history", {})]
    summary: dict[str, Any] = {}
    for row in rows:
        summary |= row
    config = _config([run["config"] for run in told if "config" in run])
    return {**_facts(told[0]), "state": _state(records), "config": config, "summary": summary}, rows


def _records(home: Path, path: Path) -> list[dict[str, Any]]:
    words = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(regular(path, MOST_BYTES))]
    try:
        done = subprocess.run(
            words,
            env=environment(home, BASE_URL),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=READ_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise WandbError(f"{path}: the reader did not end within {READ_SECONDS} s") from None
    return [json.loads(line) for line in done.stdout.splitlines()]


def _facts(run: dict[str, Any]) -> dict[str, Any]:
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
