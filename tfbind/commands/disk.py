"""What the home takes on the disk, and making room."""

import argparse
from pathlib import Path
from typing import Any

from tfbind import budget, housekeeping
from tfbind.commands import add_command, answer, complain
from tfbind.config import home_folder


def add(commands: Any) -> None:
    """Add `disk`."""
    command = add_command(commands, "disk", disk)
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
    command.add_argument(
        "--budget", metavar="SIZE", help="warn when the home takes more than this, such as 20GB; none: never"
    )


def warn_of_budget(home: Path, planned: int) -> None:
    """Say on stderr, in one line, when a home is over its budget, or would be with `planned` bytes more."""
    said = budget.warning(home, lambda: housekeeping.usage(home).total, planned)
    if said:
        complain(said, 0)


def disk(options: argparse.Namespace) -> int:
    """Show what the home takes on the disk; make room when asked to."""
    home = home_folder()
    if options.budget is not None:
        budget.set_budget(home, budget.parse(options.budget))
    freed = housekeeping.empty_trash(home) if options.empty_trash else 0
    freed += housekeeping.drop_checkpoints(home) if options.drop_checkpoints else 0
    now, limit = housekeeping.usage(home), budget.budget_of(home)
    lines = [f"{size / 1e6:10,.1f} MB  {kind}" for kind, size in now.kinds.items()]
    lines.append(f"{now.total / 1e6:10,.1f} MB  in {home}")
    if now.checkpoints:
        lines.append(f"{now.checkpoints / 1e6:10,.1f} MB  of that, checkpoints of finished runs: --drop-checkpoints")
    if limit:
        lines.append(f"{limit / 1e6:10,.1f} MB  is the budget: {now.total / limit:.0%} of it are used")
    if freed:
        lines.append(f"{freed / 1e6:10,.1f} MB  freed")
    said = [housekeeping.DROPPING] * options.drop_checkpoints + [budget.objection(limit, now.total)]
    facts = {
        "kinds": now.kinds,
        "total": now.total,
        "budget": limit,
        "spent_checkpoints": now.checkpoints,
        "freed": freed,
    }
    return answer(options.json, facts, [*lines, *filter(None, said)])
