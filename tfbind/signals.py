"""Requests to stop that come as signals."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def heard(note: Callable[[], object]) -> Iterator[None]:
    """Call `note` whenever SIGTERM or SIGINT arrives, in place of what they do; the main thread alone hears them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def take(_signal: int, _frame: object) -> None:
        note()

    before = {number: signal.signal(number, take) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interrupt() -> None:
    """End what is under way as Ctrl-C does: for `heard`, where SIGTERM means the same."""
    raise KeyboardInterrupt
