"""Models on the Predict page: averages, imported ones, those of a fixed length, and what their scores mean."""

import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from driven import as_read, checked, click, opened, read
from stand_in import make_pair, make_run
from streamlit.testing.v1 import AppTest
from test_predict_page import SITE, choose, drawn, figure, line, predict, sites, use, vary

from tfbind import runs
from tfbind.config import TrainConfig
from tfbind.data import manage
from tfbind.data.dataset import import_pair, make_builtin
from tfbind.dna.codes import encode, reverse_complement
from tfbind.nn import weight_files
from tfbind.scoring.model import BUILTIN_FOLDER, load_model, score
from tfbind.store.schema import read_json, write_json

pytestmark = pytest.mark.usefixtures("home")

WEIGHTS = sorted(BUILTIN_FOLDER.glob("*.safetensors"))


def models(home: Path, *names: str) -> list[str]:
    """Finished runs with the weights of the shipped model's members."""
    made = [make_run(home, "finished", name=name) for name in names]
    for run, weights in zip(made, WEIGHTS, strict=False):
        shutil.copy(weights, run.folder / runs.BEST)
    return [run.id for run in made]


@cache
def weights_of_fixed_length() -> bytes:
    from tfbind.nn.model import build_model  # both load torch
    from tfbind.nn.weights import pack_weights

    return pack_weights(build_model(TrainConfig(num_channels=8, num_res_blocks=1), 100), {})


def fixed_length(home: Path, name: str) -> str:
    """The id of a finished run whose model takes windows of 100 bases."""
    run = make_run(home, "finished", name=name)
    (run.folder / runs.BEST).write_bytes(weights_of_fixed_length())
    return run.id


def note(home: Path, run: str, facts: dict[str, str]) -> None:
    """Write facts into the record of a run."""
    record = home / "runs" / run / runs.CONFIG
    write_json(record, read_json(record) | facts)


def test_unit_factor_and_motif_are_those_of_the_data_that_the_model_was_trained_on(home: Path) -> None:
    known, unknown = models(home, "known", "unknown")
    note(home, known, {"dataset_hash": make_builtin(home, windows=300).hash})
    note(home, unknown, {"dataset": "sig"})
    page = use(predict(SITE), known)
    assert "FOXA1, score in nats above background, not occupancy" in read(page)
    assert sites(page).iloc[0]["strand"] == "-"
    assert figure(page)["layout"]["yaxis"]["title"]["text"] == "score in nats above background"
    use(page, unknown)
    assert figure(page)["layout"]["yaxis"]["title"]["text"] == "score in the unit of data set sig"
    assert "FOXA1" not in read(page)
    assert "of at least 3, strongest first" in read(page)
    assert sites(page).iloc[0]["strand"] == "."


def test_what_scores_mean_follows_the_data_set_when_it_is_renamed_or_deleted(home: Path, tmp_path: Path) -> None:
    data = import_pair(home, *make_pair(tmp_path), "first")
    (run,) = models(home, "mine")
    note(home, run, {"dataset": "first", "dataset_hash": data.hash})
    page = use(predict(SITE), run)
    assert "score in the unit of data set first" in read(page)
    manage.rename(home, "first", "second", runs.active_on)
    assert "score in the unit of data set second" in read(checked(page.run()))
    manage.delete(home, "second", runs.active_on)
    assert "score in the unit of data set first" in read(checked(page.run()))  # all that the run itself knows


def test_among_records_that_are_too_short_one_that_can_be_scored_is_open(home: Path) -> None:
    run = fixed_length(home, "fixed")
    page = use(predict(f">short\n{SITE}\n>long\n{SITE}{SITE}\n"), run)
    assert not page.error
    assert page.subheader[0].value == "long"
    assert "1 of them, without a score, are too short for this model" in read(page)
    assert choose(page, 0).subheader[0].value == "short"
    assert "this model needs 100" in page.error[0].value
    checked(page.checkbox(key="pad").set_value(True).run())
    assert not page.error
    assert not page.dataframe[0].value["Highest score"].isna().any()


