"""The command line: a twin for every button. `python -m tfbind --help` lists the commands.

Exit codes: 0; 2 the input is wrong; 1 something outside failed; 130 interrupted. Errors are one line on stderr. With
`--json` the last line of standard output is one JSON object.
"""

import contextlib
import importlib
import os
import select
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import NoReturn

from tfbind.cli import Parser, print_error
from tfbind.errors import JOB
from tfbind.store import format_error, set_private_umask
from tfbind.text import shown_on, visible_output

# The module of tfbind/cli/ that is imported when a command is called, the function that adds it there, its help.
COMMANDS = {
    "ui": ("ui", "add_ui", "Start the app, on http://localhost:8501 if nothing else is asked for."),
    "train": ("runs", "add_runs", "Train one run to its end: in this process, or on a Ray cluster."),
    "runs": ("runs", "add_runs", "List the runs of this home, or show one."),
    "stop": ("runs", "add_runs", "Ask a run, or a sweep with its runs, to stop and wait until it has."),
    "resume": ("runs", "add_runs", "Go on with a stopped, crashed or failed run, or with a sweep."),
    "sweep": (
        "sweep",
        "add_sweep",
        "Run a sweep file to its end in this process; its runs are processes of their own, or tasks on a Ray "
        "cluster.",
    ),
    "compare": (
        "compare",
        "add_compare",
        "Say which setting is best, by how much, and whether that is beyond chance.",
    ),
    "predict": (
        "predict",
        "add_predict",
        "Score a file of DNA and write the predictions, in the format that the suffix of --out names.",
    ),
    "variants": (
        "predict",
        "add_variants",
        "Score what each variant of a VCF file changes in the binding around it.",
    ),
    "model": ("predict", "add_model", "Models from elsewhere: import, list, delete."),
    "bundle": (
        "predict",
        "add_bundle",
        "Write model_weights.pt and a predict.py that needs no tfbind, once its scores have been compared with ours.",
    ),
    "data": ("data", "add_data", "Data sets: list, build, import, fetch, check, and more."),
    "disk": ("data", "add_disk", "Show what the home takes on the disk, and its trash; make room, or restore."),
    "doctor": (
        "doctor",
        "add_doctor",
        "Say what this installation and home are like, what is wrong, and how to mend it.",
    ),
    "leaks": ("compare", "add_science", "Say what the parts of a split share."),
    "baselines": (
        "compare",
        "add_science",
        "Measure far simpler models on a split, and the rule behind the labels where it is known.",
    ),
    "test": (
        "compare",
        "add_science",
        "Open the sealed test of a finished run, once; afterwards, show what it gave.",
    ),
    "filters": (
        "compare",
        "add_science",
        "Say what the filters of a run's first layer look for, and which known motifs that resembles.",
    ),
    "pull": ("wandb", "add_pull", "Get the runs of a W&B project, or of one of its sweeps, and keep them here."),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    set_private_umask()
    with visible_output():
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        words = sys.argv[1:] if arguments is None else list(arguments)
        options, unknown = _parser(next(iter(words), None)).parse_known_args(words)
        if unknown:
            options.refuse(f"unrecognized arguments: {' '.join(unknown)}")
        options.arguments = words
        with _working():
            code: int = options.run(options)
        sys.stdout.flush()
        return code
    except ValueError as error:
        return _fail(error, 2)
    except FileNotFoundError as error:
        return _fail(f"{error.filename}: no such file or folder", 2)
    except IsADirectoryError as error:
        return _fail(f"{error.filename}: a folder; expected a file", 2)
    except OSError as error:
        return 1 if isinstance(error, BrokenPipeError) and _nobody_reads() else _fail(format_error(error), 1)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)


def _fail(error: object, code: int) -> int:
    """Say why the command fails, on stderr and in the job that it works on."""
    if folder := os.environ.get(JOB):
        from tfbind.scoring import PredictionJob, keep_failure

        with contextlib.suppress(OSError):  # on a full disk stderr alone says it
            keep_failure(PredictionJob(Path(folder)), error)
    return print_error(error, code)


def _working() -> contextlib.AbstractContextManager[None]:
    """Be the worker of the job that this process was started for, if any."""
    if folder := os.environ.get(JOB):
        from tfbind.scoring import PredictionJob

        return PredictionJob(Path(folder)).work()
    return contextlib.nullcontext()


def _nobody_reads() -> bool:
    """Whether standard output goes to a program that has seen enough, such as `head`; nothing is said to it then."""
    asked = select.poll()
    asked.register(sys.stdout, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in asked.poll(0))


def _parser(command: str | None) -> Parser:
    """The parser of the whole command line, in which `command` alone has its flags: to import all takes a second."""
    program = "tfbind" if Path(sys.argv[0]).stem == "tfbind" else "python -m tfbind"
    parser = Parser(program, description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    called = COMMANDS[command][:2] if command in COMMANDS else None
    added = False
    for name, (module, add, words) in COMMANDS.items():
        if (module, add) != called:
            commands.add_parser(name, help=words)
        elif not added:
            getattr(importlib.import_module(f"tfbind.cli.{module}"), add)(commands)
            added = True
    return parser


def run() -> NoReturn:
    """Run the command that was typed, and end this process with its exit code."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # a path is printed as the bytes that it is
    sys.stdout, sys.stderr = shown_on(sys.stdout), shown_on(sys.stderr)  # Python prints a traceback after `main`
    sys.exit(main())


if __name__ == "__main__":
    run()
