"""Train, list, stop and resume runs."""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfbind import runs
from tfbind.cli import sweep
from tfbind.cli.output import (
    add_command,
    bar,
    draw_status,
    number,
    print_error,
    print_line,
    print_remark,
    print_result,
    read_each,
)
from tfbind.cluster import Cluster
from tfbind.config import PRESETS, TrainConfig, choices, flag, home_folder, parse_config
from tfbind.data import Split, Windows, resolve_name
from tfbind.evaluation import baselines
from tfbind.runs import Run, RunRequest, few_steps, log, resolve_device
from tfbind.store import GRACE_SECONDS
from tfbind.text import figure, significant
from tfbind.tracking import logger

RAY_HELP = "train on the Ray cluster at HOST:PORT; auto: that of this machine"
EXIT_CODES = {"finished": 0, "failed": 1, "killed": 130}


def add_runs(commands: Any) -> None:
    """Add `train`, `runs`, `stop` and `resume`."""
    _add_train(commands)
    show = add_command(commands, "runs", show_runs, id="?")
    show.add_argument("--command", action="store_true", help="print the command that repeats the run")
    show.add_argument("--log", action="store_true", help="send to W&B what the server lacks of the run")
    add_command(commands, "stop", stop, id=None).add_argument(
        "--grace", type=number, default=GRACE_SECONDS, metavar="SECONDS", help="wait so long before killing it"
    )
    resume_command = add_command(commands, "resume", resume, id=None)
    resume_command.add_argument("--ray", metavar="ADDRESS", help=RAY_HELP)


def _add_train(commands: Any) -> None:
    command = add_command(commands, "train", train)
    command.add_argument("--preset", choices=PRESETS, default="seed", help="start from these settings")
    command.add_argument(
        "--from", dest="parent", metavar="ID", help="start from the settings and weights of that run"
    )
    command.add_argument("--name", default="", help="what the run is called")
    command.add_argument("--id", help="the id of the run; made up if missing")
    command.add_argument("--sweep", metavar="ID", help="the sweep that the run belongs to")
    mode = "online" if os.environ.get("WANDB_SWEEP_ID") else "off"  # else a W&B agent has started this
    command.add_argument("--wandb", choices=["off", "offline", "online"], default=mode, help="log it to W&B")
    command.add_argument("--ray", metavar="ADDRESS", help=RAY_HELP)
    for field, schema in TrainConfig.model_fields.items():
        command.add_argument(
            flag(field),
            f"--{field}",
            dest=field,
            default=argparse.SUPPRESS,
            metavar="|".join(choices(field)) or "X",
            help=f"{schema.description} Default: {schema.default}.".replace("%", "%%"),
        )


def train(options: argparse.Namespace) -> int:
    """Train one run to its end: in this process, or on a Ray cluster."""
    home = home_folder()
    id = options.id or runs.new_id()
    if options.ray:
        config, request = _config_and_request(home, options, id)
        return _train_on_cluster(options, lambda cluster: runs.submit(home, config, request, cluster=cluster))
    with Run(home / "runs" / id).stopped_on_interrupt():
        waiting = runs.find_prepared(home, id, options.arguments)
        if waiting:  # prepared by a page, which may be gone: it lacks its worker
            return _train_here(waiting, options.json)
        prepared = runs.prepare(home, *_config_and_request(home, options, id))
        run = prepared.create(options.arguments)
        return _train_here(run, options.json, prepared.dataset, prepared.split)


def _config_and_request(home: Path, options: argparse.Namespace, id: str) -> tuple[TrainConfig, RunRequest]:
    """What the flags ask for.

    Raises:
        ValueError: they cannot be used.
    """
    parent = runs.find(home, options.parent) if options.parent else None
    base = runs.read_config(parent) if parent else PRESETS[options.preset]
    settings = {field: getattr(options, field) for field in TrainConfig.model_fields if hasattr(options, field)}
    if parent and "dataset" not in settings:
        settings["dataset"] = resolve_name(home, runs.read_record(parent))
    return parse_config(settings, base), RunRequest(options.name, id, parent, options.sweep, options.wandb)


