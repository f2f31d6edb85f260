"""Models handed out as a bundle, and models from elsewhere: import, list, delete."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tfbind.cli.output import add_command, answer
from tfbind.config import home_folder, sees
from tfbind.nn import weight_files


def add_bundle(commands: Any) -> None:
    """Add `bundle`."""
    command = add_command(commands, "bundle", export_bundle)
    command.add_argument("id", metavar="ID", help="a run, or another model of one network")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new or an empty folder")


def export_bundle(options: argparse.Namespace) -> int:
    """Write model_weights.pt and a predict.py that needs no tfbind, once its scores have been compared with ours."""
    from tfbind.scoring import export_bundle

    made = export_bundle(home_folder(), options.id, options.out)
    said = f"{made.out}: checked on {made.windows} windows, differs from our scores by at most {made.difference:.1e}"
    return answer(options.json, asdict(made), [said])


def add(commands: Any) -> None:
    """Add `model` and its actions."""
    model = commands.add_parser("model", help="Models from elsewhere: import, list, delete.", allow_abbrev=False)
    actions = model.add_subparsers(title="actions", required=True, metavar="ACTION")
    importing = add_command(actions, "import", import_model)
    importing.add_argument("file", type=Path, metavar="FILE", help="safetensors, or a state_dict saved by torch")
    importing.add_argument("--name", help="its name here; default: that of the file")
    add_command(actions, "list", list_models)
    add_command(actions, "delete", delete_model).add_argument("name", metavar="NAME", help="an imported model")


def import_model(options: argparse.Namespace) -> int:
    """Keep weights from elsewhere as a model of this home."""
    card = weight_files.import_model(home_folder(), options.file, options.name)
    return answer(options.json, asdict(card), [_line(card), f"score with it: --model {card.name}"])


def list_models(options: argparse.Namespace) -> int:
    """List the imported models. Finished runs and `builtin` are models without being imported."""
    cards = weight_files.list_models(home_folder())
    lines = [_line(card) for card in cards] or ["no imported models; builtin and finished runs need no import"]
    return answer(options.json, {"models": [asdict(card) for card in cards]}, lines)


def _line(card: weight_files.Card) -> str:
    windows = f"windows of {card.length} bases" if card.length else "any length"
    facts = f"{card.parameters:,} parameters, sees {sees(card.length is not None, card.receptive_field)}, {windows}"
    return f"{card.name}  {facts}, from {card.source} at {card.imported}"


def delete_model(options: argparse.Namespace) -> int:
    """Move an imported model to the trash of the home."""
    kept = weight_files.delete_model(home_folder(), options.name)
    return answer(options.json, {"name": options.name, "trash": kept}, [f"{options.name}: moved to {kept}"])
