"""Data sets: list, build, import, fetch, check, motif, compare, rename, export, delete; and the disk they take."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tfbind import runs
from tfbind.cli.output import Parser, add_command, add_progress, number, print_remark, print_result, progress_printer
from tfbind.config import home_folder
from tfbind.data import Windows, build, dataset, manage, pairs
from tfbind.motifs import discovery, get_motif, nearest_motifs
from tfbind.runs import disk
from tfbind.store import handle_signals, raise_keyboard_interrupt
from tfbind.text import figure

OF_MOTIF = ("motif_name", "threshold", "p_value", "chromosome", "every_window")
OF_SIGNAL = ("signal", "regions", "random", "log1p", "refuse_missing", "seed")


def add_build(actions: Any) -> Parser:
    """Add `build` to the actions of `data`."""
    command = add_command(actions, "build", build_data)
    command.description = (
        "Make a data set: `builtin`, or one from a genome (FASTA, plain or gzip) and either a motif, or a measured "
        "signal (bigWig) in regions (BED, narrowPeak)."
    )
    command.add_argument("name", metavar="NAME", help="its name; `builtin` needs nothing else")
    command.add_argument("--genome", type=Path, metavar="FILE", help="FASTA, plain or gzip")
    add_progress(command)
    command.add_argument("--length", type=int, default=build.WINDOW_LENGTH, metavar="BASES", help="bases per window")
    _add_scan(command.add_argument_group("from a motif", build.RULE))
    _add_signal(command.add_argument_group("from a signal", build.SIGNAL_RULE))
    return command


def _add_scan(group: Any) -> None:
    group.add_argument("--motif", metavar="FILE|ID", help="a HOMER, MEME or JASPAR file, or a JASPAR id or name")
    group.add_argument("--motif-name", metavar="NAME", help="which motif of a file that holds several")
    group.add_argument("--threshold", type=number, metavar="SCORE", help="the lowest score of a hit, in nats")
    group.add_argument(
        "--p-value",
        type=number,
        metavar="P",
        help="or the chance that a random place on one strand is a hit; default, unless the motif file has a "
        f"threshold: {build.P_VALUE:g}, less by powers of ten until the lowest score of a hit is above 0, more for "
        "a motif too short for it",
    )
    group.add_argument("--chromosome", action="append", default=[], metavar="NAME", help="only this one; repeatable")
    group.add_argument("--every-window", action="store_true", help="keep windows without a hit too")


def _add_signal(group: Any) -> None:
    group.add_argument("--signal", type=Path, metavar="FILE", help="bigWig")
    group.add_argument("--regions", type=Path, metavar="FILE", help="BED or narrowPeak")
    group.add_argument("--random", type=int, metavar="N", help="so many windows elsewhere too")
    group.add_argument("--log1p", action="store_true", help="score = log(1 + signal) instead of the signal")
    group.add_argument("--refuse-missing", action="store_true", help="a base without a value is an error, not 0")
    group.add_argument("--seed", type=int, help="of the random windows")


def build_data(options: argparse.Namespace) -> int:
    """Make a data set: the built-in one, or one from a genome."""
    data = _make_data(options)
    return _print_data(options, data, [*data.meta["notes"], *build.remarks(data.meta["origin"])])


def _make_data(options: argparse.Namespace) -> Windows:
    if options.name == dataset.BUILTIN and not (options.genome or options.motif or options.signal):
        return dataset.make_builtin(home_folder())
    if options.genome is None or (options.motif is None) == (options.signal is None):
        raise ValueError(
            "expected `builtin`, or --genome FILE with --motif FILE|ID, or --genome FILE with --signal and --regions"
        )
    _refuse(options, OF_SIGNAL if options.motif else OF_MOTIF)
    progress = progress_printer(options)
    return _from_motif(options, progress) if options.motif else _from_signal(options, progress)


def _refuse(options: argparse.Namespace, others: tuple[str, ...]) -> None:
    """Options that belong to the other way of building are a mistake."""
    for name in others:
        if getattr(options, name):
            way = "a signal" if options.signal else "a motif"
            raise ValueError(f"--{name.replace('_', '-')}: not used when a data set is built from {way}")


def _from_motif(options: argparse.Namespace, progress: Callable[[float], None]) -> Windows:
    motif = get_motif(options.motif, options.motif_name)
    rule = build.ScanRule(
        options.threshold, options.p_value, options.length, tuple(options.chromosome), options.every_window
    )
    return build.build_scan(home_folder(), options.name, options.genome, motif, rule, progress)


def _from_signal(options: argparse.Namespace, progress: Callable[[float], None]) -> Windows:
    if options.regions is None:
        raise ValueError("--signal needs --regions FILE: a BED or narrowPeak file that says where to cut windows")
    rule = build.SignalRule(
        length=options.length,
        random=options.random or 0,
        transform="log1p" if options.log1p else "raw",
        missing="refuse" if options.refuse_missing else "zero",
        seed=build.SEED if options.seed is None else options.seed,
    )
    sources = build.SignalSources(options.genome, options.signal, options.regions)
    return build.build_signal(home_folder(), options.name, sources, rule, progress)


def add_data(commands: Any) -> None:
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
    command.add_argument("source", choices=list(manage.SOURCES), help="which")
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
    datasets = dataset.list_datasets(home)
    lines = [f"{row['name']}  {row['windows']} windows of {row['length']} bases  {row['path']}" for row in datasets]
    if not datasets:
        lines = [f"no data sets in {home}; `{dataset.BUILTIN}` is made when needed"]
    return print_result(options.json, {"datasets": datasets}, lines)


def import_data(options: argparse.Namespace) -> int:
    """Check the course's pair of files and keep it as a data set."""
    data = dataset.import_pair(
        home_folder(), options.sequences, options.scores, options.name, transpose=options.transpose
    )
    return _print_data(options, data, data.meta["notes"])


