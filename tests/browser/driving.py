"""Starting the real app on a free port with a home of its own, and a browser, and waiting for them."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tfbind import runs
from tfbind.sweeps import controller, sweep_folder

PROJECT = Path(__file__).parents[2]
CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CHART = ".live-chart .main-svg"
WAIT_MS = 30_000
LOG = "server.log"


@contextmanager
def headless() -> Iterator[Browser]:
    """Chromium, until the block ends; without one the test is skipped, on a machine that checks changes it fails."""
    path = next((path for path in CHROMIUM if shutil.which(path)), None)
    if path is None:
        said = "no Chromium here: `apt-get install chromium` on Debian"
        pytest.fail(said) if os.environ.get("CI") == "true" else pytest.skip(said)
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Server:
    """A running app."""

    process: "subprocess.Popen[bytes]"
    url: str
    home: Path

    @property
    def pid(self) -> int:
        return self.process.pid


def start_server(home: Path, port: int) -> "subprocess.Popen[bytes]":
    """Start the app; what it says goes into `LOG` of the home."""
    with (home / LOG).open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)],
            cwd=PROJECT,
            env={**os.environ, "TFBIND_HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


@contextmanager
def serve(home: Path, port: int | None = None) -> Iterator[Server]:
    """Run the app until the block ends."""
    port = port or free_port()
    process = start_server(home, port)
    try:
        wait_until(lambda: healthy(port), 30, lambda: (home / LOG).read_text())
        yield Server(process, f"http://127.0.0.1:{port}", home)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            # uvicorn waits without a limit for a connection that a browser opened meanwhile and never used.
            process.kill()
            process.wait()


def stop_workers(home: Path) -> None:
    """End every worker and sweep of a home, but not those that the test itself pretends to be working on."""
    for kind, stop in ((sweep_folder.list_sweeps(home), controller.stop), (runs.list_runs(home), runs.Run.stop)):
        for run in kind:
            status = run.status()
            if status.active and status.pid != os.getpid():
                with suppress(ValueError):  # it has just ended
                    stop(run)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def healthy(port: int) -> bool:
    """Whether an app answers on this port."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def answer_at(url: str, seconds: float = 120) -> str:
    """What is answered there, as soon as somebody does."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return urllib.request.urlopen(url, timeout=5).read().decode()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def wait_until(holds: Callable[[], object], seconds: float, about: Callable[[], object] = lambda: "") -> None:
    """Poll until `holds()` is true; fail after `seconds`, saying `about()`."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {about()}"
        time.sleep(0.05)


def at_rest(page: Page) -> None:
    """Wait until the page is drawn: before that, what is to go can still stand beside what comes in its place.

    To be called when something of the new page was seen: what was just pressed may not have reached the server.
    """
    page.locator('[data-test-script-state="notRunning"]').wait_for()


def pick(page: Page, control: str, option: str) -> None:
    """Choose an option of a page that is drawn: a redraw would close the list that is open."""
    at_rest(page)
    page.get_by_role("combobox", name=control).click()
    page.get_by_role("option", name=option).click()