def resume(options: argparse.Namespace) -> int:
    """Go on with a stopped, crashed or failed run, or with a sweep."""
    if sweep.is_sweep(options.id):
        return sweep.resume(options)
    run = runs.find(home_folder(), options.id)
    if options.ray and options.ray != "off":
        return _train_on_cluster(options, lambda cluster: runs.resume(run, cluster=cluster))
    if run.state != "pending":  # else a page has resumed it, and may have stopped it since
        resolve_device(runs.read_config(run))
        run.check_idle()
        run.clear_stop()
    return _train_here(run, options.json)


def _train_here(run: Run, as_json: bool, data: Windows | None = None, split: Split | None = None) -> int:
    from tfbind.runs import Worker

    if not as_json:
        _announce(run)
    state = Worker(run, *_progress_callbacks(as_json), baselines.start_sidecars, data, split).work()
    return _finish(run, state, as_json)


def _train_on_cluster(options: argparse.Namespace, start: Callable[[Cluster], Run]) -> int:
    """Lead the run that `start` hands to the Ray cluster, to its end."""
    with Cluster(options.ray, *_progress_callbacks(options.json), print_remark) as cluster:
        run = start(cluster)
        if not options.json:
            _announce(run)
        cluster.lead()
    if not runs.is_run(run.home, run.id):
        raise OSError(f"{run.folder}: {runs.MOVED}")
    return _finish(run, run.state, options.json)


def _announce(run: Run) -> None:
    """What is said of a run before it trains."""
    print_line(f"run {run.id}: {runs.read_labels(run)['name']}")
    windows = runs.training_windows(run)
    if windows and (steps := few_steps(windows, runs.read_config(run))):
        print_line(f"it takes {steps}")


def _progress_callbacks(as_json: bool) -> tuple[Callable[[dict[str, Any]], None], Callable[[runs.Row], None]]:
    """What a terminal shows of progress, and of a row."""
    terminal = sys.stderr.isatty()
    show = _draw_bar if terminal else lambda _: None
    return show, (lambda _: None) if as_json else lambda row: _print_row(row, terminal)


def _finish(run: Run, state: str, as_json: bool) -> int:
    _await_log(run, as_json)
    # first: what cannot be read is all there is
    result = json.dumps(_result(run)) if as_json else _outcome(run, state)
    error = run.status().error
    if error:
        print_error(error, 1)
    print(result)
    return EXIT_CODES[state]


def _await_log(run: Run, as_json: bool) -> None:
    """The run has ended; what is logged of it is under way, and a caller may be about to end everything."""
    if logger.requested_mode(runs.read_record(run)) != "off":
        logger.wait(run)
        print(logger.describe_status(run), file=sys.stderr if as_json else sys.stdout, flush=True)


def _result(run: Run) -> dict[str, Any]:
    summary = runs.summary(run)
    keys = ("id", "state", "best_epoch", "val_loss", "val_pearsonr", "seconds")
    return {**{key: summary[key] for key in keys}, "rows": runs.read_rows(run)}


def _draw_bar(progress: dict[str, Any]) -> None:
    share = progress["batches"] / progress["batches_per_epoch"]
    parts = [f"epoch {progress['epoch']}/{progress['num_epochs']} {bar(share)}"]
    if progress["windows_per_second"]:
        parts += [f"loss {figure(progress['train_loss'])}", f"{progress['windows_per_second']:.0f} windows/s"]
        parts += [f"{progress['seconds_left']:.0f} s left"]
    draw_status("  ".join(parts))


