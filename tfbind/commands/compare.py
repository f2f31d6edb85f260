"""Compare runs: the verdict, a report, a table."""

import argparse
import csv
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfbind import baselines, sweep_folder
from tfbind.commands import add_command, answer
from tfbind.compare import DEFAULT_METRIC, Choice, Goal, choose, goal_of, listed, metrics, named, words_of
from tfbind.config import home_folder
from tfbind.elsewhere import known_runs
from tfbind.files import MOST_BYTES, ODD_BYTES, regular, write_bytes
from tfbind.history import Past
from tfbind.numbers import figure

if TYPE_CHECKING:
    from tfbind.report import Report

SUFFIXES = (".html", ".csv", ".md")


def add(commands: Any) -> None:
    """Add `compare`."""
    command = add_command(commands, "compare", compare)
    command.add_argument("ids", nargs="*", metavar="ID", help="the runs to compare")
    command.add_argument("--sweep", metavar="ID", help="all runs of this sweep")
    command.add_argument("--table", type=Path, metavar="RUNS.csv", help="the runs in a table that was saved here")
    command.add_argument(
        "--metric", help=f"the figure to judge by; default: that of the sweep, else {DEFAULT_METRIC}"
    )
    command.add_argument("--goal", choices=["min", "max"], help="which way is better; known for the usual metrics")
    command.add_argument(
        "--at", default="best", metavar="best|last|EPOCH", help="where in the run; best: the lowest val_loss"
    )
    command.add_argument("--out", type=Path, metavar="FILE", help="a report, ends in .html .md or .csv")


def compare(options: argparse.Namespace) -> int:
    """Say which setting is best, by how much, and whether that is beyond chance."""
    # Figures and statistics take half a second to import, which no other command should wait for.
    from tfbind.report import Report, facts, now
    from tfbind.verdict import judge
    from tfbind.verdict_text import headline, lines, next_steps

    if options.out and options.out.suffix not in SUFFIXES:
        raise ValueError(f"--out {options.out}: expected a name that ends in {' '.join(SUFFIXES)}")
    choice = _choice(options)
    pool, problems = known_runs(home_folder())
    pasts = _chosen(pool, problems, options)
    for problem in problems:
        print(f"left out: {problem}", file=sys.stderr)
    available = metrics(pasts)
    if choice.metric not in available:
        raise ValueError(f"--metric {choice.metric}: not recorded; there are: {', '.join(available) or 'none'}")
    verdict = judge(pasts, choice, pool)
    beside = baselines.beside_each(home_folder(), [past.config for past in pasts], choice.metric)
    written = {}
    if options.out:
        report = Report(pasts, verdict, _command(options, choice), now(), beside)
        _write(options.out, report)
        written = {"out": str(options.out)}
    said = [
        headline(verdict),
        f"Judged by {choice.words}.",
        *(f"- {line}" for line in lines(verdict)),
        *verdict.notes,
    ]
    said += [
        f"baseline {one.name} ({one.data}): {words_of(choice.metric)} {figure(one.mean)}, {one.about}"
        for one in beside
    ]
    if best := verdict.best:
        records = [past.config for past in best.setting.counted]
        remark = baselines.remark_beside(home_folder(), records, choice.metric, best.mean, best.setting.label)
        said += [remark] if remark else []
    for step in next_steps(verdict):
        said += [f"next: {step.text}", *(f"    {command}" for command in step.commands)]
    return answer(
        options.json,
        {**facts(verdict), "baselines": [asdict(one) for one in beside], **written},
        [*said, *written.values()],
    )


def _choice(options: argparse.Namespace) -> Choice:
    metric, goal = _judged_by(options)
    if options.at in ("best", "last"):
        return choose(metric, options.at, None, goal)
    if not options.at.isdecimal():
        raise ValueError(f"--at {options.at}: expected best, last, or an epoch")
    return choose(metric, "epoch", int(options.at), goal)


def _judged_by(options: argparse.Namespace) -> tuple[str, Goal | None]:
    """The metric and the goal as asked for, else those of the sweep."""
    if options.metric:
        return options.metric, options.goal
    found = sweep_folder.judged_by(home_folder(), options.sweep) if options.sweep else None
    metric, goal = found or (DEFAULT_METRIC, None)
    return metric, options.goal or goal


def _chosen(pool: list[Past], problems: list[str], options: argparse.Namespace) -> list[Past]:
    if not (options.ids or options.sweep or options.table):
        raise ValueError("compare: name runs, or --sweep ID, or --table; `python -m tfbind runs` lists them")
    ids = [*options.ids, *(read_keys(options.table) if options.table else [])]
    known = {past.key for past in pool}
    for id in ids:
        if id not in known:
            _check_id(id, pool, problems)
    asked = {past.key for past in named(pool, ids)}
    if options.sweep:
        asked |= _members(pool, options.sweep)
    return [past for past in reversed(pool) if past.key in asked]


def _check_id(id: str, pool: list[Past], problems: list[str]) -> None:
    """Refuse what is the id of no run, or of several."""
    found = named(pool, [id])
    if not found:
        damaged = sorted(problems, key=lambda problem: id not in problem)[:1]
        raise ValueError("; ".join([f"no run {id!r} here that can be read", *damaged]))
    if len(found) > 1:
        keys = listed([f"{past.key} ({past.server or past.source})" for past in found])
        raise ValueError(f"{len(found)} runs have the id {id!r}; name one by its key: {keys}")


def _members(pool: list[Past], sweep: str) -> set[str]:
    """The keys of the runs of a sweep."""
    members = [past for past in pool if past.group == sweep]
    servers = sorted({past.server for past in members} - {""})
    if len(servers) > 1:
        raise ValueError(f"--sweep {sweep}: {listed(servers)} each have one; name runs by their keys instead")
    if not members:
        raise ValueError(f"--sweep {sweep}: no run belongs to it")
    return {past.key for past in members}


def read_keys(path: Path) -> list[str]:
    """The keys of the runs in a table of runs.

    Raises:
        ValueError: one line: no such table.
    """
    try:
        with regular(path, MOST_BYTES).open(newline="", encoding="utf-8") as file:
            return [row["key"] for row in csv.DictReader(file)]
    except (KeyError, csv.Error, UnicodeDecodeError):
        raise ValueError(
            f"--table {path}: no CSV with a column key; expected the table that --out X.csv writes"
        ) from None


def _command(options: argparse.Namespace, choice: Choice) -> str:
    words = ["python", "-m", "tfbind", "compare", *options.ids]
    words += ["--sweep", options.sweep] if options.sweep else []
    words += ["--table", options.table.name] if options.table else []
    words += ["--metric", choice.metric, "--at", options.at]
    words += ["--goal", choice.goal] if choice.goal != goal_of(choice.metric) else []
    return shlex.join([*words, "--out", options.out.name])


def _write(path: Path, report: "Report") -> None:
    from tfbind.report import csv_table, html_report, markdown_report

    makers = {
        ".html": html_report,
        ".md": markdown_report,
        ".csv": lambda report: csv_table(report.pasts, report.choice),
    }
    write_bytes(path, makers[path.suffix](report).encode(errors=ODD_BYTES))
