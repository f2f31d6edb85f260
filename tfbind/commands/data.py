"""Data sets: list, build, import, fetch, check, the motif behind them; compare, rename, export, delete."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tfbind import data_care, datasets, fetch, pairs, recover, runs
from tfbind.commands import Parser, add_command, add_progress, answer, how_far, number
from tfbind.commands.data_build import add_build
from tfbind.config import home_folder
from tfbind.motif_files import get_motif
from tfbind.motif_match import nearest
from tfbind.numbers import figure
from tfbind.signals import heard, interrupt


def add(commands: Any) -> None:
    """Add `data` and its actions."""
    data = commands.add_parser(
        "data", help="Data sets: list, build, import, fetch, check, and more.", allow_abbrev=False
    )
    actions = data.add_subparsers(title="actions", required=True, metavar="ACTION")
    add_command(actions, "list", list_data)
    add_build(actions)
    _add_pair(add_command(actions, "import", import_data)).add_argument("--name", required=True, help="its name here")
    _add_pair(add_command(actions, "check", check_data))
    _add_fetch(add_command(actions, "fetch", fetch_data))
    _add_motif(add_command(actions, "motif", find_motif))
    compare = _add_name(add_command(actions, "compare", compare_data))
    compare.add_argument("other", metavar="OTHER", help="another data set")
    compare.add_argument("--first", type=int, metavar="BASES", help="judge windows on so many bases from their start")
    rename = _add_name(add_command(actions, "rename", rename_data))
    rename.add_argument("to", metavar="NEW", help="its new name")
    export = _add_name(add_command(actions, "export", export_data))
    export.add_argument("--to", type=Path, default=Path(), metavar="FOLDER", help="where; default: here")
    _add_name(add_command(actions, "delete", delete_data))


def _add_name(command: Parser) -> Parser:
    command.add_argument("name", metavar="NAME", help="a data set")
    return command


def _add_fetch(command: Parser) -> None:
    command.add_argument("source", choices=list(fetch.SOURCES), help="which")
    command.add_argument("--name", help="its name here; default: that of the source")
    command.add_argument("--from", dest="address", metavar="URL", help="a mirror; the checksums stay the same")
    add_progress(command)


def _add_motif(command: Parser) -> None:
    _add_name(command)
    command.add_argument("--motif", metavar="FILE|ID", help="how far this motif explains the scores")
    command.add_argument("--motif-name", metavar="NAME", help="which motif of a file that holds several")
    command.add_argument("--threshold", type=number, metavar="SCORE", help="its lowest hit, unless the file says")


def _add_pair(command: Parser) -> Parser:
    command.add_argument("--sequences", type=Path, required=True, metavar="FILE", help="window_name and sequence")
    command.add_argument("--scores", type=Path, required=True, metavar="FILE", help="a column for each window")
    command.add_argument("--transpose", action="store_true", help="the scores have a row, not a column, per window")
    return command


def list_data(options: argparse.Namespace) -> int:
    """List the data sets on disk."""
    home = home_folder()
    found = datasets.list_datasets(home)
    lines = [f"{data['name']}  {data['windows']} windows of {data['length']} bases  {data['path']}" for data in found]
    none = f"no data sets in {home}; `{datasets.BUILTIN}` is made when needed"
    return answer(options.json, {"datasets": found}, lines or [none])


def import_data(options: argparse.Namespace) -> int:
    """Check the course's pair of files and keep it as a data set."""
    data = datasets.import_pair(
        home_folder(), options.sequences, options.scores, options.name, transpose=options.transpose
    )
    return _answer_data(options, data, data.meta["notes"])


def _answer_data(options: argparse.Namespace, data: datasets.Windows, notes: Sequence[str] = ()) -> int:
    facts = {"name": data.name, "windows": len(data), "length": data.length, "path": str(data.path)}
    line = f"{data.name}: {len(data)} windows of {data.length} bases in {data.path}"
    return answer(options.json, facts | {"notes": list(notes)}, [line, *notes])


