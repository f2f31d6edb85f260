"""Models on the Predict page: averages, imported ones, those of a fixed length, and what their scores mean."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from driven import app, checked, words
from stand_in import make_pair, make_run
from test_predict_page import SITE, drawn, figure, line, predict, read, sites

from tfbind import runs
from tfbind.config import TrainConfig
from tfbind.data import manage
from tfbind.data.dataset import import_pair, make_builtin
from tfbind.dna.codes import encode, reverse_complement
from tfbind.nn import weight_files
from tfbind.nn.model import build_model
from tfbind.nn.weights import pack_weights
from tfbind.scoring.model import BUILTIN_FOLDER, load_model, score
from tfbind.store.schema import read_json, write_json

pytestmark = pytest.mark.usefixtures("home")


def models(home: Path, *names: str) -> list[str]:
    """Finished runs with the weights of the shipped model's members."""
    made = [make_run(home, "finished", name=name) for name in names]
    for run, weights in zip(made, sorted(BUILTIN_FOLDER.glob("*.safetensors")), strict=False):
        shutil.copy(weights, run.folder / runs.BEST)
    return [run.id for run in made]


def fixed_length(home: Path, name: str) -> str:
    """The id of a finished run whose model takes windows of 100 bases."""
    run = make_run(home, "finished", name=name)
    weights = pack_weights(build_model(TrainConfig(num_channels=8, num_res_blocks=1), 100), {})
    (run.folder / runs.BEST).write_bytes(weights)
    return run.id


def test_unit_factor_and_motif_are_those_of_the_data_that_the_model_was_trained_on(home: Path) -> None:
    known, unknown = models(home, "known", "unknown")
    for run, data in ((known, {"dataset_hash": make_builtin(home).hash}), (unknown, {"dataset": "sig"})):
        record = home / "runs" / run / runs.CONFIG
        write_json(record, read_json(record) | data)
    page = predict(SITE)
    page = checked(page.selectbox(key="model").set_value(known).run())
    assert "FOXA1, score in nats above background, not occupancy" in read(page)
    assert sites(page).iloc[0]["strand"] == "-"
    assert figure(page)["layout"]["yaxis"]["title"]["text"] == "score in nats above background"
    page = checked(page.selectbox(key="model").set_value(unknown).run())
    assert figure(page)["layout"]["yaxis"]["title"]["text"] == "score in the unit of data set sig"
    assert "FOXA1" not in read(page)
    assert "of at least 3, strongest first" in read(page)
    assert sites(page).iloc[0]["strand"] == "."


def test_what_scores_mean_follows_the_data_set_when_it_is_renamed_or_deleted(home: Path, tmp_path: Path) -> None:
    data = import_pair(home, *make_pair(tmp_path), "first")
    (run,) = models(home, "mine")
    record = home / "runs" / run / runs.CONFIG
    write_json(record, read_json(record) | {"dataset": "first", "dataset_hash": data.hash})
    page = predict(SITE)
    page = checked(page.selectbox(key="model").set_value(run).run())
    assert "score in the unit of data set first" in read(page)
    manage.rename(home, "first", "second", runs.active_on)
    assert "score in the unit of data set second" in read(checked(page.run()))
    manage.delete(home, "second", runs.active_on)
    assert "score in the unit of data set first" in read(checked(page.run()))  # all that the run itself knows


def test_among_records_that_are_too_short_one_that_can_be_scored_is_open(
    home: Path,
) -> None:
    run = fixed_length(home, "fixed")
    page = predict(f">short\n{SITE}\n>long\n{SITE}{SITE}\n")
    page = checked(page.selectbox(key="model").set_value(run).run())
    assert not page.error
    assert page.subheader[0].value == "long"
    assert "1 of them, without a score, are too short for this model" in read(page)
    page.session_state["records"] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    checked(page.run())
    assert page.subheader[0].value == "short"
    assert "this model needs 100" in page.error[0].value
    checked(page.checkbox(key="pad").set_value(True).run())
    assert not page.error
    assert not page.dataframe[0].value["Highest score"].isna().any()


