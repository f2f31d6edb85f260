"""What scores mean, told from the data behind a model: a motif scan, a signal, files from elsewhere, none at all."""

from pathlib import Path

import numpy as np
import pytest
from stand_in import CONFIG, make_run

from tfbind.data.dataset import make_builtin, save_dataset
from tfbind.data.pairs import Pair
from tfbind.data.simulate import P_VALUE
from tfbind.motifs.jaspar import find_motif
from tfbind.motifs.pwm import jaspar_motif, threshold_of
from tfbind.scoring.target import SHIPPED, UNKNOWN, ScoreTarget, read_score_target

CTCF = find_motif("MA0139.2")
SCAN = {
    "kind": "motif",
    "motif": "CTCF",
    "matrix_id": CTCF.matrix_id,
    "matrix": CTCF.probabilities.tolist(),
    "threshold": 7.5,
}


def trained_on(home: Path, name: str, origin: dict) -> str:
    """The id of a run on a data set of this origin."""
    seed = sum(name.encode())
    codes = np.random.default_rng(seed).integers(0, 4, (3, 30), dtype=np.uint8)
    pair = Pair(np.array([b"a", b"b", b"c"]), codes, np.ones((3, 30), np.float32))
    data = save_dataset(home, name, pair, origin)
    config = CONFIG.model_copy(update={"dataset": name})
    return make_run(home, "finished", config=config, dataset_hash=data.hash).id


def test_the_shipped_model_has_the_rule_of_the_built_in_data(tmp_path):
    origin = make_builtin(tmp_path).meta["origin"]
    assert SHIPPED.origin.items() <= origin.items()
    assert SHIPPED.scan.threshold == threshold_of(jaspar_motif(), P_VALUE)
    assert read_score_target(tmp_path, "builtin") == SHIPPED


def test_a_run_means_what_its_data_mean(tmp_path):
    scan, signal = trained_on(tmp_path, "ctcf", SCAN), trained_on(tmp_path, "sig", {"kind": "signal"})
    ctcf = read_score_target(tmp_path, scan)
    assert (ctcf.factor, ctcf.unit, ctcf.scale) == ("CTCF", " nats", "nats above background")
    assert ctcf.scan.motif.consensus == CTCF.consensus
    assert ctcf.scan.threshold == 7.5
    other = read_score_target(tmp_path, signal)
    assert (other.factor, other.unit, other.scan) == ("", "", None)
    assert other.words == "score in the unit of data set sig"
    assert read_score_target(tmp_path, trained_on(tmp_path, "theirs", {"kind": "pair"})).words == (
        "score in the unit of data set theirs"
    )


def test_data_that_are_gone_or_changed_leave_only_their_name(tmp_path):
    run = make_run(tmp_path, "finished", dataset_hash="0" * 64)
    assert read_score_target(tmp_path, run.id) == ScoreTarget(data=CONFIG.dataset)


def test_renamed_data_are_found_by_their_content(tmp_path):
    run = trained_on(tmp_path, "old", {"kind": "signal"})
    (tmp_path / "data" / "old").rename(tmp_path / "data" / "new")
    assert read_score_target(tmp_path, run).scale == "the unit of data set new"


@pytest.mark.parametrize("name", ["mine", "mine.safetensors", "mine.pt"])
def test_nothing_is_known_of_weights_from_elsewhere(tmp_path, name):
    assert read_score_target(tmp_path, name) == UNKNOWN
    assert UNKNOWN.words == "score in the unit of the data it was trained on"


def test_an_average_means_what_all_its_members_mean(tmp_path):
    run = trained_on(tmp_path, "again", {"kind": "simulation", "motif": "FOXA1", **SHIPPED.origin})
    assert read_score_target(tmp_path, f"builtin,{run}") == SHIPPED
    assert read_score_target(tmp_path, f"builtin,{trained_on(tmp_path, 'ctcf', SCAN)}") == UNKNOWN
