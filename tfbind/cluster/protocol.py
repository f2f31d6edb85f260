"""The way to a Ray cluster: whether its head answers, a child process that speaks to Ray, and their messages.

A process that is connected to Ray ends hard, seconds after the head of the cluster is lost. So that one is a child,
and this process learns from the end of a pipe that the cluster is gone. A message is a line of JSON, followed by the
bytes that its `sizes` announce. Nothing here imports Ray.
"""

import contextlib
import importlib.util
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import psutil

from tfbind.config import CHECKOUT, python_path
from tfbind.store import spawn

REACH_SECONDS = 5.0
INSTALL = "pip install -r requirements-ray.txt" if CHECKOUT else "pip install 'tfbind-studio[ray]'"
PORTS = 1 << 16
HEAD = "--gcs-address="  # to Ray's process on each node
CONNECT_SECONDS = 45.0
NOT_JOINED = (
    "what listens there is no head of a Ray cluster, the head does not answer, or this machine is no node of it; "
    "expected the port that `ray start --head` was given, by default 6379, on a node: `ray start --address` makes one"
)
END_SECONDS = 10.0
LOST = 3  # the exit code of a child whose cluster does not answer any more
TRACEBACK = "Traceback (most recent call last):\n"
WAITING = 32  # messages that wait for this process; those after them wait in the cluster


def check_reachable(address: str) -> None:
    """Refuse an address where nothing listens; Ray itself takes minutes to.

    Raises:
        OSError: nothing listens there.
    """
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), timeout=REACH_SECONDS).close()


class Gone(ConnectionError):
    """There is no cluster, or no longer."""


class Message(NamedTuple):
    """Facts, and files by name."""

    facts: dict[str, Any]
    files: dict[str, bytes]


def installed() -> bool:
    """Whether Ray can be imported here; it is not imported to find out."""
    return importlib.util.find_spec("ray") is not None


def resolve(address: str) -> str:
    """The HOST:PORT that Ray is given: of `auto`, the one that its environment names, else that of the cluster that
    this machine has joined. Nothing is started.

    Raises:
        ValueError: Ray is not installed, this is no address, or `auto` is no cluster or several.
    """
    if not installed():
        raise ValueError(f"--ray {address}: Ray is not installed here; `{INSTALL}` installs it")
    configured = (os.environ.get("RAY_ADDRESS") or address) if address == "auto" else address
    resolved = _single_cluster() if configured == "auto" else configured
    host, _, port = resolved.rpartition(":")
    if not (host and port.isdecimal() and int(port) < PORTS and "/" not in resolved):
        flag = f"--ray {address}" + (f", RAY_ADDRESS={configured}" if configured != address else "")
        raise ValueError(f"{flag}: expected auto or HOST:PORT of the head of a cluster that this machine has joined")
    return resolved


def _single_cluster() -> str:
    addresses = joined_here()
    if not addresses:
        raise ValueError("--ray auto: Ray does not run on this machine; `ray start` joins a cluster or begins one")
    if len(addresses) > 1:
        raise ValueError(f"--ray auto: this machine has joined several clusters; name one: {', '.join(addresses)}")
    return addresses[0]


def joined_here() -> list[str]:
    """The addresses of the clusters that this machine is a node of."""
    return joined(process.info["cmdline"] or () for process in psutil.process_iter(["cmdline"]))


def joined(commands: Iterable[Sequence[str]]) -> list[str]:
    """The addresses of the clusters that processes with these command lines are nodes of, each once.

    Ray's own `auto` takes any of several, or one of the past whose address is still in a file.
    """
    nodes = (words for words in commands if words and Path(words[0]).name == "raylet")
    return sorted({word.removeprefix(HEAD) for words in nodes for word in words if word.startswith(HEAD)})


