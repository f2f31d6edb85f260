"""From which score on sites are called, where nobody says: half the lowest label that a model learnt from."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from driven import checked, read
from test_model_choice import models, note
from test_predict_page import SITE, predict, use

from tfbind.__main__ import main
from tfbind.config import PRESETS
from tfbind.data import dataset
from tfbind.data.pairs import Pair
from tfbind.metrics import lowest_label, site_agreement
from tfbind.nn.weight_files import LOWEST_LABEL, read_facts
from tfbind.runs import folder
from tfbind.runs.worker import Worker
from tfbind.scoring.model import load_model
from tfbind.scoring.target import SHIPPED, UNKNOWN, read_score_target
from tfbind.store.schema import read_json, write_json


def data_with(home: Path, name: str, lowest: float) -> dataset.Windows:
    """A data set whose sites score `lowest` and more."""
    rng = np.random.default_rng(sum(name.encode()))
    scores = np.zeros((40, 30), np.float32)
    scores[:, 5:15] = lowest + rng.random((40, 1))
    scores[3, 5:15] = lowest
    names = np.array([f"chr1_{at}_{at + 29}".encode() for at in range(0, 1200, 30)])
    return dataset.save_dataset(
        home, name, Pair(names, rng.integers(0, 4, (40, 30), dtype=np.uint8), scores), {"kind": "pair"}
    )


def trained(home: Path, data: dataset.Windows) -> folder.Run:
    """A run of one epoch, done by the worker itself."""
    config = PRESETS["quick"].model_copy(
        update={"dataset": data.name, "num_epochs": 1, "num_channels": 4, "device": "cpu", "threads": 1}
    )
    run = folder.create(home, config, facts={"dataset_hash": data.hash})
    assert Worker(run).work() == "finished"
    return run


def keep(home: Path, name: str, facts: dict[str, str] | None = None) -> folder.Run:
    """A run with weights that score DNA of any length, and these facts beside them."""
    from scorers import LOCAL, network  # both load torch

    from tfbind.nn.weights import pack_weights

    run = folder.create(home, LOCAL, id=name)
    (run.folder / folder.BEST).write_bytes(pack_weights(network(LOCAL), facts or {}))
    return run


def test_the_lowest_label_is_that_of_the_weakest_site_and_a_signal_has_none() -> None:
    scores = np.zeros((25_000, 4), np.float32)
    scores[20_000, 1], scores[7, 2] = 4.5, 6
    assert lowest_label(scores) == 4.5
    assert site_agreement(scores, scores).threshold == 2.25
    assert lowest_label(np.zeros((3, 4))) is None
    assert lowest_label(np.ones((3, 4))) is None


def test_the_shipped_models_is_half_the_lowest_label_of_the_built_in_data(home: Path) -> None:
    lowest = lowest_label(dataset.make_builtin(home).scores)
    assert SHIPPED.threshold == pytest.approx(lowest / 2, abs=5e-4) == 2.183


@pytest.mark.slow
def test_a_run_stores_it_with_its_weights_and_they_take_it_along(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(home, data_with(home, "sites", 1.7))
    assert float(read_facts(run.folder / folder.BEST)[LOWEST_LABEL]) == pytest.approx(1.7)
    shutil.rmtree(home / "data")
    shutil.copy(run.folder / folder.BEST, tmp_path / "w.safetensors")
    assert main(["model", "import", str(tmp_path / "w.safetensors"), "--name", "mine"]) == 0
    for name in (run.id, str(tmp_path / "w.safetensors"), "mine"):
        assert read_score_target(home, name).threshold == 0.85
        assert load_model(home, name).target.own_threshold == 0.85
    capsys.readouterr()
    (tmp_path / "x.fa").write_text(f">a\n{SITE}\n")
    for threshold, said in (([], "at least 0.85:"), (["--threshold", "2"], "at least 2:")):
        command = ["predict", "--model", "mine", "--data", str(tmp_path / "x.fa"), "--out", str(tmp_path / "x.bed")]
        assert main([*command, *threshold]) == 0
        assert said in (tmp_path / "x.bed").read_text()
        assert "sites are called" not in capsys.readouterr().err


def test_an_older_run_takes_it_from_its_data_where_they_are_and_says_so_where_not(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = keep(home, "old")
    record = home / "runs" / run.id / folder.CONFIG
    data = data_with(home, "sites", 2.5)
    write_json(record, read_json(record) | {"dataset_hash": data.hash})
    assert read_score_target(home, run.id).threshold == 1.25
    (home / "data" / "sites").rename(home / "data" / "renamed")
    assert read_score_target(home, run.id).threshold == 1.25
    shutil.rmtree(home / "data" / "renamed")
    assert (read_score_target(home, run.id).own_threshold, read_score_target(home, run.id).threshold) == (None, 3)
    (tmp_path / "x.fa").write_text(f">chr1\n{SITE}\n")
    said = "sites are called from 3, since the lowest score of a site in the data behind the model is not known"
    model = ["--model", "old", "--data", str(tmp_path / "x.fa"), "--out"]
    for words, spoken in (
        (["predict", *model, str(tmp_path / "x.bed")], True),
        (["predict", *model, str(tmp_path / "sites.fa")], True),
        (["predict", *model, str(tmp_path / "x.csv")], False),
        (["predict", *model, str(tmp_path / "y.bed"), "--threshold", "3"], False),
    ):
        assert main(words) == 0
        assert (said in capsys.readouterr().err) == spoken, words


@pytest.mark.usefixtures("home")
def test_variants_are_told_by_the_models_own_threshold(tmp_path: Path) -> None:
    (tmp_path / "x.fa").write_text(f">chr1\n{SITE}\n")
    (tmp_path / "x.vcf").write_text(f"##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\nchr1\t3\t.\t{SITE[2]}\tN\n")
    files = f"--data {tmp_path}/x.vcf --fasta {tmp_path}/x.fa --out {tmp_path}/e.tsv"
    assert main(f"variants --model builtin {files}".split()) == 0
    assert "sites score 2.183 or more" in (tmp_path / "e.tsv").read_text()
    assert json.loads((tmp_path / "e.tsv.about.json").read_text())["threshold"] == 2.183
    assert main(f"variants --model builtin {files} --threshold 3".split()) == 0
    assert "sites score 3 or more" in (tmp_path / "e.tsv").read_text()


def test_an_average_has_the_mean_of_its_members_and_none_where_one_has_none(home: Path) -> None:
    for name, lowest in (("one", "2.0"), ("two", "5.0")):
        keep(home, name, {LOWEST_LABEL: lowest})
    keep(home, "none")
    assert read_score_target(home, "one,two").threshold == 1.75
    assert read_score_target(home, "one, one").threshold == 1
    assert read_score_target(home, "one,builtin").threshold == pytest.approx((1 + 2.183) / 2, abs=1e-3)
    assert read_score_target(home, "one,none").own_threshold is None
    assert read_score_target(home, str(home / "nothing.safetensors")) == UNKNOWN


@pytest.mark.parametrize("stored", ["nan", "0", "much"])
def test_what_is_stored_and_no_score_is_refused_in_one_line(home: Path, stored: str) -> None:
    keep(home, "odd", {LOWEST_LABEL: stored})
    with pytest.raises(ValueError, match=f"best.safetensors: lowest_label is '{stored}'; expected a score above 0"):
        load_model(home, "odd")


def test_the_page_goes_with_the_model_until_the_user_says_otherwise(home: Path) -> None:
    known, unknown = models(home, "known", "unknown")
    note(home, known, {"dataset_hash": data_with(home, "weak", 0.12).hash})
    page = predict(SITE)
    assert page.number_input(key="threshold").value == 2.183
    assert use(page, known).number_input(key="threshold").value == 0.06
    assert "from" not in page.query_params
    assert use(page, unknown).number_input(key="threshold").value == 3
    assert "Sites are called from 3, since" in read(page)
    checked(page.number_input(key="threshold").set_value(2.5).run())
    assert "Sites are called from 3, since" not in read(page)
    assert use(page, known).number_input(key="threshold").value == 2.5