def _print_row(row: runs.Row, terminal: bool) -> None:
    if terminal:
        draw_status("")
    print_line(
        f"epoch {row['epoch']}: train_loss {figure(row['train_loss'])}, val_loss {figure(row['val_loss'])}, "
        f"val_pearsonr {figure(row['val_pearsonr'])}, {row['seconds']:.1f} s"
    )


def _outcome(run: Run, state: str) -> str:
    best = runs.best_row(runs.read_rows(run))
    figures = f"; best epoch {best['epoch']}: val_pearsonr {figure(best['val_pearsonr'])}" if best else ""
    return f"{state}{figures}{_what_next(run, state)}"


def _what_next(run: Run, state: str) -> str:
    if state == "finished":
        return ""
    if run.status().diverged:
        return (
            f"; resume would only repeat it: `python -m tfbind runs {run.id} --command` prints the command, to be "
            "run with a lower --learning-rate"
        )
    return f"; `python -m tfbind resume {run.id}` goes on"


def show_runs(options: argparse.Namespace) -> int:
    """List the runs of this home, or show one."""
    home = home_folder()
    if not options.id:
        if options.command:
            raise ValueError("--command: name the run, as in `python -m tfbind runs ID --command`")
        summaries, code = read_each(runs.list_runs(home), runs.summary)
        lines = [_run_line(summary) for summary in summaries]
        if not (summaries or code):
            lines = [f"no runs in {home}"]
        return print_result(options.json, {"runs": summaries}, lines) or code
    run = runs.find(home, options.id)
    if options.command:
        print(_repeat(run))
        return 0
    if options.log:
        return _log(run, options.json)
    summary = runs.summary(run)
    rows = runs.read_rows(run)
    logging = logger.describe_status(run)
    try:
        repeat = _repeat(run)
    except ValueError as error:
        repeat = str(error)
    lines = [_run_line(summary), repeat]
    if summary["error"]:
        lines.append(f"error: {summary['error']}")
    if logging:
        lines.append(logging)
    if not options.json:
        for row in rows:
            lines.append(
                "  ".join(f"{key} {significant(value, 5)}" for key, value in row.items() if value is not None)
            )
        if summary["error"] and (tail := log.tail(run)):
            lines += ["the last lines of its log:", tail]
    return print_result(options.json, {**summary, "rows": rows, "wandb": logging}, lines)


def _log(run: Run, as_json: bool) -> int:
    logged = logger.send(run)
    code = 0 if (logged.mode, logged.state) == ("online", "finished") else 1
    if code and not as_json:
        return print_error(logger.describe_status(run), code)
    return print_result(as_json, {"id": run.id, **logged.public}, [logger.describe_status(run)]) or code


def _repeat(run: Run) -> str:
    record, config = runs.read_record(run), runs.read_config(run)
    try:
        parent = runs.find(run.home, record["from"]) if record["from"] else None
    except ValueError as error:
        raise ValueError(f"run {run.id} cannot be repeated: {runs.CONFIG}: from: {error}") from None
    request = RunRequest(parent=parent, wandb=logger.requested_mode(record), ray=record.get("ray", ""))
    try:
        config = config.model_copy(update={"dataset": resolve_name(run.home, record)})
    except ValueError as error:
        print_error(f"run {run.id} cannot be repeated: {error}", 0)
    words = runs.command(config, request)
    return shlex.join(["python", *words[1:]])


def _run_line(summary: dict[str, Any]) -> str:
    return (
        f"{summary['id']}  {summary['state']:9}epochs {summary['epochs']:<4} "
        f"val_pearsonr {figure(summary['val_pearsonr']):10} {summary['name']}"
    )


def stop(options: argparse.Namespace) -> int:
    """Ask a run, or a sweep with its runs, to stop and wait until it has."""
    if sweep.is_sweep(options.id):
        return sweep.stop(options)
    run = runs.find(home_folder(), options.id)
    run.stop(options.grace)
    state = run.state
    return print_result(options.json, {"id": run.id, "state": state}, [f"run {run.id}: {state}"])
