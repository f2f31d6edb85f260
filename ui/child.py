"""Commands of the command line, run for a page in a process of their own: what they import or compute stays there."""

import subprocess
import sys

from tfbind.config import PROJECT


def command(*words: str, seconds: float) -> str:
    """Run `python -m tfbind WORDS` to its end; what it prints.

    Raises:
        ValueError: what the command complains of.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tfbind", *words],
            capture_output=True,
            text=True,
            timeout=seconds,
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise ValueError(f"{words[0]}: stopped after {seconds:,.0f} seconds without an end") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"{words[0]}: ended from outside (code {done.returncode})"]
        raise ValueError(said[-1].removeprefix("tfbind: "))
    return done.stdout