def fetch_data(options: argparse.Namespace) -> int:
    """Download a public pair of files and keep it as a data set."""
    with heard(interrupt):  # SIGTERM too leaves no half of a file
        data = fetch.fetch(home_folder(), options.source, options.name, options.address, tell=how_far(options))
    return _answer_data(options, data, data.meta["notes"])


def rename_data(options: argparse.Namespace) -> int:
    """Give a data set another name."""
    return _answer_data(options, data_care.rename(home_folder(), options.name, options.to, runs.active_on))


def export_data(options: argparse.Namespace) -> int:
    """Write a data set as the course's pair of files."""
    paths = [str(path) for path in data_care.export(datasets.open_checked(home_folder(), options.name), options.to)]
    return answer(options.json, {"files": paths}, paths)


def compare_data(options: argparse.Namespace) -> int:
    """Say how far two data sets have the same scores in the windows of one name."""
    first, second = (datasets.open_checked(home_folder(), name) for name in (options.name, options.other))
    found = data_care.compare(first, second, options.first)
    judged = f"positions 0-{options.first - 1}" if options.first else "all positions"
    lines = [
        f"{found.shared:,} windows in both, {found.only_first:,} only in {first.name}, {found.only_second:,} only in "
        f"{second.name}"
    ]
    if found.exact is not None:
        lines.append(f"R {figure(found.r)} over all bases; {found.exact:.1%} of the windows exact on {judged}")
    return answer(options.json, asdict(found), lines)


def delete_data(options: argparse.Namespace) -> int:
    """Move a data set to the trash."""
    path = data_care.delete(home_folder(), options.name, runs.active_on)
    return answer(options.json, {"path": str(path)}, [f"{options.name} lies in {path}"])


def find_motif(options: argparse.Namespace) -> int:
    """Say which motif is behind the scores, or how far a given one explains them."""
    data = datasets.open_checked(home_folder(), options.name)
    if options.motif is None:
        return _answer_behind(options, recover.motif_behind(data))
    given = get_motif(options.motif, options.motif_name)
    threshold = options.threshold if options.threshold is not None else given.threshold
    if threshold is None:
        raise ValueError("--threshold: this motif has none of its own; expected the score of its lowest hit, in nats")
    found = recover.agreement(data, given.motif, threshold)
    words = f"R {found.r:.4f} over all bases; {found.exact:.1%} of the windows exact, but for what overhangs the edge"
    return answer(options.json, {**asdict(found), "threshold": threshold}, [words])


def _answer_behind(options: argparse.Namespace, behind: recover.Behind | None) -> int:
    if behind is None:
        return answer(options.json, {"motif": None}, [f"{options.name}: no motif was found behind the scores"])
    (matches,) = nearest([behind.motif])
    facts = {
        "how": behind.how,
        "consensus": behind.motif.consensus,
        "matrix": behind.motif.probabilities.round(4).tolist(),
        "threshold": behind.threshold,
        "base": behind.base,
        "scale": behind.scale,
        "explained": behind.explained,
        "agreement": asdict(behind.agreement) if behind.agreement else None,
        "nearest": [asdict(match) for match in matches],
    }
    lines = [f"{behind.motif.consensus}, {behind.how}: explains {behind.explained:.1%} of the variance of the scores"]
    lines += [f"  nearest: {match.name} {match.matrix_id}  E-value {match.e_value:.1g}" for match in matches]
    return answer(options.json, facts, lines)


def check_data(options: argparse.Namespace) -> int:
    """Check the course's pair of files without keeping anything."""
    report = pairs.check_pair(options.sequences, options.scores, transpose=options.transpose)
    lines = [f"{report.windows} windows of {report.length} bases, {report.scored:.1%} of the bases scored"]
    return answer(options.json, asdict(report), lines + report.notes)
