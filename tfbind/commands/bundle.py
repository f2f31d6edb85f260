"""Hand a model out: weights and a program that predicts with them."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tfbind.commands import add_command, answer
from tfbind.config import home_folder


def add(commands: Any) -> None:
    """Add `bundle`."""
    command = add_command(commands, "bundle", bundle)
    command.add_argument("id", metavar="ID", help="a run, or another model of one network")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new or an empty folder")


def bundle(options: argparse.Namespace) -> int:
    """Write model_weights.pt and a predict.py that needs no tfbind, once its scores have been compared with ours."""
    from tfbind.bundle import bundle

    made = bundle(home_folder(), options.id, options.out)
    said = f"{made.out}: checked on {made.windows} windows, differs from our scores by at most {made.difference:.1e}"
    return answer(options.json, asdict(made), [said])
