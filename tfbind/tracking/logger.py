"""Logs a run to W&B: a process of its own follows the run folder and sends one row for each epoch.

Training never waits for it. The run folder is the truth: what the server lacks can be sent from it at any time, and a
run that is resumed goes on after the last epoch that the server has. `python -m tfbind.tracking.logger HOME ID
[--online]` is that process; it writes what happened into the run folder, where it is said in one line.
"""

import contextlib
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfbind import runs
from tfbind.runs import Run
from tfbind.store import Job, KeptFile, ProcessIdentity, kept_file, this_process, wait_until
from tfbind.tracking.client import (
    FOLDER,
    KEY,
    URL,
    WandbError,
    base_url,
    environment,
    explain_error,
    find_key,
    full_message,
)

if TYPE_CHECKING:
    from subprocess import Popen

WAIT_SECONDS = 60.0

WORKING = ("starting", "logging", "finishing")
DEFAULT_PROJECT = "tfbind"
ENDED = "the process that logs ended without a word"
POLL_SECONDS = 0.5
END_SECONDS = 90.0  # after the run's end, finishing may take so long
CONFIRM_SECONDS = 6.0
ASK_SECONDS = 10.0  # so often the server is asked, while a run goes on, which rows it has
TAG_LENGTH = 64


@dataclass(frozen=True, kw_only=True)
class LogStatus(ProcessIdentity):
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
    def active(self) -> bool:
        """Whether a process logs, or is about to."""
        return self.state in WORKING

    @property
    def public(self) -> dict[str, Any]:
        """The fields of the command's JSON."""
        return {name: getattr(self, name) for name in ("mode", "state", "base_url", "url", "folder", "rows", "error")}


LOGGED_FILE: KeptFile[LogStatus] = kept_file(runs.WANDB, LogStatus)


@dataclass(frozen=True)
class LogJob(Job[LogStatus]):
    """The logging of a run, in the folder of that."""

    state_file = LOGGED_FILE
    stop_name = "wandb.stop"  # no request to stop the run

    @property
    def kind(self) -> str:
        """What its lock is called by."""
        return "wandb"

    def check_idle(self) -> None:
        """Check that no process logs the run."""
        logged = read_logged(Run(self.folder))
        if logged and logged.active:
            raise ValueError(f"run {self.id} is being logged already")

    def write_pending(self) -> None:
        """Write that it is under way, for whoever looks now."""
        self.write_state(replace(self.read_state(), state="starting", error="").owned_by(this_process()))

    def write_unstarted(self, state: str, error: str, _reason: object = None) -> None:
        """Write that nothing came of that."""
        status = replace(self.read_state(), state="incomplete", error=error if state == "failed" else ENDED)
        self.write_state(status)

    def state_after_death(self, state: LogStatus) -> LogStatus:
        """What became of a process that died."""
        return replace(state, state="incomplete", error=ENDED)


def requested_mode(record: Mapping[str, Any]) -> str:
    """How a run with this record is to be logged: off, offline or online; records of early versions do not say."""
    return record.get("wandb") or "off"


def read_logged(run: Run) -> LogStatus | None:
    """What became of logging a run; None when nobody began to. A process that died left it incomplete.

    Raises:
        ValueError: the file is damaged.
    """
    return LogJob(run.folder).status() if (run.folder / runs.WANDB).exists() else None


def describe_status(run: Run) -> str:
    """One line for the run page and the terminal: how logging goes; "" when it was not asked for."""
    logged = read_logged(run)
    if logged is None:
        mode = requested_mode(runs.read_record(run))
        return "" if mode == "off" else f"W&B: not begun yet ({mode})"
    prefix = "" if logged.error.startswith("W&B") else "W&B: "
    retry = f"`python -m tfbind runs {run.id} --log` sends what is missing"
    reason = f" ({logged.error})" if logged.error else ""
    rows = f"{logged.rows} epoch{'' if logged.rows == 1 else 's'}"
    if logged.mode == "offline":
        outcome = f"{logged.error}; logged offline instead" if logged.asked == "online" else "logged offline"
        prefix = prefix if logged.asked == "online" else "W&B: "
        return f"{prefix}{outcome}, {rows} in {logged.folder}; `python -m tfbind runs {run.id} --log` sends it later"
    if logged.state == "incomplete":
        return f"W&B: perhaps not everything arrived{reason}; {retry}"
    if logged.state == "finished":
        return f"W&B: logged online, {rows}, {logged.url}"
    problem = f"; rows do not get through{reason}" if logged.error else ""
    return f"W&B: {logged.state}, {rows} so far{', ' + logged.url if logged.url else ''}{problem}"


def wait(run: Run, seconds: float = WAIT_SECONDS) -> None:
    """Wait until logging has ended, or for so long."""
    wait_until(seconds, lambda: (logged := read_logged(run)) is not None and not logged.active)


def start_sending(run: Run, secrets: Mapping[str, str] | None = None) -> "Popen[bytes]":
    """Start to send to the server what it lacks of a run.

    Args:
        secrets: WANDB_ variables that go before those of the environment.

    Raises:
        ValueError: the run is being logged already, or the address is not one.
        WandbError: there is no key.
    """
    variables = secrets or {}
    job = LogJob(run.folder)
    job.check_idle()
    find_key(_server(run, variables), variables.get(KEY))
    if read_logged(run):
        job.enqueue()
    return start(run, True, variables)


