"""The app as Streamlit's own test runner executes it, without a browser."""

from functools import cache
from pathlib import Path
from typing import Any

from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from ui.widgets.panels import FAILED

APP = str(Path(__file__).parents[1] / "app.py")

# For every page that it opens, the runner asks all installed packages whether they bring components: 0.2 s of CPU
# for the same answer, ten times what the page takes.
manifest_scanner.scan_component_manifests = cache(manifest_scanner.scan_component_manifests)


def opened(page: str = "", **address: str) -> AppTest:
    """A page of `pages/`, the first one where none is named, as a browser opens it by an address."""
    test = AppTest.from_file(APP, default_timeout=120)
    for name, value in address.items():
        test.query_params[name] = value
    return checked((test.switch_page(f"pages/{page}.py") if page else test).run())


def app(run: str | None = None) -> AppTest:
    return opened(run=run) if run else opened()


def address(page: AppTest) -> dict[str, str]:
    """The parameters of the address that a page has come to."""
    return {name: value[0] if isinstance(value, list) else value for name, value in page.query_params.items()}


def checked(page: AppTest) -> AppTest:
    assert not page.exception, page.exception
    failed = [error.value for error in page.error if FAILED in error.value]
    assert not failed, failed
    return page


def words(page: AppTest) -> str:
    """Everything that the page says, as one text."""
    kinds = ("title", "header", "subheader", "caption", "markdown", "info", "warning", "error", "success", "code")
    return "\n".join(str(element.value) for kind in kinds for element in page.get(kind))


def as_read(text: str) -> str:
    """A text without the signs that keep Markdown out."""
    return text.replace("\\", "").replace("\u2060", "")


def read(page: AppTest) -> str:
    """What the page says as its reader sees it."""
    return as_read(words(page))


def button(page: AppTest, label: str) -> Any:
    return next(button for button in page.button if button.label == label)


def click(page: AppTest, label: str) -> AppTest:
    return checked(button(page, label).click().run())


def labels(page: AppTest) -> list[str]:
    return [button.label for button in page.button]
