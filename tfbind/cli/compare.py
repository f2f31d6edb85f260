"""`compare`, and what a figure is worth: leaks between parts of a split, baselines, filters, the sealed test."""

import argparse
import csv
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfbind import runs, sweeps
from tfbind.cli.output import Parser, add_command, print_error, print_result
from tfbind.compare import (
    DEFAULT_METRIC,
    Goal,
    RankBy,
    choose,
    goal_of,
    join_words,
    known_runs,
    metric_label,
    metrics,
    select_runs,
)
from tfbind.config import PRESETS, TrainConfig, choices, flag, home_folder, parse_config
from tfbind.evaluation import SPLIT, baselines, ensure_baselines
from tfbind.runs import RunRecord
from tfbind.store import MOST_BYTES, ODD_BYTES, require_regular_file, write_bytes
from tfbind.text import figure

if TYPE_CHECKING:
    from tfbind.compare import Report

SUFFIXES = (".html", ".csv", ".md")


def add_compare(commands: Any) -> None:
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
    from tfbind.compare import Report, facts, judge, next_steps, now, verdict_text

    if options.out and options.out.suffix not in SUFFIXES:
        raise ValueError(f"--out {options.out}: expected a name that ends in {' '.join(SUFFIXES)}")
    rank_by = _rank_by(options)
    pool, problems = known_runs(home_folder())
    records = _select(pool, problems, options)
    for problem in problems:
        print(f"left out: {problem}", file=sys.stderr)
    available = metrics(records)
    if rank_by.metric not in available:
        raise ValueError(f"--metric {rank_by.metric}: not recorded; there are: {', '.join(available) or 'none'}")
    verdict = judge(records, rank_by, pool)
    configs = [record.config for record in records]
    compared = baselines.compare_baselines_by_data(home_folder(), configs, rank_by.metric)
    output = {}
    if options.out:
        report = Report(records, verdict, _command(options, rank_by), now(), compared)
        _write(options.out, report)
        output = {"out": str(options.out)}
    lines = verdict_text(verdict)
    label = metric_label(rank_by.metric)
    lines += [
        f"baseline {baseline.name} ({baseline.data}): {label} {figure(baseline.mean)}, {baseline.about}"
        for baseline in compared
    ]
    if best := verdict.best:
        configs = [record.config for record in best.setting.counted]
        remark = baselines.remark_on_best(home_folder(), configs, rank_by.metric, best.mean, best.setting.label)
        if remark:
            lines.append(remark)
    for step in next_steps(verdict):
        lines += [f"next: {step.text}", *(f"    {command}" for command in step.commands)]
    return print_result(
        options.json,
        {**facts(verdict), "baselines": [asdict(baseline) for baseline in compared], **output},
        [*lines, *output.values()],
    )


def _rank_by(options: argparse.Namespace) -> RankBy:
    metric, goal = _metric_and_goal(options)
    if options.at in ("best", "last"):
        return choose(metric, options.at, None, goal)
    if not options.at.isdecimal():
        raise ValueError(f"--at {options.at}: expected best, last, or an epoch")
    return choose(metric, "epoch", int(options.at), goal)


def _metric_and_goal(options: argparse.Namespace) -> tuple[str, Goal | None]:
    """The metric and the goal as asked for, else those of the sweep."""
    if options.metric:
        return options.metric, options.goal
    recorded = sweeps.judged_by(home_folder(), options.sweep) if options.sweep else None
    metric, goal = recorded or (DEFAULT_METRIC, None)
    return metric, options.goal or goal


def _select(pool: list[RunRecord], problems: list[str], options: argparse.Namespace) -> list[RunRecord]:
    if not (options.ids or options.sweep or options.table):
        raise ValueError("compare: name runs, or --sweep ID, or --table; `python -m tfbind runs` lists them")
    ids = [*options.ids, *(read_keys(options.table) if options.table else [])]
    keys = {record.key for record in pool}
    for id in ids:
        if id not in keys:
            _check_id(id, pool, problems)
    selected = {record.key for record in select_runs(pool, ids)}
    if options.sweep:
        selected |= _members(pool, options.sweep)
    return [record for record in reversed(pool) if record.key in selected]


def _check_id(id: str, pool: list[RunRecord], problems: list[str]) -> None:
    """Refuse what is the id of no run, or of several."""
    matches = select_runs(pool, [id])
    if not matches:
        damaged = sorted(problems, key=lambda problem: id not in problem)[:1]
        raise ValueError("; ".join([f"no run {id!r} here that can be read", *damaged]))
    if len(matches) > 1:
        keys = join_words([f"{record.key} ({record.server or record.source})" for record in matches])
        raise ValueError(f"{len(matches)} runs have the id {id!r}; name one by its key: {keys}")


def _members(pool: list[RunRecord], sweep: str) -> set[str]:
    """The keys of the runs of a sweep."""
    members = [record for record in pool if record.group == sweep]
    servers = sorted({record.server for record in members} - {""})
    if len(servers) > 1:
        raise ValueError(f"--sweep {sweep}: {join_words(servers)} each have one; name runs by their keys instead")
    if not members:
        raise ValueError(f"--sweep {sweep}: no run belongs to it")
    return {record.key for record in members}