def send(run: Run) -> LogStatus:
    """Send to the server what it lacks of a run, and say what became of it.

    Raises:
        ValueError, WandbError: as for `start_sending`.
    """
    start_sending(run).wait()
    logged = read_logged(run)
    if logged is None:
        raise WandbError(f"run {run.id}: {ENDED}")
    return logged


def start(run: Run, online: bool = False, secrets: Mapping[str, str] | None = None) -> "Popen[bytes]":
    """Start the process that logs `run`, in a session of its own; `online` whatever the run was asked to do.

    Raises:
        ValueError: the address is not one.
        OSError: there is no further process.
    """
    overrides = secrets or {}
    url, key = _server(run, overrides), ""
    with contextlib.suppress(WandbError):  # the process itself says so, where the run keeps it
        key = find_key(url, overrides.get(KEY))
    extra = {name: value for name, value in overrides.items() if name not in (KEY, URL)}
    command = [sys.executable, "-m", "tfbind.tracking.logger", str(run.home), run.id]
    if online:
        command.append("--online")
    return LogJob(run.folder).spawn(command, extra, environment(run.home, url, key))


def _server(run: Run, variables: Mapping[str, str]) -> str:
    """The address that is given or in the environment, else that of the attempt before."""
    before = read_logged(run)
    return base_url(variables.get(URL) or os.environ.get(URL) or (before.base_url if before else None))


