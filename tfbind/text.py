"""Formatted numbers, and escaped control characters in text from elsewhere.

Control characters, those that change the direction of text, and lone surrogates are escaped: `\x1b`, `\u202e`.
Names, notes and messages are stored as they came; this is done once, where text leaves the program.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO, cast

SMALL, LARGE = 1e-3, 1e5  # of what lies between, decimals are the shorter form
LAYOUT = "\n\t"
PATH_BYTES = "".join(map(chr, range(0xDC80, 0xDD00)))  # those of a path that are no UTF-8, as Python has them in text
CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
DIRECTION = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"

_STEERING = re.compile(rf"[{CONTROL}{DIRECTION}\ud800-\udfff]")


def figure(value: float | None) -> str:
    """Format a metric: with four decimals, or as `1.2e-5` or `2.8e65`."""
    if value is None:
        return "undefined"
    return significant(value, 4) if 0 < abs(value) < SMALL else fixed(value)


def fixed(value: float, decimals: int = 4, sign: str = "") -> str:
    """Format a number with a fixed number of decimals; a huge one as `2.8e65`.

    Args:
        value: the number.
        decimals: after the point.
        sign: "+" writes it before a number above zero, too.
    """
    return significant(value, 4, sign) if abs(value) >= LARGE else f"{value:{sign}.{decimals}f}"


def significant(value: float, digits: int, sign: str = "") -> str:
    """Format a number with `digits` significant digits: `1.234` or `2.8e65`; `sign` as in `fixed`."""
    number, _, exponent = f"{value:{sign}.{digits}g}".partition("e")
    return f"{number}e{int(exponent)}" if exponent else number


def visible(text: str, keep: str = LAYOUT) -> str:
    """Escape control characters in `text`, except those in `keep`."""
    return _STEERING.sub(lambda match: match[0] if match[0] in keep else _escape(ord(match[0])), text)


def _escape(code: int) -> str:
    # JSON leaves DEL as it is, and knows \u only: what is printed as JSON stays that.
    return f"\\x{code:02x}" if code < 0x7F else f"\\u{code:04x}"


class Visible:
    """A text stream that escapes what is written by `visible`; everything else is that of the wrapped stream."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        as_bytes = getattr(self.stream, "errors", None) == "surrogateescape"
        return self.stream.write(visible(text, LAYOUT + PATH_BYTES if as_bytes else LAYOUT))

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def shown_on(stream: TextIO) -> TextIO:
    """`stream` wrapped as `Visible`; None, for one that is closed, stays None."""
    return cast(TextIO, Visible(stream)) if stream and not isinstance(stream, Visible) else stream


def steer(stream: TextIO, control: str) -> None:
    """Write the program's own terminal control codes, unescaped."""
    (stream.stream if isinstance(stream, Visible) else stream).write(control)


@contextmanager
def visible_output() -> Iterator[None]:
    """Escape control characters in what is printed to stdout and stderr."""
    with redirect_stdout(shown_on(sys.stdout)), redirect_stderr(shown_on(sys.stderr)):
        yield
