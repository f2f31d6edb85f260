"""Score the variants of a VCF file."""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tfbind.commands import add_command, answer, number
from tfbind.config import home_folder
from tfbind.meaning import THRESHOLD


def add(commands: Any) -> None:
    """Add `variants`."""
    command = add_command(commands, "variants", variants)
    command.add_argument("--model", required=True, help="builtin, a run, or weights; several, with commas: averaged")
    command.add_argument("--data", type=Path, required=True, metavar="VCF", help="variants, plain or gzip")
    command.add_argument(
        "--fasta", type=Path, required=True, metavar="FILE", help="the genome that they are called on"
    )
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="ends in .tsv or .csv")
    command.add_argument(
        "--threshold",
        type=number,
        help="the least score of a site; default: half the lowest score of a site in the data that the model learnt "
        f"from (for several models their mean), {THRESHOLD:g} where that is not known",
    )
    command.add_argument(
        "--keep-going",
        action="store_true",
        help="give variants that the genome does not bear out a row with the reason instead of refusing the file; "
        "takes lists of any form, such as chr22:10510600 A>G on each line",
    )


def variants(options: argparse.Namespace) -> int:
    """Score what each variant of a VCF file changes in the binding around it."""
    from tfbind.effects_table import score_variants
    from tfbind.provenance import write_beside
    from tfbind.scoring import load_model
    from tfbind.tables import counted

    home = home_folder()
    model = load_model(home, options.model)
    cache = home / "cache" / "fasta"
    files = options.data, options.fasta, options.out
    threshold = model.meaning.threshold if options.threshold is None else options.threshold
    outcome = score_variants(model, *files, cache, threshold, options.keep_going)
    write_beside(options.out, home, model, threshold=threshold)
    said_of_sites = [model.meaning.on_threshold] if options.threshold is None and model.meaning.on_threshold else []
    for note in [] if options.json else said_of_sites + outcome.notes:
        print(note, file=sys.stderr)
    said = [f"skipped {times:,}: {reason}" for reason, times in outcome.skipped.items()]
    said += [f"{counted(outcome.unused, 'line')} without a variant: below the table"] * bool(outcome.unused)
    said += [f"{outcome.scored:,} of {outcome.variants:,} variants scored in {outcome.seconds:.1f} s: {outcome.out}"]
    return answer(options.json, asdict(outcome), said)
