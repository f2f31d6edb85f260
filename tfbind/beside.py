"""The processes beside a run, wherever it trains: what logs it to W&B, what finds the baselines of its split."""

import contextlib
from collections.abc import Iterator

from tfbind import baselines, run_log, runs, wandb_log, wandb_logged
from tfbind.files import words
from tfbind.runs import Run


def start(run: Run) -> None:
    """Start them. Neither ever stops a run: what keeps them from starting goes into its log."""
    record = runs.read_record(run)
    if wandb_logged.asked(record) != "off":
        with _noted(run, "not logged to W&B"):
            wandb_log.start(run)
    with _noted(run, "no baselines"):  # a run is worth as much without figures to hold it against
        baselines.start(run.home, record)


@contextlib.contextmanager
def _noted(run: Run, lacking: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        with contextlib.suppress(OSError, ValueError):  # a log that takes no line ends no run
            run_log.note(run, f"{lacking}: {words(error)}", "WARNING")
