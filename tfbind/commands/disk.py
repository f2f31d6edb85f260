"""What the home takes on the disk, and making room."""

import argparse
from typing import Any

from tfbind import housekeeping
from tfbind.commands import add_command, answer
from tfbind.config import home_folder


def add(commands: Any) -> None:
    """Add `disk`."""
    command = add_command(commands, "disk", disk)
    command.add_argument("--empty-trash", action="store_true", help="delete for good what was thrown away")
    command.add_argument(
        "--drop-checkpoints", action="store_true", help="delete the checkpoints of finished runs, which nothing needs"
    )


def disk(options: argparse.Namespace) -> int:
    """Show what the home takes on the disk; make room when asked to."""
    home = home_folder()
    freed = housekeeping.empty_trash(home) if options.empty_trash else 0
    freed += housekeeping.drop_checkpoints(home) if options.drop_checkpoints else 0
    now = housekeeping.usage(home)
    lines = [f"{size / 1e6:10,.1f} MB  {name}" for name, size in now.folders.items()]
    lines.append(f"{now.total / 1e6:10,.1f} MB  in {home}")
    if now.checkpoints:
        lines.append(f"{now.checkpoints / 1e6:10,.1f} MB  of that, checkpoints of finished runs: --drop-checkpoints")
    if freed:
        lines.append(f"{freed / 1e6:10,.1f} MB  freed")
    facts = {"folders": now.folders, "total": now.total, "spent_checkpoints": now.checkpoints, "freed": freed}
    return answer(options.json, facts, lines)
