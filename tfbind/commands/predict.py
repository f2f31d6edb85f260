"""Score files of DNA."""

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tfbind.commands import add_command, answer, bar
from tfbind.config import home_folder
from tfbind.export import THRESHOLD

NOTES = 20


def add(commands: Any) -> None:
    """Add `predict`."""
    command = add_command(commands, "predict", predict)
    command.add_argument("--model", required=True, help="builtin, a run, or weights; several, with commas: averaged")
    command.add_argument(
        "--data", required=True, metavar="FILE", help="FASTA, a table, or bare sequences; - is stdin"
    )
    command.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="ends in .csv .tsv .bed .bedgraph .bw .fa"
    )
    command.add_argument("--strand", choices=["forward", "both"], default="forward", help="both: their mean")
    command.add_argument("--pad", action="store_true", help="fill up with N what is too short for the model")
    command.add_argument("--ray", metavar="ADDRESS", help="score on the Ray cluster at HOST:PORT, or auto")
    command.add_argument(
        "--threshold",
        type=float,
        default=THRESHOLD,
        help=f"the least score of a site in .bed and .fa; default: {THRESHOLD:g}",
    )


def predict(options: argparse.Namespace) -> int:
    """Score a file of DNA and write the predictions, in the format that the suffix of --out names."""
    from tfbind.predict import Options, predict
    from tfbind.provenance import write_beside
    from tfbind.ray_scores import scorer
    from tfbind.scoring import load_model

    model = load_model(home_folder(), options.model)
    data = sys.stdin.buffer if options.data == "-" else Path(options.data)
    how = Options(options.strand == "both", options.pad, options.threshold)
    terminal = sys.stderr.isatty()
    cluster = scorer(options.ray, home_folder(), options.model, how) if options.ray else nullcontext()
    try:
        with cluster as score_pieces:
            watch = _stage_bar() if terminal else lambda _stage, _done, _total: None
            outcome = predict(model, data, options.out, how, watch, score_pieces=score_pieces)
    finally:
        if terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
    write_beside(options.out, home_folder(), model, **asdict(how))
    for note in [] if options.json else outcome.notes[:NOTES]:
        print(f"read {note}", file=sys.stderr)
    if not options.json and len(outcome.notes) > NOTES:
        print(f"and {len(outcome.notes) - NOTES:,} more records were changed in reading", file=sys.stderr)
    facts = {**asdict(outcome), "notes": outcome.notes[:NOTES]}
    said = f"{outcome.records:,} records, {outcome.bases:,} bases in {outcome.seconds:.1f} s: {outcome.out}"
    return answer(options.json, facts, [said])


def _stage_bar() -> Callable[[str, int, int], None]:
    """Draws how far a prediction is, ten times a second."""
    begun: dict[str, tuple[float, int]] = {}
    drawn = 0.0

    def draw(stage: str, done: int, total: int) -> None:
        nonlocal drawn
        now = time.monotonic()
        started, first = begun.setdefault(stage, (now, done))
        if now - drawn < 0.1:
            return
        drawn = now
        said = f"{stage} {done:,} bases"
        if total and done > first:
            left = (now - started) * (total - done) / (done - first)
            said = f"{stage} {bar(done / total)} {done:,} of {total:,} bases  {left:.0f} s left"
        print(f"\r\033[K{said}", end="", file=sys.stderr, flush=True)

    return draw