def read_keys(path: Path) -> list[str]:
    """The keys of the runs in a table of runs.

    Raises:
        ValueError: one line: no such table.
    """
    try:
        with require_regular_file(path, MOST_BYTES).open(newline="", encoding="utf-8") as file:
            return [row["key"] for row in csv.DictReader(file)]
    except (KeyError, csv.Error, UnicodeDecodeError):
        raise ValueError(
            f"--table {path}: no CSV with a column key; expected the table that --out X.csv writes"
        ) from None


def _command(options: argparse.Namespace, rank_by: RankBy) -> str:
    words = ["python", "-m", "tfbind", "compare", *options.ids]
    words += ["--sweep", options.sweep] if options.sweep else []
    words += ["--table", options.table.name] if options.table else []
    words += ["--metric", rank_by.metric, "--at", options.at]
    words += ["--goal", rank_by.goal] if rank_by.goal != goal_of(rank_by.metric) else []
    return shlex.join([*words, "--out", options.out.name])


def _write(path: Path, report: "Report") -> None:
    from tfbind.compare import csv_table, html_report, markdown_report

    makers = {
        ".html": html_report,
        ".md": markdown_report,
        ".csv": lambda report: csv_table(report.records, report.rank_by),
    }
    write_bytes(path, makers[path.suffix](report).encode(errors=ODD_BYTES))


def add_science(commands: Any) -> None:
    """Add `leaks`, `baselines`, `test` and `filters`."""
    _add_split(add_command(commands, "leaks", leaks))
    _add_split(add_command(commands, "baselines", find_baselines))
    add_command(commands, "test", test, id=None)
    add_command(commands, "filters", filters, id=None)


def _add_split(command: Parser) -> None:
    for field in SPLIT:
        about = TrainConfig.model_fields[field]
        words = f"{about.description} Default: {about.default}.".replace("%", "%%")
        metavar = "|".join(choices(field)) or "X"
        command.add_argument(flag(field), dest=field, default=argparse.SUPPRESS, metavar=metavar, help=words)


def _config(options: argparse.Namespace) -> TrainConfig:
    return parse_config(
        {field: getattr(options, field) for field in SPLIT if hasattr(options, field)}, PRESETS["seed"]
    )


def leaks(options: argparse.Namespace) -> int:
    """Say what the parts of a split share."""
    from tfbind.data import find_leaks, open_validated, split

    config = _config(options)
    data = open_validated(home_folder(), config.dataset)
    shared = find_leaks(data, split(data, config))
    return print_result(options.json, {**asdict(shared), "found": shared.found}, [shared.words])


def find_baselines(options: argparse.Namespace) -> int:
    """Measure far simpler models on a split, and the rule behind the labels where it is known."""
    from tfbind.data import open_validated, split

    config, home = _config(options), home_folder()
    data = open_validated(home, config.dataset)
    measured = ensure_baselines(home, data, split(data, config)).baselines
    lines = [_figures_line(asdict(base), "val") for base in measured]
    return print_result(options.json, {"baselines": [asdict(base) for base in measured]}, lines)


def _figures_line(figures: dict[str, Any], part: str) -> str:
    """A model of a table of figures, beside others."""
    columns = {
        f"{part}_loss": "loss",
        f"{part}_pearsonr": "pearsonr",
        "mean of windows": "pearsonr_window",
        "sites found": "recall",
        "calls right": "precision",
        "AUPRC": "auprc",
    }
    cells = [f"{name} {figure(figures.get(f'{part}_{key}')):10}" for name, key in columns.items()]
    return " ".join([f"{figures['name']:20}", *cells, figures["about"]])


def test(options: argparse.Namespace) -> int:
    """Open the sealed test of a finished run, once; afterwards, show what it gave."""
    from tfbind.evaluation import test_set

    run = runs.find(home_folder(), options.id)
    before = test_set.read_test_result(run)
    result = test_set.open_test(run)
    when = "opened before, on" if before else "opened now,"
    lines = [
        f"{result.windows} test windows, {when} {result.opened}",
        _figures_line({"name": "this run", "about": "the weights of its best epoch", **asdict(result)}, "test"),
        *(_figures_line(asdict(base), "test") for base in result.baselines),
    ]
    return print_result(options.json, {"id": run.id, **asdict(result)}, lines)


def filters(options: argparse.Namespace) -> int:
    """Say what the filters of a run's first layer look for, and which known motifs that resembles."""
    from tfbind.data import open_training_data
    from tfbind.evaluation import describe_filters

    run = runs.find(home_folder(), options.id)
    report = describe_filters(run, open_training_data(run.home, runs.read_record(run)))
    if report.unkept:
        print_error(f"not kept for later: {report.unkept}", 0)
    facts, lines = [], []
    for kernel in report.filters:
        near = (
            f"{kernel.match.name} {kernel.match.matrix_id}  E-value {kernel.match.e_value:.1g}"
            if kernel.match
            else "-"
        )
        word = kernel.motif.consensus if kernel.motif else "nothing in particular"
        labels_match = "" if kernel.behind is None else f"  like the labels' motif: p {kernel.behind:.1g}"
        lines.append(f"filter {kernel.number:3}  {kernel.words:8,} words  {word}  {near}{labels_match}")
        facts.append(
            {
                "number": kernel.number,
                "words": kernel.words,
                "consensus": kernel.motif.consensus if kernel.motif else None,
                "behind_labels_p": kernel.behind,
                "matches": [asdict(match) for match in kernel.matches],
            }
        )
    return print_result(options.json, {"windows": report.windows, "behind": report.behind, "filters": facts}, lines)
