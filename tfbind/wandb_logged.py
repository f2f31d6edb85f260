"""What became of logging a run to W&B: kept in its folder by the process that logs, and said in one line."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tfbind import runs
from tfbind.json_files import read_as
from tfbind.owner import Owner
from tfbind.runs import Run

LOOK_SECONDS = 0.25
WAIT_SECONDS = 60.0

WORKING = ("starting", "logging", "finishing")


@dataclass(frozen=True, kw_only=True)
class Logged(Owner):
    """What became of logging a run.

    `asked` and `mode` are off, offline or online: what was wanted, and what is done. `state` is one of WORKING, or
    `finished`: all rows are where they belong; `incomplete`: they are not, or nobody knows. `rows` were handed to the
    client. `error` is one sentence. The owner is the process that logs.
    """

    asked: str
    mode: str
    state: str
    base_url: str
    id: str
    project: str
    entity: str = ""
    url: str = ""
    folder: str = ""
    rows: int = 0
    error: str = ""

    @property
    def shown(self) -> dict[str, Any]:
        """What a program is told."""
        return {name: getattr(self, name) for name in ("mode", "state", "base_url", "url", "folder", "rows", "error")}


def asked(record: Mapping[str, Any]) -> str:
    """How a run with this record is to be logged: off, offline or online; records of early versions do not say."""
    return record.get("wandb") or "off"


def read_logged(run: Run) -> Logged | None:
    """What became of logging a run; None when nobody began to. A process that died left it incomplete.

    Raises:
        ValueError: the file is damaged.
    """
    path = run.folder / runs.WANDB
    if not path.exists():
        return None
    logged = read_as(path, Logged)
    if logged.state in WORKING and not logged.alive:
        return Logged(
            **asdict(logged) | {"state": "incomplete", "error": "the process that logs ended without a word"}
        )
    return logged


def said(run: Run) -> str:
    """One line for the run page and the terminal: how logging goes; "" when it was not asked for."""
    logged = read_logged(run)
    if logged is None:
        mode = asked(runs.read_record(run))
        return "" if mode == "off" else f"W&B: not begun yet ({mode})"
    prefix = "" if logged.error.startswith("W&B") else "W&B: "
    again = f"`python -m tfbind runs {run.id} --log` sends what is missing"
    why = f" ({logged.error})" if logged.error else ""
    rows = f"{logged.rows} epoch{'s' * (logged.rows != 1)}"
    if logged.mode == "offline":
        fell = f"{logged.error}; logged offline instead" if logged.asked == "online" else "logged offline"
        prefix = prefix if logged.asked == "online" else "W&B: "
        return f"{prefix}{fell}, {rows} in {logged.folder}; `python -m tfbind runs {run.id} --log` sends it later"
    if logged.state == "incomplete":
        return f"W&B: perhaps not everything arrived{why}; {again}"
    if logged.state == "finished":
        return f"W&B: logged online, {rows}, {logged.url}"
    stuck = f"; rows do not get through{why}" if logged.error else ""
    return f"W&B: {logged.state}, {rows} so far{', ' + logged.url if logged.url else ''}{stuck}"


def wait(run: Run, seconds: float = WAIT_SECONDS) -> None:
    """Wait until logging has ended, or for so long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        logged = read_logged(run)
        if logged and logged.state not in WORKING:
            return
        time.sleep(LOOK_SECONDS)
