"""Pull runs from W&B, or import folders of offline ones."""

import argparse
import math
import sys
from pathlib import Path
from typing import Any

from tfbind.cli.output import add_command, draw_status, print_result
from tfbind.config import home_folder
from tfbind.runs import RunRecord
from tfbind.store import plural
from tfbind.text import figure, visible
from tfbind.tracking import base_url, cache, pull, suggest

MOST_FIGURES = 8  # of a run that are printed


def add_pull(commands: Any) -> None:
    """Add `pull`."""
    command = add_command(commands, "pull", pull_project)
    command.add_argument("path", nargs="?", metavar="ENTITY/PROJECT[/sweeps/ID]", help="a project, or a sweep of it")
    command.add_argument("--refresh", action="store_true", help="ask the server, even for runs that are kept here")
    command.add_argument(
        "--forget", action="store_true", help="move what is kept of the project to the trash instead"
    )
    command.add_argument("--offline", type=Path, metavar="FOLDER", help="import the offline runs in a folder instead")
    command.add_argument(
        "--map", action="append", default=[], metavar="THEIRS=OURS", help="a name in that project and its name here"
    )


def pull_project(options: argparse.Namespace) -> int:
    """Get the runs of a W&B project, or of one of its sweeps, and keep them here."""
    if (options.path is None) == (options.offline is None):
        raise ValueError("expected either ENTITY/PROJECT or --offline FOLDER")
    home = home_folder()
    if options.forget:
        return _forget(options, home)
    if options.offline is not None:
        pulled = pull.import_offline(home, options.offline)
    else:
        progress = _draw_progress if sys.stderr.isatty() else None
        pulled = pull.pull_runs(home, options.path, refresh=options.refresh, progress=progress, histories=True)
    if options.map:
        pairs = [entry.partition("=") for entry in options.map]
        names = {theirs.strip(): ours.strip() for theirs, _, ours in pairs}
        cache.save_names(pulled.project, {**pulled.project.names, **names})
    keys = {record.key for record in pulled.records}
    records = [record for record in cache.stored_runs(home) if record.key in keys]
    return print_result(options.json, {"runs": [_facts(record) for record in records]}, _lines(pulled, records))


def _forget(options: argparse.Namespace, home: Path) -> int:
    (name, sweep), url = pull.parse_path(options.path or ""), base_url()
    if sweep:
        raise ValueError(f"--forget: {options.path} is a sweep; expected ENTITY/PROJECT, of which all is forgotten")
    matches = (project for project in cache.projects(home) if project.path == name)
    project = next((project for project in matches if project.base_url in (url, "")), None)
    if project is None:
        raise ValueError(f"nothing of {name} at {url} is kept here")
    cache.discard_project(home, project)
    return print_result(options.json, {"forgotten": project.place}, [f"{project.place}: moved to the trash"])


def _draw_progress(done: int, total: int) -> None:
    end = "\n" if done == total else ""
    draw_status(f"{done} of {total} curves{end}")


def _facts(record: RunRecord) -> dict[str, Any]:
    rows = [{name: _plain(value) for name, value in row.items()} for row in record.rows]
    facts = {"id": record.id, "name": record.name, "state": record.state, "config": record.config, "rows": rows}
    figures = {name: _plain(value) for name, value in record.figures.items()}
    known = {"sampled": record.sampled, "last_only": record.last_only}
    return {**facts, **known, "figures": figures, "assumed": list(record.assumed)}


def _plain(value: Any) -> Any:
    """JSON has no word for a number that is none."""
    return value if not isinstance(value, float) or math.isfinite(value) else None


def _lines(pulled: pull.Pulled, records: list[RunRecord]) -> list[str]:
    project = pulled.project
    when = "asked just now" if pulled.fresh else f"kept since {pulled.when}"
    lines = [f"{project.place}: {plural(len(records), 'run')}, {when}"]
    for record in records:
        last = record.rows[-1] if record.rows else {}
        thin = "  sampled" if record.sampled else ""
        values = f"val_loss {figure(last.get('val_loss'))}  val_pearsonr {figure(last.get('val_pearsonr'))}"
        extent = "last values" if record.last_only else f"epochs {len(record.rows)}"
        lines.append(f"{record.id:12}  {record.state:9}{extent:11} {values}  {record.name}{thin}")
        lines += [f"{'':12}  {name} {figure(value)}" for name, value in sorted(record.figures.items())[:MOST_FIGURES]]
        lines += [f"{'':12}  {assumption}" for assumption in record.assumed]
    settings, metrics = cache.names_in(project)
    suggestions = suggest(name for name in [*settings, *metrics] if name not in project.names)
    lines += [f"{theirs} may be {ours}: --map {theirs}={ours}" for theirs, ours in suggestions.items()]
    return [visible(line, keep="") for line in lines]
