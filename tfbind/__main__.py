"""The command line: a twin for every button. `python -m tfbind --help` lists the commands.

Exit codes: 0; 2 the input is wrong; 1 something outside failed; 130 interrupted. Errors are one line on stderr. With
`--json` the last line of standard output is one JSON object.
"""

import select
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from tfbind.commands import Parser, complain
from tfbind.files import keep_private, words
from tfbind.visible import shown_on, visible_output


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    keep_private()
    with visible_output():
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        options, unknown = _parser().parse_known_args(arguments)
        if unknown:
            options.refuse(f"unrecognized arguments: {' '.join(unknown)}")
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except ValueError as error:
        return complain(error, 2)
    except FileNotFoundError as error:
        return complain(f"{error.filename}: no such file or folder", 2)
    except IsADirectoryError as error:
        return complain(f"{error.filename}: a folder; expected a file", 2)
    except OSError as error:
        return 1 if isinstance(error, BrokenPipeError) and _nobody_reads() else complain(words(error), 1)
    except KeyboardInterrupt:
        return complain("interrupted", 130)


def _nobody_reads() -> bool:
    """Whether standard output goes to a program that has seen enough, such as `head`; nothing is said to it then."""
    asked = select.poll()
    asked.register(sys.stdout, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in asked.poll(0))


def _parser() -> Parser:
    # Not above: to load them takes a second, and whoever interrupts it there is answered in one line, too.
    from tfbind.commands import (
        bundle,
        compare,
        data,
        disk,
        doctor,
        model,
        predict,
        runs,
        science,
        sweep,
        variants,
        wandb,
    )

    parser = Parser("python -m tfbind", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in (runs, sweep, compare, predict, variants, model, bundle, data, disk, doctor, science, wandb):
        module.add(commands)
    return parser


if __name__ == "__main__":
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # a path is printed as the bytes that it is
    sys.stdout, sys.stderr = shown_on(sys.stdout), shown_on(sys.stderr)  # Python prints a traceback after `main`
    sys.exit(main())
