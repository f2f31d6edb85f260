"""Models from elsewhere: import, list, delete."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tfbind import imported
from tfbind.commands import add_command, answer
from tfbind.config import home_folder, sees


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
    card = imported.import_model(home_folder(), options.file, options.name)
    return answer(options.json, asdict(card), [_line(card), f"score with it: --model {card.name}"])


def list_models(options: argparse.Namespace) -> int:
    """List the imported models. Finished runs and `builtin` are models without being imported."""
    cards = imported.list_models(home_folder())
    lines = [_line(card) for card in cards] or ["no imported models; builtin and finished runs need no import"]
    return answer(options.json, {"models": [asdict(card) for card in cards]}, lines)


def _line(card: imported.Card) -> str:
    windows = f"windows of {card.length} bases" if card.length else "any length"
    facts = f"{card.parameters:,} parameters, sees {sees(card.length is not None, card.receptive_field)}, {windows}"
    return f"{card.name}  {facts}, from {card.source} at {card.imported}"


def delete_model(options: argparse.Namespace) -> int:
    """Move an imported model to the trash of the home."""
    kept = imported.delete_model(home_folder(), options.name)
    return answer(options.json, {"name": options.name, "trash": kept}, [f"{options.name}: moved to {kept}"])
