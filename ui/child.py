"""Commands of the command line, run for a page in a process of their own: what they import or compute stays there."""

import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable

from tfbind.commands import SHARE
from tfbind.config import PROJECT


def command(*words: str, seconds: float, tell: Callable[[float], object] = lambda _: None) -> str:
    """Run `python -m tfbind WORDS` to its end; what it prints.

    Args:
        tell: told the share that is done, by a command that says it.

    Raises:
        ValueError: what the command complains of.
    """
    with tempfile.TemporaryFile("w+") as printed:  # not a pipe: nobody reads it until the end
        child = subprocess.Popen(
            [sys.executable, "-m", "tfbind", *words],
            stdout=printed,
            stderr=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
        )
        said = _listen(child, seconds, tell)
        if said is None:
            raise ValueError(f"{words[0]}: stopped after {seconds:,.0f} seconds without an end")
        if child.returncode:
            lines = said or [f"{words[0]}: ended from outside (code {child.returncode})"]
            raise ValueError(lines[-1].removeprefix("tfbind: "))
        printed.seek(0)
        return printed.read()


def _listen(child: "subprocess.Popen[str]", seconds: float, tell: Callable[[float], object]) -> list[str] | None:
    """What a command says on stderr until it ends, but for shares; None if that took too long, and it was killed.

    Who is told may raise what Streamlit ends a page with: the command goes on all the same, to its end.
    """
    late = threading.Event()
    said = []

    def end() -> None:
        late.set()
        child.kill()

    clock = threading.Timer(seconds, end)
    clock.start()
    assert child.stderr is not None
    try:
        for line in child.stderr:
            if line.startswith(SHARE):
                tell(float(line.removeprefix(SHARE)))
            elif line.strip():
                said.append(line.strip())
    finally:
        child.communicate()
        clock.cancel()
    return None if late.is_set() else said