def _print_data(options: argparse.Namespace, data: dataset.Windows, notes: Sequence[str] = ()) -> int:
    facts = {"name": data.name, "windows": len(data), "length": data.length, "path": str(data.path)}
    line = f"{data.name}: {len(data)} windows of {data.length} bases in {data.path}"
    return print_result(options.json, facts | {"notes": list(notes)}, [line, *notes])


def fetch_data(options: argparse.Namespace) -> int:
    """Download a public pair of files and keep it as a data set."""
    with handle_signals(raise_keyboard_interrupt):  # SIGTERM too leaves no half of a file
        data = manage.fetch(
            home_folder(), options.source, options.name, options.address, tell=progress_printer(options)
        )
    return _print_data(options, data, data.meta["notes"])


def rename_data(options: argparse.Namespace) -> int:
    """Give a data set another name."""
    return _print_data(options, manage.rename(home_folder(), options.name, options.to, runs.active_on))


def export_data(options: argparse.Namespace) -> int:
    """Write a data set as the course's pair of files."""
    manage.check_folder(options.to)  # before data are made or imported
    paths = [str(path) for path in manage.export(dataset.open_validated(home_folder(), options.name), options.to)]
    return print_result(options.json, {"files": paths}, paths)


def compare_data(options: argparse.Namespace) -> int:
    """Say how far two data sets have the same scores in the windows of one name."""
    first, second = (dataset.open_validated(home_folder(), name) for name in (options.name, options.other))
    report = manage.compare(first, second, options.first)
    positions = f"positions 0-{options.first - 1}" if options.first else "all positions"
    only = f"{report.only_first:,} only in {first.name}, {report.only_second:,} only in {second.name}"
    lines = [f"{report.shared:,} windows in both, {only}"]
    if report.exact is not None:
        lines.append(f"R {figure(report.r)} over all bases; {report.exact:.1%} of the windows exact on {positions}")
    return print_result(options.json, asdict(report), lines)


def delete_data(options: argparse.Namespace) -> int:
    """Move a data set to the trash."""
    path = manage.delete(home_folder(), options.name, runs.active_on)
    return print_result(options.json, {"path": str(path)}, [f"{options.name} lies in {path}"])


