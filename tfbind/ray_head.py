"""Whether the head of a Ray cluster answers, asked without Ray."""

import contextlib
import os
import socket
import time

from tfbind.ray_pipe import LOST

REACH_SECONDS = 5.0
ANSWER_SECONDS = 20.0  # a head says its first word in milliseconds, even on a busy machine
SETTINGS = b"\x04"  # the type of the frame with which both sides of HTTP/2 begin, after its length in three bytes
NO_SETTINGS = bytes(3) + SETTINGS + bytes(5)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + NO_SETTINGS
LOOK_SECONDS = 2.0
MISSED = 5  # so often in a row the head does not answer when it is lost


def knock(address: str, patience: float = ANSWER_SECONDS) -> None:
    """Refuse what does not speak HTTP/2, as Ray does; Ray itself takes more than a minute to.

    Raises:
        OSError: nothing listens there, or something else.
    """
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=REACH_SECONDS) as there:
        if "RAY_USE_TLS" in os.environ:
            return
        there.settimeout(patience)
        there.sendall(PREFACE)
        with contextlib.suppress(TimeoutError), there.makefile("rb") as answer:
            if answer.read(len(NO_SETTINGS))[3:4] == SETTINGS:
                return
    raise ConnectionError("what listens there does not answer as the head of a Ray cluster does")


def watch_head(address: str, every: float = LOOK_SECONDS, patience: float = ANSWER_SECONDS) -> None:
    """End this process when the head does not answer any more; Ray itself takes a minute to, and waits without limit
    for one that stands still."""
    missed = 0
    while missed < MISSED:
        time.sleep(every)
        try:
            knock(address, patience)
            missed = 0
        except OSError:
            missed += 1
    os._exit(LOST)
