"""The real app on a free port with a home of its own, driven in headless Chromium: one of each for all tests."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from driving import LOG, WAIT_MS, Server, headless, serve, stop_workers
from playwright.sync_api import BrowserContext, ConsoleMessage, Page
from toy import toy_home

LAPTOP = {"width": 1280, "height": 800}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium() -> Iterator[BrowserContext]:
    """One browser for all tests, so that what the pages load is fetched once."""
    with headless() as browser:
        yield browser.new_context()


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("home")) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    """The app, its home empty but for its own log."""
    yield running
    stop_workers(running.home)
    for path in running.home.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOG:
            path.unlink()


@pytest.fixture(scope="session")
def toy_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_home(tmp_path_factory.mktemp("toy")) / "data"


@pytest.fixture
def toy(home: Path, toy_data: Path) -> str:
    """The name of a small data set in the home of the app."""
    shutil.copytree(toy_data, home / "data")
    return "toy"


@pytest.fixture
def home(server: Server) -> Path:
    return server.home


@pytest.fixture
def open_page(chromium: BrowserContext) -> Iterator[Callable[..., Page]]:
    """Opens pages; the test fails if one logs an error or asks anything of another machine."""
    pages: list[Page] = []
    complaints: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        # On /data Streamlit asks for /data/_stcore/ before it asks for /_stcore/, which is there.
        if message.type == "error" and "/_stcore/" not in message.location["url"]:
            complaints.append(f"console: {message.text} {message.location['url']}")

    def on_request(url: str) -> None:
        if not url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")):
            complaints.append(f"request: {url}")

    def open(
        url: str,
        width: int = LAPTOP["width"],
        height: int = LAPTOP["height"],
        scheme: Literal["light", "dark"] = "light",
    ) -> Page:
        page = chromium.new_page()
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)
        page.on("console", on_console)
        page.on("pageerror", lambda error: complaints.append(f"page: {error} {error.stack}"))
        page.on("request", lambda request: on_request(request.url))
        page.on("websocket", lambda socket: on_request(socket.url))
        pages.append(page)
        page.set_default_timeout(WAIT_MS)
        page.goto(url)
        return page

    yield open
    for page in pages:
        if not page.is_closed():
            page.evaluate("localStorage.clear()")
            page.close()
    chromium.clear_cookies()  # a new context would have to load and compile the app anew
    assert complaints == []
