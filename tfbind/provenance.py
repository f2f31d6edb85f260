"""Where predictions come from: the program, the weights, and how each of the runs behind them was trained.

Formats of predictions have no room for all of that: it goes into a JSON file beside them.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

from tfbind import __version__, runs
from tfbind.export import beside
from tfbind.files import write_bytes
from tfbind.meaning import BUILTIN
from tfbind.runs import Run
from tfbind.scoring import Model


def write_beside(out: Path, home: Path, model: Model, **settings: Any) -> None:
    """Say beside a file of predictions where they come from; `settings` are those of the scoring."""
    write_bytes(beside(out), as_json(provenance(home, model, settings | {"file": out.name})))


def as_json(facts: Mapping[str, Any]) -> bytes:
    """Facts as a file."""
    return (json.dumps(facts, indent=1, default=str) + "\n").encode()


def provenance(home: Path, model: Model, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What there is to say of scores by `model`: when, with which settings, by which program, and who trained it."""
    versions = {name: version(name) for name in ("numpy", "onnxruntime")}
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        **settings,
        "versions": {"tfbind": __version__, "python": python_version(), **versions},
        "model": ",".join(Path(name.strip()).name for name in model.name.split(",")),
        "weights": model.hash,
        "members": [_of_member(home, name.strip()) for name in model.name.split(",")],
    }


def _of_member(home: Path, name: str) -> dict[str, Any]:
    if runs.is_run(home, name):
        return of_run(runs.find(home, name))
    about = "ships with tfbind; its card is tfbind/builtin/README.md" if name == BUILTIN else "trained elsewhere"
    return {"model": Path(name).name, "about": about}


def of_run(run: Run) -> dict[str, Any]:
    """How a run was trained: data, split, every setting, versions, device, seed; and its best epoch.

    Raises:
        ValueError: its folder is damaged.
    """
    record = runs.read_record(run)
    return {
        "run": run.id,
        "trained_on": runs.read_status(run).device or record.get("device"),
        "best": runs.best_row(runs.read_rows(run)),
        **record,
    }
