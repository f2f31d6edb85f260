"""Commands of the command line, run for a page in a process of their own: what they import or compute stays there."""

import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence

from tfbind.cli import SHARE
from tfbind.config import PROJECT
from tfbind.store import spawn


def command(
    *words: str,
    seconds: float,
    on_progress: Callable[[float], object] = lambda _: None,
    on_stage: Callable[[str], object] = lambda _: None,
    on_start: Callable[["subprocess.Popen[str]"], object] = lambda _: None,
) -> str:
    """Run `python -m tfbind WORDS` to its end; what it prints.

    Args:
        on_progress: told the share that is done, by a command that says it.
        on_stage: told what that is a share of, in words, just before.
        on_start: given the process.

    Raises:
        ValueError: what the command complains of, or a word that no command can be given.
    """
    if invalid := [word for word in words if "\0" in word]:
        raise ValueError(f"{invalid[0]!r}: a NUL character in it, which no name or number has")
    with tempfile.TemporaryFile("w+") as output:  # not a pipe: nobody reads it until the end
        child = spawn(
            [sys.executable, "-m", "tfbind", *words],
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
            start_new_session=False,  # it ends with the server
        )
        on_start(child)
        stderr_lines = _listen(child, seconds, on_progress, on_stage)
        if stderr_lines is None:
            raise ValueError(f"{words[0]}: stopped after {seconds:,.0f} seconds without an end")
        if child.returncode:
            lines = stderr_lines or [f"{words[0]}: ended from outside (code {child.returncode})"]
            raise ValueError(lines[-1].removeprefix("tfbind: "))
        output.seek(0)
        return output.read()


class BackgroundCommand:
    """A command that runs beside the pages, for all of them, until it ends, is cancelled, or the server ends."""

    def __init__(self, *words: str, seconds: float) -> None:
        self.share, self.words = 0.0, ""
        self.error: str | None = None
        self.cancelled = False
        self._child: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, args=(words, seconds), daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._thread.is_alive()

    def cancel(self) -> None:
        """Ask it to end; `error` stays None."""
        self.cancelled = True
        if self._child:
            self._child.terminate()

    def _run(self, words: Sequence[str], seconds: float) -> None:
        try:
            command(
                *words,
                seconds=seconds,
                on_progress=self._note_share,
                on_stage=self._note_words,
                on_start=self._note_child,
            )
        except (ValueError, OSError) as error:
            self.error = None if self.cancelled else str(error)

    def _note_share(self, share: float) -> None:
        self.share = share

    def _note_words(self, words: str) -> None:
        self.words = words

    def _note_child(self, child: "subprocess.Popen[str]") -> None:
        self._child = child
        if self.cancelled:
            child.terminate()


def _listen(
    child: "subprocess.Popen[str]",
    seconds: float,
    on_progress: Callable[[float], object],
    on_stage: Callable[[str], object],
) -> list[str] | None:
    """What a command says on stderr until it ends, but for shares; None if that took too long, and it was killed.

    Who is told may raise what Streamlit ends a page with: the command goes on all the same, to its end.
    """
    timed_out = threading.Event()
    lines = []

    def end() -> None:
        timed_out.set()
        child.kill()

    clock = threading.Timer(seconds, end)
    clock.start()
    assert child.stderr is not None
    try:
        for line in child.stderr:
            if line.startswith(SHARE):
                share, _, stage = line.removeprefix(SHARE).strip().partition(" ")
                on_stage(stage)
                on_progress(float(share))
            elif line.strip():
                lines.append(line.strip())
    finally:
        child.communicate()
        clock.cancel()
    return None if timed_out.is_set() else lines
