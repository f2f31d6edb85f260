"""A real Ray cluster on the loopback of this machine: a head, and other nodes that come and go."""

import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil

from tfbind.config import PROJECT

RAY = Path(sys.executable).with_name("ray")
WORKING = ("ray::tfbind", "ray::_score")  # what Ray calls a process while it works on a task of this project
PORTS = range(20_000, 32_768)


def start_command(home: Path, *words: str) -> "subprocess.Popen[str]":
    """Start a command of the program, which speaks to a cluster beside the test."""
    return subprocess.Popen(
        [sys.executable, "-m", "tfbind", *words],
        cwd=PROJECT,
        env={**os.environ, "TFBIND_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class _Page(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def web_server() -> Iterator[str]:
    """The address of a server of web pages, which is no Ray."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{web.server_port}"
        web.shutdown()


class Node:
    """One node: `ray start` in the foreground, and all processes below it."""

    def __init__(self, folder: Path, cpus: int, *words: str) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "RAY_ADDRESS")}
        settings = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "TMPDIR": str(folder)}
        options = [f"--num-cpus={cpus}", "--object-store-memory=80000000", "--disable-usage-stats", "--block"]
        self._process = subprocess.Popen(
            [RAY, "start", *words, *options],
            cwd=folder,  # where the code of this project is not: it comes through the cluster
            env={**environment, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        said = []
        for line in self._process.stdout:
            said.append(line)
            if "Ray runtime started" in line:
                return
        raise AssertionError("".join(said))

    def workers(self) -> list[psutil.Process]:
        """The processes that train or score."""
        return [process for process in self._processes() if words_of(process).startswith(WORKING)]

    def _processes(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self._process.pid).children(recursive=True)
        return []

    def kill(self) -> None:
        """End it as a power cut does."""
        if self._process.poll() is None:
            for process in (*self._processes(), self._process):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def words_of(process: psutil.Process) -> str:
    """The command line of a process, "" if it has ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return ""


def _free_port() -> int:
    """A port that neither the system nor Ray hands out by itself: another cluster may start at the same time."""
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


class RayCluster:
    """The head at 127.0.0.1 with so many CPUs, the others at 127.0.0.2 and so on.

    `folder` is where their tasks keep what is temporary.
    """

    def __init__(self, head: int = 1, others: Sequence[int] = (1,)) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ray"))  # its sockets need a short path
        self.port = str(_free_port())
        self.address = f"127.0.0.1:{self.port}"
        mine = [f"--port={self.port}", "--include-dashboard=false", f"--temp-dir={self.folder / 'ray'}"]
        self.nodes = [Node(self.folder, head, "--head", "--node-ip-address=127.0.0.1", *mine)]
        for cpus in others:
            self.join(cpus)

    @property
    def head(self) -> Node:
        return self.nodes[0]

    def join(self, cpus: int = 1) -> Node:
        """A further node."""
        ip = f"127.0.0.{1 + len(self.nodes)}"
        self.nodes.append(Node(self.folder, cpus, f"--address={self.address}", f"--node-ip-address={ip}"))
        return self.nodes[-1]

    def workers(self) -> list[psutil.Process]:
        """The processes that train or score."""
        return [worker for node in self.nodes for worker in node.workers()]

    def worker(self, id: str) -> psutil.Process:
        """The process that trains the run with this id."""
        return next(worker for worker in self.workers() if words_of(worker).split()[1:] == [id])

    def stop(self) -> None:
        for node in self.nodes[::-1]:
            node.kill()
        for process in psutil.process_iter():  # those that a node left behind when it ended by itself
            with contextlib.suppress(psutil.Error):
                if process.cwd() == str(self.folder):
                    process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)  # what was killed may write a last line
