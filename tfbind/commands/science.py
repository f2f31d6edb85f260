"""What a figure is worth: leaks between the parts of a split, baselines beside it, and the sealed test."""

import argparse
from dataclasses import asdict
from typing import Any

from tfbind import runs
from tfbind.baselines import SPLIT, make
from tfbind.commands import Parser, add_command, answer, figure
from tfbind.config import PRESETS, TrainConfig, choices, flag, home_folder, parse_config


def add(commands: Any) -> None:
    """Add `leaks`, `baselines`, `test` and `filters`."""
    _add_split(add_command(commands, "leaks", leaks))
    _add_split(add_command(commands, "baselines", baselines))
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
    from tfbind.datasets import open_checked
    from tfbind.leaks import find_leaks
    from tfbind.splits import split

    config = _config(options)
    data = open_checked(home_folder(), config.dataset)
    found = find_leaks(data, split(data, config))
    return answer(options.json, {**asdict(found), "found": found.found}, [found.words])


def baselines(options: argparse.Namespace) -> int:
    """Measure far simpler models on a split, and the rule behind the labels where it is known."""
    from tfbind.datasets import open_checked
    from tfbind.splits import split

    config, home = _config(options), home_folder()
    data = open_checked(home, config.dataset)
    found = make(home, data, split(data, config)).baselines
    lines = [_figures_line(asdict(base), "val") for base in found]
    return answer(options.json, {"baselines": [asdict(base) for base in found]}, lines)


def _figures_line(one: dict[str, Any], part: str) -> str:
    """A model of a table of figures, beside others."""
    shown = {
        f"{part}_loss": "loss",
        f"{part}_pearsonr": "pearsonr",
        "mean of windows": "pearsonr_window",
        "sites found": "recall",
        "calls right": "precision",
        "AUPRC": "auprc",
    }
    figures = [f"{name} {figure(one.get(f'{part}_{key}')):10}" for name, key in shown.items()]
    return " ".join([f"{one['name']:20}", *figures, one["about"]])


def test(options: argparse.Namespace) -> int:
    """Open the sealed test of a finished run, once; afterwards, show what it gave."""
    from tfbind import sealed

    run = runs.find(home_folder(), options.id)
    before = sealed.opened(run)
    result = sealed.open_test(run)
    said = "opened before, on" if before else "opened now,"
    lines = [
        f"{result.windows} test windows, {said} {result.opened}",
        _figures_line({"name": "this run", "about": "the weights of its best epoch", **asdict(result)}, "test"),
        *(_figures_line(asdict(base), "test") for base in result.baselines),
    ]
    return answer(options.json, {"id": run.id, **asdict(result)}, lines)


def filters(options: argparse.Namespace) -> int:
    """Say what the filters of a run's first layer look for, and which known motifs that resembles."""
    from tfbind.datasets import open_learnt
    from tfbind.filters import learnt

    run = runs.find(home_folder(), options.id)
    found = learnt(run, open_learnt(run.home, runs.read_record(run)))
    facts, lines = [], []
    for one in found.filters:
        near = f"{one.match.name} {one.match.matrix_id}  E-value {one.match.e_value:.1g}" if one.match else "-"
        word = one.motif.consensus if one.motif else "nothing in particular"
        own = "" if one.behind is None else f"  like the labels' motif: p {one.behind:.1g}"
        lines.append(f"filter {one.number:3}  {one.words:8,} words  {word}  {near}{own}")
        facts.append(
            {
                "number": one.number,
                "words": one.words,
                "consensus": one.motif.consensus if one.motif else None,
                "behind_labels_p": one.behind,
                "matches": [asdict(match) for match in one.matches],
            }
        )
    return answer(options.json, {"windows": found.windows, "behind": found.behind, "filters": facts}, lines)