def write_message(stream: IO[bytes], facts: Mapping[str, Any], files: Mapping[str, bytes] | None = None) -> None:
    """Write one message."""
    contents = files or {}
    head = {**facts, "sizes": {name: len(content) for name, content in contents.items()}}
    stream.write(json.dumps(head).encode() + b"\n")
    for content in contents.values():
        stream.write(content)
    stream.flush()


def read_message(stream: IO[bytes]) -> Message | None:
    """The next message; None when the other side has ended, be it in the middle of one."""
    line = stream.readline()
    if not line.endswith(b"\n"):
        return None
    facts = json.loads(line)
    files = {}
    for name, size in facts.pop("sizes").items():
        files[name] = stream.read(size)
        if len(files[name]) < size:
            return None
    return Message(facts, files)


class Driver:
    """The child process. It ends when this process does, however that ends, and its tasks with it.

    Raises:
        ValueError: as for `resolve`.
        Gone: there is no cluster at this address.
    """

    def __init__(self, address: str) -> None:
        resolved = resolve(address)
        self.address = address
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        variables = {"PYTHONPATH": python_path(), "RAY_USAGE_STATS_ENABLED": "0"}
        self._child = spawn(
            [sys.executable, "-m", "tfbind.cluster.driver", resolved],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **variables},
        )
        self._messages: queue.Queue[Message | None] = queue.Queue(WAITING)
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            self.nodes = self._connected()
        except BaseException:
            self.close()
            raise

    def _connected(self) -> list[tuple[float, float]]:
        try:
            message = self.receive(CONNECT_SECONDS)
        except Gone as error:
            words = "" if self._child.returncode == LOST else self._exception_message()
            raise Gone(f"--ray {self.address}: {words or error}") from None
        if message is None:
            raise Gone(f"--ray {self.address}: not joined in {CONNECT_SECONDS:.0f} s: {NOT_JOINED}")
        if "refused" in message.facts:
            raise Gone(f"--ray {self.address}: {message.facts['refused']}")
        return [(cpus, gpus) for cpus, gpus in message.facts["nodes"]]

    def _listen(self) -> None:
        assert self._child.stdout is not None
        while message := read_message(self._child.stdout):
            self._messages.put(message)
        self._messages.put(None)

    def send(self, facts: Mapping[str, Any], files: Mapping[str, bytes] | None = None) -> None:
        """Tell the child something; if it has ended, `receive` says so."""
        assert self._child.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            write_message(self._child.stdin, facts, files)

    def receive(self, seconds: float) -> Message | None:
        """The next message, None if there is none within so many seconds. What is said of the nodes is also kept.

        Raises:
            Gone: the child has ended: killed, or because the head of the cluster or its part on this machine is lost.
        """
        try:
            message = self._messages.get(timeout=seconds) if seconds else self._messages.get_nowait()
        except queue.Empty:
            return None
        if message is None:
            self._messages.put(None)
            raise Gone(self._why_ended())
        if "nodes" in message.facts:
            self.nodes = [(cpus, gpus) for cpus, gpus in message.facts["nodes"]]
        return message

    def _why_ended(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(END_SECONDS)
        if self._child.returncode in (-signal.SIGKILL, -signal.SIGTERM):
            return f"the process that speaks to the Ray cluster at {self.address} was killed, or out of memory"
        reason = "its head, or Ray on this machine, has ended or does not answer"
        return f"the Ray cluster at {self.address} is gone: {reason}"

    def _exception_message(self) -> str:
        """What the exception says that ended the child; "" if none did: Ray logs the end of a node here, too."""
        self._errors.seek(0)
        _, marker, text = self._errors.read().decode(errors="replace").rpartition(TRACEBACK)
        return next((line for line in text.splitlines() if marker and not line.startswith(" ")), "")

    def close(self) -> None:
        """End the child, and with it all its tasks."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.close()
        try:
            self._child.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        while self._messages.get() is not None:
            pass  # what it still had to say; then nobody listens any more
        self._child.stdout.close()
        self._errors.close()
