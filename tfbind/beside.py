"""The processes beside a run, wherever it trains: what logs it to W&B, what finds the baselines of its split."""

import logging

from tfbind import baselines, runs, wandb_log, wandb_logged
from tfbind.runs import Run

log = logging.getLogger("tfbind")


def start(run: Run) -> None:
    """Start them. Neither ever stops a run: what keeps them from starting goes into the log."""
    record = runs.read_record(run)
    if wandb_logged.asked(record) != "off":
        try:
            wandb_log.start(run)
        except (OSError, ValueError) as error:
            log.warning("not logged to W&B: %s", error)
    try:
        baselines.start(run.home, record)
    except (OSError, ValueError) as error:  # a run is worth as much without figures to hold it against
        log.warning("no baselines: %s", error)
