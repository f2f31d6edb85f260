"""`data build`: a data set from a genome and a motif, or from a genome, a signal and regions."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfbind import build, build_signal, datasets
from tfbind.commands import Parser, add_command, add_progress, answer, how_far, number
from tfbind.config import home_folder
from tfbind.datasets import Windows
from tfbind.motif_files import get_motif

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
    command.add_argument("--length", type=int, default=build.LENGTH, metavar="BASES", help="bases per window")
    _add_motif(command.add_argument_group("from a motif", build.RULE))
    _add_signal(command.add_argument_group("from a signal", (build_signal.__doc__ or "").partition("\n\n")[2]))
    return command


def _add_motif(group: Any) -> None:
    group.add_argument("--motif", metavar="FILE|ID", help="a HOMER, MEME or JASPAR file, or a JASPAR id or name")
    group.add_argument("--motif-name", metavar="NAME", help="which motif of a file that holds several")
    group.add_argument("--threshold", type=number, metavar="SCORE", help="the lowest score of a hit, in nats")
    group.add_argument(
        "--p-value", type=number, metavar="P", help="or the chance that a random place on one strand is a hit"
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
    data = _built(options)
    facts = {"name": data.name, "windows": len(data), "length": data.length, "path": str(data.path)}
    notes = [*data.meta["notes"], *build.remarks(data.meta["origin"])]
    line = f"{data.name}: {len(data)} windows of {data.length} bases in {data.path}"
    return answer(options.json, facts | {"notes": notes}, [line, *notes])


def _built(options: argparse.Namespace) -> Windows:
    if options.name == datasets.BUILTIN and not (options.genome or options.motif or options.signal):
        return datasets.make_builtin(home_folder())
    if options.genome is None or (options.motif is None) == (options.signal is None):
        raise ValueError(
            "expected `builtin`, or --genome FILE with --motif FILE|ID, or --genome FILE with --signal and --regions"
        )
    _refuse(options, OF_SIGNAL if options.motif else OF_MOTIF)
    progress = how_far(options)
    return _from_motif(options, progress) if options.motif else _from_signal(options, progress)


def _refuse(options: argparse.Namespace, others: tuple[str, ...]) -> None:
    """Options that belong to the other way of building are a mistake."""
    for name in others:
        if getattr(options, name):
            way = "a signal" if options.signal else "a motif"
            raise ValueError(f"--{name.replace('_', '-')}: not used when a data set is built from {way}")


def _from_motif(options: argparse.Namespace, progress: Callable[[float], None]) -> Windows:
    found = get_motif(options.motif, options.motif_name)
    rule = build.Rule(
        options.threshold, options.p_value, options.length, tuple(options.chromosome), options.every_window
    )
    return build.build(home_folder(), options.name, options.genome, found, rule, progress)


def _from_signal(options: argparse.Namespace, progress: Callable[[float], None]) -> Windows:
    if options.regions is None:
        raise ValueError("--signal needs --regions FILE: a BED or narrowPeak file that says where to cut windows")
    rule = build_signal.Rule(
        length=options.length,
        random=options.random or 0,
        transform="log1p" if options.log1p else "raw",
        missing="refuse" if options.refuse_missing else "zero",
        seed=build_signal.SEED if options.seed is None else options.seed,
    )
    sources = build_signal.Sources(options.genome, options.signal, options.regions)
    return build_signal.build_signal(home_folder(), options.name, sources, rule, progress)
