"""Sweeps: many runs from one file."""

import argparse
import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tfbind import runs, sweeps
from tfbind.cli.output import Parser, add_command, print_error, print_line, print_remark, print_result, read_each
from tfbind.cluster import Cluster, protocol
from tfbind.config import PRESETS, home_folder, parse_config
from tfbind.data import dataset
from tfbind.runs import ACTIVE, RunRecord
from tfbind.store import MOST_BYTES, handle_signals, plural, raise_keyboard_interrupt, require_regular_file
from tfbind.sweeps import Controller, Spec, Sweep, describe_plan, search
from tfbind.text import figure

RAY_HELP = "train on the Ray cluster at HOST:PORT; auto: that of this machine; off: here, though it began there"
EXIT_CODES = {"finished": 0, "failed": 1, "killed": 130}


def add_sweep(commands: Any) -> None:
    """Add `sweep`."""
    command = add_command(commands, "sweep", sweep)
    command.add_argument("spec", nargs="?", type=Path, metavar="SPEC", help="a sweep file, in the format of W&B")
    command.add_argument("--dataset", help="the data set to learn from, unless the file names one")
    command.add_argument("--preset", choices=PRESETS, default="seed", help="the settings that the file leaves open")
    command.add_argument(
        "--parallel", type=int, metavar="K", help="runs at once; default: what the machine has room for"
    )
    command.add_argument("--name", default="", help="what the sweep is called")
    command.add_argument("--id", help="the id of the sweep; made up if missing")
    command.add_argument("--wandb", choices=["off", "offline", "online"], default="off", help="log its runs to W&B")
    command.add_argument("--ray", metavar="ADDRESS", help=RAY_HELP)
    _add_actions(command)


def _add_actions(command: Parser) -> None:
    action = command.add_mutually_exclusive_group()
    action.add_argument("--resume", metavar="ID", help="go on with a sweep that was stopped or died")
    action.add_argument("--retry", metavar="ID", help="try the failed runs of a sweep again")
    action.add_argument("--extend", metavar="ID", help="give a sweep the file SPEC, and run what is new in it")
    action.add_argument("--list", action="store_true", help="list the sweeps")


def sweep(options: argparse.Namespace) -> int:
    """Run a sweep file to its end in this process; its runs are processes of their own, or tasks on a Ray cluster."""
    home = home_folder()
    ray = "" if options.ray == "off" else options.ray
    if ray:
        protocol.resolve(ray)
    if options.list:
        summaries, code = read_each(sweeps.list_sweeps(home), summary)
        lines = [_line(entry) for entry in summaries]
        if not (summaries or code):
            lines = [f"no sweeps in {home}"]
        return print_result(options.json, {"sweeps": summaries}, lines) or code
    if options.parallel is not None and options.parallel < 1:
        raise ValueError(f"--parallel: {options.parallel}; expected 1 or more")
    id = options.resume or options.retry or options.extend
    if id:
        return _work(_continue(home, id, options), options.json, ray)
    text = _read(options.spec)
    base = parse_config({"dataset": options.dataset} if options.dataset else {}, PRESETS[options.preset])
    spec = sweeps.parse_spec(text, base)
    id = options.id or runs.new_id()
    with Sweep(home / "sweeps" / id).stopped_on_interrupt():
        target = _find_prepared(home, spec, options.id)
        if target is None:
            details = {"id": id, "name": options.name, "parallel": options.parallel, "wandb": options.wandb}
            target = sweeps.create(home, spec, **details, ray=ray or "")
        return _work(target, options.json, ray)


def _read(path: Path | None) -> str:
    if path is None:
        raise ValueError("SPEC: name a sweep file, as in `python -m tfbind sweep FILE.yaml`")
    try:
        return require_regular_file(path, MOST_BYTES).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a text file in UTF-8") from None


def _find_prepared(home: Path, spec: Spec, id: str | None) -> Sweep | None:
    """The sweep that a page has made for this very command, which only lacks its controller, also if the page is
    gone."""
    if not id or not sweeps.is_sweep(home, id):
        return None
    target = sweeps.find(home, id)
    base = sweeps.read_settings(target)["base"]
    fits = (sweeps.read_text(target), base) == (spec.text, spec.defaults.model_dump())
    return target if fits and target.read_state().state == "pending" else None


def _continue(home: Path, id: str, options: argparse.Namespace) -> Sweep:
    target = sweeps.find(home, id)
    if options.extend:
        sweeps.extend(target, _read(options.spec))
    elif options.spec:
        raise ValueError(f"{options.spec}: a sweep that is there has its own file; --extend {id} gives it another")
    _clear_stop(target)
    if options.retry:
        sweeps.mark_failed(target)
    return target


