"""The app as Streamlit's own test runner executes it, without a browser."""

from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

from ui.widgets.panels import FAILED

APP = str(Path(__file__).parents[1] / "app.py")


def app(run: str | None = None) -> AppTest:
    page = AppTest.from_file(APP, default_timeout=60)
    if run:
        page.query_params["run"] = run
    return checked(page.run())


def checked(page: AppTest) -> AppTest:
    assert not page.exception, page.exception
    failed = [error.value for error in page.error if FAILED in error.value]
    assert not failed, failed
    return page


def words(page: AppTest) -> str:
    """Everything that the page says, as one text."""
    kinds = ("title", "header", "subheader", "caption", "markdown", "info", "warning", "error", "success", "code")
    return "\n".join(str(element.value) for kind in kinds for element in page.get(kind))


def button(page: AppTest, label: str) -> Any:
    return next(button for button in page.button if button.label == label)


def labels(page: AppTest) -> list[str]:
    return [button.label for button in page.button]