def test_an_average_of_unlike_models_is_refused_with_their_names(home: Path) -> None:
    fixed, (local,) = fixed_length(home, "the published one"), models(home, "the local one")
    page = predict(SITE)
    checked(page.selectbox(key="model").set_value("average").run())
    checked(page.multiselect(key="average").set_value([fixed, local]).run())
    said = page.error[0].value.replace("\\", "")
    assert "cannot be averaged" in said
    assert "the published one (Pearson 0.832) takes windows of 100 bases" in said
    assert "--model" not in said
    assert fixed not in said


def test_the_profile_is_drawn_before_the_background_is_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    def scoring(*_: object) -> None:
        raise RuntimeError("the background is being scored")

    monkeypatch.setattr("ui.widgets.cache.chance", scoring)
    page = app().switch_page("pages/predict.py").run()
    page.text_area[0].set_value(SITE).run()
    assert "the background is being scored" in page.exception[0].value
    assert "predicted" in drawn(page)


def test_an_imported_model_is_chosen_and_scores_as_its_file_does(home: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "Theirs.safetensors"
    shutil.copy(BUILTIN_FOLDER / "seed1.safetensors", theirs)
    weight_files.import_model(home, theirs)
    page = predict(SITE)
    assert "theirs (imported)" in page.selectbox(key="model").options
    page = checked(page.selectbox(key="model").set_value("theirs").run())
    assert line(page, "predicted") == pytest.approx(
        score(load_model(home, str(theirs)), encode(SITE)).scores, abs=1e-3
    )
    assert sites(page).iloc[0]["strand"] == "."  # nothing says which motif is behind them
    assert "known motif" not in drawn(page)
    assert "score in the unit of the data it was trained on" in read(page)
    assert "nats" not in read(page)
    page = checked(page.selectbox(key="compare-with").set_value("builtin").run())
    assert line(page, "Built-in model") == pytest.approx(
        score(load_model(home, "builtin"), encode(SITE)).scores, abs=1e-3
    )


def test_an_average_of_runs_is_their_mean_with_a_band_and_a_second_model_lies_over_it(home: Path) -> None:
    one, two = models(home, "one", "two")
    page = predict(SITE)
    assert len(page.selectbox(key="model").options) == 4  # the shipped one, both runs, the average
    page.selectbox(key="model").set_value("average")
    checked(page.run())
    assert "Choose two or more models." in words(page)
    checked(page.multiselect(key="average").set_value([one, two]).run())
    mean = load_model(home, f"{one},{two}")
    assert line(page, "predicted") == pytest.approx(score(mean, encode(SITE)).scores, abs=1e-3)
    assert "± 1 sd" in drawn(page)
    checked(page.selectbox(key="compare-with").set_value(one).run())
    assert {name.split(":")[0] for name in drawn(page) if name} >= {"predicted", "± 1 sd"}
    alone = score(load_model(home, one), encode(SITE)).scores
    assert line(page, "one") == pytest.approx(alone, abs=1e-3)
    r = np.corrcoef(score(mean, encode(SITE)).scores, alone)[0, 1]
    assert f"the two models: Pearson {r:.3f} in this sequence" in read(page)


def test_a_short_sequence_is_filled_up_on_request_also_on_the_other_strand(home: Path) -> None:
    run = fixed_length(home, "fixed")
    page = predict(SITE)
    page.selectbox(key="model").set_value(run)
    checked(page.checkbox(key="show-reverse").set_value(True).run())
    assert "this model needs 100" in page.error[0].value.replace("\\", "")
    checked(page.checkbox(key="pad").set_value(True).run())
    assert not page.error
    model, reverse = load_model(home, run), reverse_complement(encode(SITE))
    assert line(page, "other strand") == pytest.approx(score(model, reverse, pad=True).scores[::-1], abs=1e-3)
    checked(page.text_input(key="variant").set_value("41 T>C").run())
    assert {"original", "changed", "other strand"} <= drawn(page)