class _RunLog:
    """One attempt to log a run, in this process."""

    def __init__(self, run: Run, online: bool) -> None:
        self.run = run
        self.record = runs.read_record(run)
        before = read_logged(run)
        sweep_run = os.environ.get("WANDB_RUN_ID") if os.environ.get("WANDB_SWEEP_ID") else None
        self.logged: dict[str, Any] = {
            "asked": "online" if online else self.record["wandb"],
            "mode": "online" if online else self.record["wandb"],
            "state": "starting",
            "base_url": base_url(),
            "id": before.id if before else sweep_run or run.id,
            "project": os.environ.get("WANDB_PROJECT") or (before.project if before else "") or DEFAULT_PROJECT,
            "entity": os.environ.get("WANDB_ENTITY") or (before.entity if before else ""),
            "url": before.url if before else "",
            "folder": before.folder if before else "",
            "rows": 0,
            "error": "",
        }
        self.session: Any = None
        self.first = 1
        self.problem = ""
        self.end_requested = False

    def work(self) -> None:
        """Follow the run to its end, and say what became of it."""
        self._write_status()
        threading.Thread(target=self._watch, daemon=True).start()
        if self.logged["mode"] == "online":
            try:
                self._begin_online()
            except WandbError as error:
                self._write_status(mode="offline", error=str(error))
        if self.logged["mode"] == "offline":
            self._begin_offline()
        self._write_status(state="logging")
        self._follow()
        self._write_status(state="finishing")
        self._finish()

    def end(self, *_: object) -> None:
        """Finish with the rows there are; the run goes on."""
        self.end_requested = True

    def _write_status(self, **changes: Any) -> None:
        self.logged |= changes
        LOGGED_FILE.write(self.run.folder / runs.WANDB, asdict(this_process()) | self.logged)

    def _watch(self) -> None:
        """End this process when the client hangs after the run has ended: the rest can be sent again."""
        ended = 0.0
        while ended < END_SECONDS:
            time.sleep(1)
            ended = 0.0 if self.run.status().active else ended + 1
        self._write_status(state="incomplete", error=f"the client did not finish within {END_SECONDS:.0f} s")
        os.killpg(0, signal.SIGKILL)

    def _begin_online(self) -> None:
        find_key(self.logged["base_url"])
        import wandb

        try:
            destination = {"project": self.logged["project"], "entity": self.logged["entity"] or None}
            if os.environ.get("WANDB_SWEEP_ID"):  # which says so itself
                destination = {}
            self.session = wandb.init(**destination, **self._init_arguments(), mode="online", resume="allow")
        except Exception as error:  # noqa: BLE001 - the client raises what it likes
            with contextlib.suppress(Exception):
                wandb.teardown()
            raise WandbError(self._explain(error)) from None
        self.first = max(1, self.session.starting_step)
        self._write_status(
            url=self.session.url or "",
            entity=self.session.entity or "",
            project=self.session.project or "",
            rows=self.first - 1,
        )

    def _begin_offline(self) -> None:
        """A folder with all rows; the one of an attempt before, which had some of them, goes."""
        import wandb

        before = self.logged["folder"]
        self.session = wandb.init(project=self.logged["project"], **self._init_arguments(), mode="offline")
        self._write_status(folder=str(Path(self.session.dir).parent))
        self._delete_folder(before)

    def _delete_own_folders(self) -> None:
        """Delete what the client keeps of rows that it sends: the run folder has them all."""
        for folder in self._own_folders():
            shutil.rmtree(folder, ignore_errors=True)

    def _own_folders(self) -> list[Path]:
        """The client's folders of this run, the newest last."""
        pattern = re.compile(rf"run-\d+_\d+-{re.escape(self.logged['id'])}")
        return sorted(folder for folder in (self.run.home / FOLDER).iterdir() if pattern.fullmatch(folder.name))

    def _explain(self, error: Exception) -> str:
        """Why the server lacks rows, in one sentence, from what the client raised."""
        url = self.logged["base_url"]
        path = f"{self.logged['entity'] or 'your account'}/{self.logged['project']}"
        return str(explain_error(full_message(error), url, find_key(url), path))

    def _poll_server(self) -> None:
        """Ask the server, while the run goes on, for rows that were handed to it a while ago, until it has them."""
        confirmed = 0
        while self.logged["state"] == "logging":
            rows = self.logged["rows"]
            time.sleep(ASK_SECONDS)
            if rows > confirmed:
                self.problem = self._missing_rows(rows)
                confirmed = confirmed if self.problem else rows

    def _delete_folder(self, folder: str) -> None:
        """Delete a folder that the client has written for this run."""
        if folder and Path(folder).parent == self.run.home / FOLDER:
            shutil.rmtree(folder, ignore_errors=True)

    def _init_arguments(self) -> dict[str, Any]:
        labels, sweep = runs.read_labels(self.run), self.record.get("sweep")
        hidden = ("wandb", "dataset")
        config = {key: value for key, value in self.record.items() if key not in hidden}
        tags = [tag[:TAG_LENGTH] for tag in [*labels["tags"], *filter(None, [sweep])]]
        return {
            "id": self.logged["id"],
            "name": labels["name"],
            "group": sweep,
            "tags": tags,
            "notes": labels["note"] or None,
            "config": config | {"dataset": Path(self.record["dataset"]).name, "run": self.run.id},
            "dir": str(self.run.home),
        }

    def _follow(self) -> None:
        size, online = -1, self.logged["mode"] == "online"
        if online:
            threading.Thread(target=self._poll_server, daemon=True).start()
        while True:
            try:
                active = self.run.status().active
                path = self.run.folder / runs.METRICS
                current = path.stat().st_size if path.exists() else 0
                if current != size:
                    size = current
                    self._send()
                if online and self.problem != self.logged["error"]:
                    self._write_status(error=self.problem)
                if not active or self.end_requested:
                    return
                time.sleep(POLL_SECONDS)
            except KeyboardInterrupt:  # somebody pressed Stop on the server
                self.run.request_stop(runs.StopReason.ON_WANDB)

    def _send(self) -> None:
        for row in runs.read_rows(self.run)[self.first - 1 :]:
            values = {key: value for key, value in row.items() if value is not None}
            self.session.log(values, step=row["epoch"], commit=True)  # else it waits for the next row
            self.first = row["epoch"] + 1
        self._write_status(rows=self.first - 1)

    def _finish(self) -> None:
        state = self.run.state
        reason, online = "", self.logged["mode"] == "online"
        try:
            self.session.finish(exit_code=0 if state == "finished" else 1)
        except Exception as error:  # noqa: BLE001 - the client raises what it likes
            if not (online and isinstance(error, TimeoutError)):  # then the server says what has arrived
                reason = self._explain(error)
        if online and not reason:
            reason = self._missing_rows(self.logged["rows"], CONFIRM_SECONDS)
        self._delete_own_folders()
        if reason:
            self._write_status(state="incomplete", error=reason)
            return
        if online:
            self._delete_folder(self.logged["folder"])
            self._write_status(folder="", error="")
        self._write_status(state="finished")

    def _missing_rows(self, rows: int, seconds: float = 0.0) -> str:
        """What keeps so many rows from the server, "" if it has them within so many seconds.

        The client ends well even when every row was refused, so that the server is asked.
        """
        import wandb

        url = self.logged["base_url"]
        path = "/".join(self.logged[part] for part in ("entity", "project", "id"))
        deadline = time.monotonic() + seconds
        while rows:
            try:
                remote = wandb.Api(overrides={"base_url": url}, api_key=find_key(url), timeout=10).run(path)
            except Exception as error:  # noqa: BLE001 - the client raises what it likes
                return self._explain(error)
            arrived = max(remote.historyLineCount, remote.lastHistoryStep)
            if arrived >= rows:
                break
            if time.monotonic() > deadline:
                return f"W&B at {url} has {max(0, arrived)} of {rows} epochs: it refuses or has not taken them"
            time.sleep(1)
        return ""


def main(home: str, id: str, *options: str) -> None:
    """Log a run to its end. A second process for the same run waits until the first has ended."""
    run = runs.find(Path(home), id)
    with LogJob(run.folder).lock(seconds=-1):
        log = _RunLog(run, "--online" in options)
        signal.signal(signal.SIGTERM, log.end)
        try:
            log.work()
        except Exception as error:
            message = " ".join(str(error).split())[:200]
            log._write_status(state="incomplete", error=f"{type(error).__name__}: {message}")
            raise


if __name__ == "__main__":
    main(*sys.argv[1:])