def _clear_stop(target: Sweep) -> None:
    """Forget that a sweep was stopped; not of one that a page has resumed, and may have stopped since."""
    if target.state != "pending":
        target.check_idle()
        target.clear_stop()


def is_sweep(id: str) -> bool:
    """Whether this is the id of a sweep, and of no run."""
    home = home_folder()
    return sweeps.is_sweep(home, id) and not runs.is_run(home, id)


def resume(options: argparse.Namespace) -> int:
    """Go on with a stopped or crashed sweep in this process."""
    target = sweeps.find(home_folder(), options.id)
    _clear_stop(target)
    return _work(target, options.json, "" if options.ray == "off" else options.ray)


def stop(options: argparse.Namespace) -> int:
    """Stop a sweep and its runs, and wait until they have."""
    target = sweeps.find(home_folder(), options.id)
    sweeps.stop(target, grace=options.grace)
    state = target.state
    return print_result(options.json, {"id": target.id, "state": state}, [f"sweep {target.id}: {state}"])


def _work(target: Sweep, as_json: bool, ray: str | None = None) -> int:
    """Lead a sweep: on the cluster at `ray`, on this machine if that is "", where it began if None."""
    states: dict[str, str] = {}
    if not as_json:
        print_line(f"sweep {target.id}: {sweeps.read_settings(target)['name']}")
        spec = sweeps.read_spec(target)
        for note in spec.notes:
            print_remark(note)
        for line in describe_plan(spec, dataset.dataset_sizes(target.home)):
            print_line(line)

    def print_ended(spec: Spec, records: Sequence[RunRecord]) -> None:
        for run in records:
            if run.state not in ACTIVE and states.get(run.id) != run.state:
                states[run.id] = run.state
                metric = figure(search.metric_value(spec, run))
                print_line(f"{run.id}  {run.state:9}{spec.metric} {metric:10} {run.name}")

    address = sweeps.read_settings(target).get("ray", "") if ray is None else ray
    with _cluster(target, address) as cluster:
        state = Controller(target, (lambda _, __: None) if as_json else print_ended, cluster).work()
    result = _outcome(target, state, as_json)  # first: what cannot be read is all there is to say
    error = target.status().error
    if error:
        print_error(error, EXIT_CODES[state])
    print(result)
    return EXIT_CODES[state]


def _outcome(target: Sweep, state: str, as_json: bool) -> str:
    facts = summary(target)
    if as_json:
        summaries = [runs.summary(run) for run in sweeps.sweep_runs(target)]
        return json.dumps(facts | {"runs": summaries}, default=str)
    hint = "" if state == "finished" else f"; `python -m tfbind sweep --resume {target.id}` goes on"
    return _line(facts) + hint


@contextlib.contextmanager
def _cluster(target: Sweep, address: str) -> Iterator[Cluster | None]:
    """The cluster that trains a sweep, if one does; that it cannot be reached, or a signal while it is joined, is how
    the sweep has ended."""
    if not address:
        yield None
        return
    try:
        with handle_signals(raise_keyboard_interrupt):
            cluster = Cluster(address, on_waiting=print_remark)
    except KeyboardInterrupt:
        target.set_state("killed", ended=time.time(), error=None)
        raise
    except (OSError, ValueError) as error:
        message = f"{error}; `python -m tfbind sweep --resume {target.id} --ray ADDRESS` goes on there, off: here"
        target.set_state("failed", ended=time.time(), error=message)
        raise type(error)(message) from None
    with cluster:
        yield cluster


def summary(target: Sweep) -> dict[str, Any]:
    """What a list shows of a sweep."""
    records = sweeps.run_records(target)
    spec = sweeps.read_spec(target)
    best, other = search.best_run(spec, records), search.disagreement(spec, records)
    return {
        "id": target.id,
        "name": sweeps.read_settings(target)["name"],
        "state": target.state,
        "best": best.id if best else None,
        "best_state": best.state if best else None,
        spec.metric: search.metric_value(spec, best) if best else None,
        "metric": spec.metric,
        "disagrees": {"metric": other[0], "best": other[1].id} if other else None,
        "runs": [run.id for run in records],
    }


def _line(facts: dict[str, Any]) -> str:
    ended = "" if facts["best_state"] in ("finished", *ACTIVE) else f" ({facts['best_state']})"
    best = f"best run {facts['best']}{ended} by {facts['metric']}" if facts["best"] else "no result yet"
    if other := facts["disagrees"]:
        best += f", but {other['best']} by {other['metric']}"
    return f"{facts['id']}  {facts['state']:9}{plural(len(facts['runs']), 'run')}, {best}  {facts['name']}"