def find_motif(options: argparse.Namespace) -> int:
    """Say which motif is behind the scores, or how far a given one explains them."""
    data = dataset.open_validated(home_folder(), options.name)
    if options.motif is None:
        return _print_discovered(options, discovery.discover_motif(data))
    motif = get_motif(options.motif, options.motif_name)
    for note in motif.notes:
        print_remark(note)
    threshold = options.threshold if options.threshold is not None else motif.threshold
    if threshold is None:
        raise ValueError("--threshold: this motif has none of its own; expected the score of its lowest hit, in nats")
    match = discovery.agreement(data, motif.motif, threshold)
    line = f"R {match.r:.4f} over all bases; {match.exact:.1%} of the windows exact, but for what overhangs the edge"
    return print_result(options.json, {**asdict(match), "threshold": threshold}, [line])


def _print_discovered(options: argparse.Namespace, discovered: discovery.DiscoveredMotif | None) -> int:
    if discovered is None:
        return print_result(options.json, {"motif": None}, [f"{options.name}: no motif was found behind the scores"])
    (matches,) = nearest_motifs([discovered.motif])
    facts = {
        "how": discovered.how,
        "consensus": discovered.motif.consensus,
        "matrix": discovered.motif.probabilities.round(4).tolist(),
        "threshold": discovered.threshold,
        "base": discovered.base,
        "scale": discovered.scale,
        "explained": discovered.explained,
        "agreement": asdict(discovered.agreement) if discovered.agreement else None,
        "nearest": [asdict(match) for match in matches],
    }
    share = f"{discovered.explained:.1%} of the variance of the scores"
    lines = [f"{discovered.motif.consensus}, {discovered.how}: explains {share}"]
    lines += [f"  nearest: {match.name} {match.matrix_id}  E-value {match.e_value:.1g}" for match in matches]
    return print_result(options.json, facts, lines)


def check_data(options: argparse.Namespace) -> int:
    """Check the course's pair of files without keeping anything."""
    report = pairs.check_pair(options.sequences, options.scores, transpose=options.transpose)
    lines = [f"{report.windows} windows of {report.length} bases, {report.scored:.1%} of the bases scored"]
    return print_result(options.json, asdict(report), lines + report.notes)


def add_disk(commands: Any) -> None:
    """Add `disk`."""
    command = add_command(commands, "disk", disk_use)
    command.add_argument(
        "--empty-trash",
        action="store_true",
        help="delete for good what was thrown away, and what killed processes left half written",
    )
    command.add_argument(
        "--drop-checkpoints",
        action="store_true",
        help="delete the checkpoints of finished runs; it says what is lost",
    )
    command.add_argument("--restore", metavar="NAME", help="move this back from the trash to where it was")
    command.add_argument(
        "--drop-pasted",
        action="store_true",
        help="delete the DNA that was pasted into pages or opened there, and kept for a refresh",
    )


def disk_use(options: argparse.Namespace) -> int:
    """Show what the home takes on the disk, and its trash; make room, or restore."""
    home = home_folder()
    if options.restore is not None and options.empty_trash:
        raise ValueError("--restore, --empty-trash: expected one of the two")
    restored = disk.restore(home, options.restore) if options.restore is not None else None
    freed = disk.empty_trash(home) if options.empty_trash else 0
    freed += disk.drop_checkpoints(home) if options.drop_checkpoints else 0
    freed += disk.drop_pasted(home) if options.drop_pasted else 0
    usage = disk.usage(home)
    lines = [f"{size / 1e6:10,.1f} MB  {kind}" for kind, size in usage.kinds.items()]
    lines.append(f"{usage.total / 1e6:10,.1f} MB  in {home}")
    if usage.checkpoints:
        spent = f"{usage.checkpoints / 1e6:10,.1f} MB"
        lines.append(f"{spent}  of that, checkpoints of finished runs: --drop-checkpoints")
    if freed:
        lines.append(f"{freed / 1e6:10,.1f} MB  freed")
    if options.drop_checkpoints:
        lines.append(disk.DROPPING)
    trash = disk.list_trash(home)
    if trash:
        lines.append("in the trash, to be named to --restore:")
        lines += [f"  {item.name}  {item.words}" for item in trash]
    if restored:
        lines.append(f"restored: {restored.words}")
    facts = {
        "kinds": usage.kinds,
        "total": usage.total,
        "spent_checkpoints": usage.checkpoints,
        "freed": freed,
        "trash": [item.name for item in trash],
    }
    return print_result(options.json, facts, lines)
