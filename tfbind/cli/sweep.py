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
        found, code = read_each(sweeps.list_sweeps(home), summary)
        lines = [_line(each) for each in found] or [f"no sweeps in {home}"] * (not code)
        return print_result(options.json, {"sweeps": found}, lines) or code
    if options.parallel is not None and options.parallel < 1:
        raise ValueError(f"--parallel: {options.parallel}; expected 1 or more")
    id = options.resume or options.retry or options.extend
    if id:
        return _work(_again(home, id, options), options.json, ray)
    text = _read(options.spec)
    base = parse_config({"dataset": options.dataset} if options.dataset else {}, PRESETS[options.preset])
    spec = sweeps.parse_spec(text, base)
    id = options.id or runs.new_id()
    with runs.stopped_on_interrupt(Sweep(home / "sweeps" / id)):
        chosen = _adopt(home, spec, options.id)
        if chosen is None:
            details = {"id": id, "name": options.name, "parallel": options.parallel, "wandb": options.wandb}
            chosen = sweeps.create(home, spec, **details, ray=ray or "")
        return _work(chosen, options.json, ray)


def _read(path: Path | None) -> str:
    if path is None:
        raise ValueError("SPEC: name a sweep file, as in `python -m tfbind sweep FILE.yaml`")
    try:
        return require_regular_file(path, MOST_BYTES).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a text file in UTF-8") from None


def _adopt(home: Path, spec: Spec, id: str | None) -> Sweep | None:
    """The sweep that a page has made for this very command, which only lacks its controller, also if the page is
    gone."""
    if not id or not sweeps.is_sweep(home, id):
        return None
    found = sweeps.find(home, id)
    base = sweeps.read_settings(found)["base"]
    fits = (sweeps.read_text(found), base) == (spec.text, spec.defaults.model_dump())
    return found if fits and runs.read_state(found).state == "pending" else None


def _again(home: Path, id: str, options: argparse.Namespace) -> Sweep:
    found = sweeps.find(home, id)
    if options.extend:
        sweeps.extend(found, _read(options.spec))
    elif options.spec:
        raise ValueError(f"{options.spec}: a sweep that is there has its own file; --extend {id} gives it another")
    _let_go_on(found)
    if options.retry:
        sweeps.mark_failed(found)
    return found


def _let_go_on(found: Sweep) -> None:
    """Forget that a sweep was stopped; not of one that a page has resumed, and may have stopped since."""
    if runs.read_status(found).state != "pending":
        sweeps.check_resumable(found)
        runs.clear_stop(found)


def is_sweep(id: str) -> bool:
    """Whether this is the id of a sweep, and of no run."""
    home = home_folder()
    return sweeps.is_sweep(home, id) and not runs.is_run(home, id)


def resume(options: argparse.Namespace) -> int:
    """Go on with a stopped or crashed sweep in this process."""
    found = sweeps.find(home_folder(), options.id)
    _let_go_on(found)
    return _work(found, options.json, "" if options.ray == "off" else options.ray)


def stop(options: argparse.Namespace) -> int:
    """Stop a sweep and its runs, and wait until they have."""
    found = sweeps.find(home_folder(), options.id)
    sweeps.stop(found, grace=options.grace)
    state = runs.read_status(found).state
    return print_result(options.json, {"id": found.id, "state": state}, [f"sweep {found.id}: {state}"])


def _work(found: Sweep, as_json: bool, ray: str | None = None) -> int:
    """Lead a sweep: on the cluster at `ray`, on this machine if that is "", where it began if None."""
    said: dict[str, str] = {}
    if not as_json:
        print_line(f"sweep {found.id}: {sweeps.read_settings(found)['name']}")
        spec = sweeps.read_spec(found)
        for note in spec.notes:
            print_remark(note)
        for line in describe_plan(spec, dataset.dataset_sizes(found.home)):
            print_line(line)

    def tell(spec: Spec, record: Sequence[RunRecord]) -> None:
        for run in record:
            if run.state not in ACTIVE and said.get(run.id) != run.state:
                said[run.id] = run.state
                metric = figure(search.metric_value(spec, run))
                print_line(f"{run.id}  {run.state:9}{spec.metric} {metric:10} {run.name}")

    address = sweeps.read_settings(found).get("ray", "") if ray is None else ray
    with _cluster(found, address) as cluster:
        state = Controller(found, (lambda _, __: None) if as_json else tell, cluster).work()
    told = _outcome(found, state, as_json)  # first: what cannot be read is all there is to say
    error = runs.read_status(found).error
    if error:
        print_error(error, EXIT_CODES[state])
    print(told)
    return EXIT_CODES[state]


def _outcome(found: Sweep, state: str, as_json: bool) -> str:
    facts = summary(found)
    if as_json:
        each = [runs.summary(run) for run in sweeps.sweep_runs(found)]
        return json.dumps(facts | {"runs": each}, default=str)
    again = "" if state == "finished" else f"; `python -m tfbind sweep --resume {found.id}` goes on"
    return _line(facts) + again


@contextlib.contextmanager
def _cluster(found: Sweep, address: str) -> Iterator[Cluster | None]:
    """The cluster that trains a sweep, if one does; that it cannot be reached, or a signal while it is joined, is how
    the sweep has ended."""
    if not address:
        yield None
        return
    try:
        with handle_signals(raise_keyboard_interrupt):
            cluster = Cluster(address, on_waiting=print_remark)
    except KeyboardInterrupt:
        runs.set_state(found, "killed", ended=time.time(), error=None)
        raise
    except (OSError, ValueError) as error:
        said = f"{error}; `python -m tfbind sweep --resume {found.id} --ray ADDRESS` goes on there, off: here"
        runs.set_state(found, "failed", ended=time.time(), error=said)
        raise type(error)(said) from None
    with cluster:
        yield cluster


def summary(found: Sweep) -> dict[str, Any]:
    """What a list shows of a sweep."""
    record = sweeps.run_records(found)
    spec = sweeps.read_spec(found)
    best, other = search.best_run(spec, record), search.disagreement(spec, record)
    return {
        "id": found.id,
        "name": sweeps.read_settings(found)["name"],
        "state": runs.read_status(found).state,
        "best": best.id if best else None,
        "best_state": best.state if best else None,
        spec.metric: search.metric_value(spec, best) if best else None,
        "metric": spec.metric,
        "disagrees": {"metric": other[0], "best": other[1].id} if other else None,
        "runs": [run.id for run in record],
    }


def _line(facts: dict[str, Any]) -> str:
    ended = "" if facts["best_state"] in ("finished", *ACTIVE) else f" ({facts['best_state']})"
    best = f"best run {facts['best']}{ended} by {facts['metric']}" if facts["best"] else "no result yet"
    if other := facts["disagrees"]:
        best += f", but {other['best']} by {other['metric']}"
    return f"{facts['id']}  {facts['state']:9}{plural(len(facts['runs']), 'run')}, {best}  {facts['name']}"