def test_a_short_sequence_is_filled_up_on_request_also_on_the_other_strand(home: Path) -> None:
    run = fixed_length(home, "fixed")
    page = use(predict(SITE), run)
    checked(page.checkbox(key="show-reverse").set_value(True).run())
    assert "this model needs 100" in as_read(page.error[0].value)
    checked(page.checkbox(key="pad").set_value(True).run())
    assert not page.error
    model, reverse = load_model(home, run), reverse_complement(encode(SITE))
    assert line(page, "other strand") == pytest.approx(score(model, reverse, pad=True).scores[::-1], abs=1e-3)
    assert {"original", "changed", "other strand"} <= drawn(vary(page, "41 T>C"))


def test_an_average_of_runs_is_their_mean_with_a_band_and_a_second_model_lies_over_it(home: Path) -> None:
    one, two = models(home, "one", "two")
    fixed = fixed_length(home, "the published one")
    page = predict(SITE)
    assert len(page.selectbox(key="model").options) == 5  # the shipped one, the runs, the average
    assert "Choose two or more models." in read(use(page, "average"))
    checked(page.multiselect(key="average").set_value([one, two]).run())
    mean = score(load_model(home, f"{one},{two}"), encode(SITE)).scores
    assert line(page, "predicted") == pytest.approx(mean, abs=1e-3)
    assert "± 1 sd" in drawn(page)
    checked(page.selectbox(key="compare-with").set_value(one).run())
    assert {name.split(":")[0] for name in drawn(page) if name} >= {"predicted", "± 1 sd"}
    alone = score(load_model(home, one), encode(SITE)).scores
    assert line(page, "one") == pytest.approx(alone, abs=1e-3)
    assert f"the two models: Pearson {np.corrcoef(mean, alone)[0, 1]:.3f} in this sequence" in read(page)
    checked(page.multiselect(key="average").set_value([fixed, one]).run())
    message = as_read(page.error[0].value)
    assert "cannot be averaged" in message
    assert "the published one (Pearson 0.832) takes windows of 100 bases" in message
    assert "--model" not in message
    assert fixed not in message


def test_the_profile_is_drawn_before_the_background_is_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    def scoring(*_: object) -> None:
        raise RuntimeError("the background is being scored")

    monkeypatch.setattr("ui.widgets.cache.chance", scoring)
    page = opened("predict")
    page.text_area[0].set_value(SITE).run()
    assert "the background is being scored" in page.error[0].value
    assert "predicted" in drawn(page)


def import_file(page: AppTest, source: Path, name: str = "") -> AppTest:
    page.file_uploader(key="weights-file").upload(source.name, source.read_bytes())
    page.text_input(key="weights-name").set_value(name)
    return click(checked(page.run()), "Import")


def test_weights_from_elsewhere_are_imported_chosen_and_score_as_their_file_does(home: Path) -> None:
    page = import_file(predict(SITE), WEIGHTS[0], "theirs")
    assert not page.error
    assert [card.name for card in weight_files.list_models(home)] == ["theirs"]
    assert "theirs (imported)" in page.selectbox(key="model").options
    assert page.selectbox(key="model").value == "theirs"
    theirs = score(load_model(home, str(WEIGHTS[0])), encode(SITE)).scores
    assert line(page, "predicted") == pytest.approx(theirs, abs=1e-3)
    assert sites(page).iloc[0]["strand"] == "."  # nothing says which motif is behind them
    assert "known motif" not in drawn(page)
    assert "score in the unit of the data it was trained on" in read(page)
    assert "nats" not in read(page)
    checked(page.selectbox(key="compare-with").set_value("builtin").run())
    shipped = score(load_model(home, "builtin"), encode(SITE)).scores
    assert line(page, "Built-in model") == pytest.approx(shipped, abs=1e-3)
    page = import_file(page, WEIGHTS[0], "theirs")
    assert [as_read(error.value) for error in page.error] == [
        "model 'theirs': exists already and is not overwritten; choose another name"
    ]


def test_a_file_that_is_no_model_is_refused_by_its_name_in_one_line(home: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn weights.safetensors"
    torn.write_bytes(WEIGHTS[0].read_bytes()[:1000])
    page = import_file(predict(SITE), torn)
    (error,) = page.error
    assert as_read(error.value).startswith("torn weights.safetensors: not readable as weights")
    assert page.selectbox(key="model").value == "builtin"
    assert not list(home.glob(".upload.*"))
    assert weight_files.list_models(home) == []
