"""Weights from elsewhere, imported on the Predict page."""

from pathlib import Path

import pytest
from driven import button, checked
from streamlit.testing.v1 import AppTest
from test_pasting_page import as_read
from test_predict_page import SITE, line, predict

from tfbind.dna.codes import encode
from tfbind.nn import weight_files
from tfbind.scoring.model import BUILTIN_FOLDER, load_model, score

pytestmark = pytest.mark.usefixtures("home")


def import_file(page: AppTest, source: Path, name: str = "") -> AppTest:
    page.file_uploader(key="weights-file").upload(source.name, source.read_bytes())
    page.text_input(key="weights-name").set_value(name)
    return checked(button(checked(page.run()), "Import").click().run())


def test_weights_from_elsewhere_are_imported_on_the_page_and_chosen(home: Path) -> None:
    theirs = BUILTIN_FOLDER / "seed1.safetensors"
    page = import_file(predict(SITE), theirs, "theirs")
    assert not page.error
    assert [card.name for card in weight_files.list_models(home)] == ["theirs"]
    assert page.selectbox(key="model").value == "theirs"
    assert line(page, "predicted") == pytest.approx(
        score(load_model(home, str(theirs)), encode(SITE)).scores, abs=1e-3
    )
    page = import_file(page, theirs, "theirs")
    assert [as_read(error.value) for error in page.error] == [
        "model 'theirs': exists already and is not overwritten; choose another name"
    ]


def test_a_file_that_is_no_model_is_refused_by_its_name_in_one_line(home: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn weights.safetensors"
    torn.write_bytes((BUILTIN_FOLDER / "seed1.safetensors").read_bytes()[:1000])
    page = import_file(predict(SITE), torn)
    (error,) = page.error
    assert as_read(error.value).startswith("torn weights.safetensors: not readable as weights")
    assert page.selectbox(key="model").value == "builtin"
    assert not list(home.glob(".upload.*"))
    assert weight_files.list_models(home) == []
