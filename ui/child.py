"""Commands of the command line, run for a page in a process of their own: what they import or compute stays there."""

import subprocess
import sys

from tfbind.config import PROJECT


def command(*words: str, seconds: float) -> str:
    """Run `python -m tfbind WORDS` to its end; what it prints.

    Raises:
        ValueError: what the command complains of.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tfbind", *words],
        capture_output=True,
        text=True,
        timeout=seconds,
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise ValueError(done.stderr.strip().splitlines()[-1].removeprefix("tfbind: "))
    return done.stdout
