"""The Data page: what it lists, what it takes, what it refuses."""

from pathlib import Path

import pytest
from driven import app, button, checked, words
from stand_in import make_pair
from streamlit.testing.v1 import AppTest

from tfbind.datasets import import_pair, list_datasets
from ui.session import plain


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TFBIND_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def small(home: Path, tmp_path: Path) -> str:
    """A data set of 40 windows of 30 bases in the home."""
    return import_pair(home, *make_pair(tmp_path), "small").name


def data_page() -> AppTest:
    return checked(app().switch_page("pages/data.py").run())


def test_data_page_of_an_empty_home() -> None:
    page = data_page()
    assert "No data set" in words(page)
    button(page, "Import").click().run()
    assert checked(page).error[0].value == "Still to be given: sequences, scores, name."


@pytest.mark.usefixtures("small")
def test_data_page_lists_what_is_there() -> None:
    table = data_page().dataframe[0].value
    assert list(table["Name"]) == ["small"]
    assert list(table["Windows"]) == [40]
    assert list(table["Bases per window"]) == [30]
    assert table["Scored bases"][0] == pytest.approx(10 / 30)


def upload(page: AppTest, sequences: Path, scores: Path, name: str) -> AppTest:
    page.file_uploader[0].upload(sequences.name, sequences.read_bytes())
    page.file_uploader[1].upload(scores.name, scores.read_bytes())
    page.text_input("import-name").set_value(name).run()
    button(page, "Import").click().run()
    return checked(page)


def test_import_and_train_on_it(home: Path, tmp_path: Path) -> None:
    page = upload(data_page(), *make_pair(tmp_path), "mine")
    assert "40 windows of 30 bases" in page.success[0].value
    assert [data["name"] for data in list_datasets(home)] == ["mine"]
    assert list(home.glob("upload-*")) == []
    button(page, "Train on it").click().run()
    assert checked(page).selectbox("config-dataset").value == "mine"


def test_bad_files_are_one_line_and_leave_nothing(home: Path, tmp_path: Path) -> None:
    sequences, scores = make_pair(tmp_path)
    sequences.write_text(sequences.read_text().replace("A", "J", 3))
    page = upload(data_page(), sequences, scores, "mine")
    assert len(page.error) == 1
    assert "\n" not in page.error[0].value
    assert plain(sequences.name) in page.error[0].value
    assert list_datasets(home) == []
    assert list(home.glob("upload-*")) == []


def test_transposed_scores_are_offered_to_be_turned(tmp_path: Path) -> None:
    sequences, scores = make_pair(tmp_path, turned=True)
    page = upload(data_page(), sequences, scores, "mine")
    assert len(page.error) == 1
    page.button("turned").click().run()
    assert "40 windows of 30 bases" in checked(page).success[0].value


@pytest.mark.usefixtures("small")
def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    page = upload(data_page(), *make_pair(tmp_path), "small")
    assert "exists already" in page.error[0].value
