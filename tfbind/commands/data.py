"""Data sets: list, build, import, check."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tfbind import datasets
from tfbind.commands import Parser, add_command, answer
from tfbind.commands.data_build import add_build
from tfbind.config import home_folder


def add(commands: Any) -> None:
    """Add `data` and its actions."""
    data = commands.add_parser("data", help="Data sets: list, build, import, check.", allow_abbrev=False)
    actions = data.add_subparsers(title="actions", required=True, metavar="ACTION")
    add_command(actions, "list", list_data)
    add_build(actions)
    _add_pair(add_command(actions, "import", import_data)).add_argument("--name", required=True, help="its name here")
    _add_pair(add_command(actions, "check", check_data))


def _add_pair(command: Parser) -> Parser:
    command.add_argument("--sequences", type=Path, required=True, metavar="FILE", help="window_name and sequence")
    command.add_argument("--scores", type=Path, required=True, metavar="FILE", help="a column for each window")
    command.add_argument("--transpose", action="store_true", help="the scores have a row, not a column, per window")
    return command


def list_data(options: argparse.Namespace) -> int:
    """List the data sets on disk."""
    found = datasets.list_datasets(home_folder())
    lines = [f"{data['name']}  {data['windows']} windows of {data['length']} bases  {data['path']}" for data in found]
    return answer(options.json, {"datasets": found}, lines)


def import_data(options: argparse.Namespace) -> int:
    """Check the course's pair of files and keep it as a data set."""
    data = datasets.import_pair(
        home_folder(), options.sequences, options.scores, options.name, transpose=options.transpose
    )
    return _answer_data(options, data)


def _answer_data(options: argparse.Namespace, data: datasets.Windows) -> int:
    facts = {"name": data.name, "windows": len(data), "length": data.length, "path": str(data.path)}
    return answer(options.json, facts, [f"{data.name}: {len(data)} windows of {data.length} bases in {data.path}"])


def check_data(options: argparse.Namespace) -> int:
    """Check the course's pair of files without keeping anything."""
    report = datasets.check_pair(options.sequences, options.scores, transpose=options.transpose)
    lines = [f"{report.windows} windows of {report.length} bases, {report.scored:.1%} of the bases scored"]
    return answer(options.json, asdict(report), lines + report.notes)
