"""A real Ray cluster of two nodes with one CPU each, on the loopback of this machine."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

RAY = Path(sys.executable).with_name("ray")


class Node:
    """One node: `ray start` in the foreground, and all processes below it."""

    def __init__(self, folder: Path, *words: str) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        options = ["--num-cpus=1", "--object-store-memory=80000000", "--disable-usage-stats", "--block"]
        self._process = subprocess.Popen(
            [RAY, "start", *words, *options],
            cwd=folder,  # where the code of this project is not: it comes through the cluster
            env={**environment, "RAY_USAGE_STATS_ENABLED": "0"},
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
        """The processes that train."""
        return [process for process in self._processes() if "ray::tfbind" in _words(process)]

    def _processes(self) -> list[psutil.Process]:
        return psutil.Process(self._process.pid).children(recursive=True)

    def kill(self) -> None:
        """End it as a power cut does."""
        if self._process.poll() is None:
            for process in (*self._processes(), self._process):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def _words(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return ""


class TwoNodes:
    """The head at 127.0.0.1, the other node at 127.0.0.2."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="ray"))  # its sockets need a short path
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        mine = [f"--port={port}", "--include-dashboard=false", f"--temp-dir={self._folder / 'ray'}"]
        self.head = Node(self._folder, "--head", "--node-ip-address=127.0.0.1", *mine)
        self.other = Node(self._folder, f"--address={self.address}", "--node-ip-address=127.0.0.2")

    @property
    def nodes(self) -> tuple[Node, Node]:
        return self.head, self.other

    def stop(self) -> None:
        for node in self.nodes[::-1]:
            node.kill()
        for process in psutil.process_iter():  # those that a node left behind when it ended by itself
            with contextlib.suppress(psutil.Error):
                if process.cwd() == str(self._folder):
                    process.kill()
        shutil.rmtree(self._folder, ignore_errors=True)  # what was killed may write a last line
