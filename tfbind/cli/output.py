"""What the commands share: parser, answers, errors. Each module here has functions that add its commands."""

import argparse
import errno
import json
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn, TextIO, TypeVar

from tfbind.text import steer

Item = TypeVar("Item")

BAR_WIDTH = 24
CLEARED = "\r\033[K"  # the line of a terminal, from its beginning
SHARE = "share "  # begins a line on stderr that says how much is done, and of what, for a program to read


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {' '.join(message.split())}; see `{self.prog} --help`\n")


def number(text: str) -> float:
    """A finite number that was typed."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def print_error(message: object, code: int) -> int:
    """Print an error in one line on stderr.

    Args:
        message: the error.
        code: the exit code.

    Returns:
        `code`.
    """
    print(f"tfbind: {' '.join(str(message).split())}", file=sys.stderr)
    return code


def print_line(line: str) -> None:
    """Print a line about work that goes on."""
    _show(f"{line}\n", sys.stdout)


def print_remark(line: str) -> None:
    """Print a line about work that goes on to stderr, in place of the bar that a terminal shows there."""
    _show(f"{line}\n", sys.stderr, CLEARED if sys.stderr.isatty() else "")


def draw_status(text: str) -> None:
    """Show `text` on the terminal, in place of the bar there."""
    _show(text, sys.stderr, CLEARED)


def _show(text: str, file: TextIO, control: str = "") -> None:
    """Write of work that goes on, as it does where nobody reads any more: behind `head`, on a closed terminal."""
    try:
        steer(file, control)
        print(text, end="", file=file, flush=True)
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.EIO):
            raise


def print_result(as_json: bool, value: dict[str, Any], lines: Sequence[str]) -> int:
    """Print a result: as one JSON object, or as lines for a reader."""
    print(json.dumps(value, default=str) if as_json else "\n".join(lines))
    return 0


def read_each(items: Iterable[Item], read: Callable[[Item], dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """What `read` tells of each, and the exit code: 1 where some are damaged, of which stderr has a line each."""
    results, code = [], 0
    for item in items:
        try:
            results.append(read(item))
        except ValueError as error:
            code = print_error(error, 1)
    return results, code


def bar(share: float) -> str:
    """A progress bar of so much of the whole."""
    return ("█" * round(min(share, 1.0) * BAR_WIDTH)).ljust(BAR_WIDTH, "·")


def add_progress(command: Parser) -> None:
    """Add the flag by which a program is told how far a command is."""
    command.add_argument(
        "--progress", action="store_true", help="say on stderr how far it is, where that is no terminal"
    )


def progress_printer(options: argparse.Namespace) -> Callable[..., None]:
    """What is called with the share that is done, and words if there are any: it prints lines for a program with
    `--progress`, draws a bar on a terminal, or does nothing."""
    with_bar = not options.json and sys.stderr.isatty()
    if options.progress:
        return _print_share
    return _draw_bar if with_bar else lambda *_: None


def _print_share(share: float, words: str = "") -> None:
    print(f"{SHARE}{share:.3f} {words}", file=sys.stderr, flush=True)


def _draw_bar(share: float, words: str = "") -> None:
    end = "\n" if share >= 1 else ""
    draw_status(f"{bar(share)}  {share:4.0%}  {words}{end}")


def add_command(commands: Any, name: str, run: Callable[..., int], **id: str | None) -> Parser:
    """Add a command whose help is the docstring of `run`."""
    words = (run.__doc__ or "").strip()
    command: Parser = commands.add_parser(name, help=words, description=words, allow_abbrev=False)
    command.set_defaults(run=run, refuse=command.error)
    command.add_argument("--json", action="store_true", help="print one JSON object")
    if "id" in id:
        command.add_argument("id", nargs=id["id"], metavar="ID", help="a run")
    return command
