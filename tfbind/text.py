"""Text for readers: numbers with as many digits as anyone reads, and text from elsewhere that steers nothing.

Control characters, those that turn the direction of text, and halves of characters are spelled out: `\x1b`,
`\u202e`. Names, notes and messages are kept as they came; this is done once, where text leaves the program.
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
    """A metric as text: with four decimals, or as `1.2e-5` or `2.8e65`."""
    if value is None:
        return "undefined"
    return significant(value, 4) if 0 < abs(value) < SMALL else fixed(value)


def fixed(value: float, decimals: int = 4, sign: str = "") -> str:
    """A number with decimals; one of far too many digits as `2.8e65`.

    Args:
        sign: "+" writes it before a number above zero, too.
    """
    return significant(value, 4, sign) if abs(value) >= LARGE else f"{value:{sign}.{decimals}f}"


def significant(value: float, digits: int, sign: str = "") -> str:
    """A number by its first `digits`, as `1.234` or `2.8e65`."""
    number, _, exponent = f"{value:{sign}.{digits}g}".partition("e")
    return f"{number}e{int(exponent)}" if exponent else number


def visible(text: str, keep: str = LAYOUT) -> str:
    """`text` with what would steer spelled out, but for the characters in `keep`."""
    return _STEERING.sub(lambda found: found[0] if found[0] in keep else _spelled(ord(found[0])), text)


def _spelled(code: int) -> str:
    # JSON leaves DEL as it is, and knows \u only: what is printed as JSON stays that.
    return f"\\x{code:02x}" if code < 0x7F else f"\\u{code:04x}"


class Visible:
    """A text stream to which everything is written as `visible` has it; all else is that of the stream behind it."""

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
    """`stream` such that what is written to it steers nothing; None, for one that is closed, stays that."""
    return cast(TextIO, Visible(stream)) if stream and not isinstance(stream, Visible) else stream


def steer(stream: TextIO, control: str) -> None:
    """Write what the program itself means to steer a terminal with."""
    (stream.stream if isinstance(stream, Visible) else stream).write(control)


@contextmanager
def visible_output() -> Iterator[None]:
    """Have what is printed steer nothing."""
    with redirect_stdout(shown_on(sys.stdout)), redirect_stderr(shown_on(sys.stderr)):
        yield
