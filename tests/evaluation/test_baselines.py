"""Baselines: what they reach on planted rules, worked out by hand where that is possible."""

import json
from dataclasses import replace

import numpy as np
import pytest
from toy import toy_data, toy_home

from tfbind.config import TrainConfig
from tfbind.data.dataset import import_pair, make_builtin, open_dataset
from tfbind.data.splits import split
from tfbind.dna.codes import encode
from tfbind.evaluation import baselines
from tfbind.evaluation.baselines import Baseline, best_table, remark, word_table


def by_key(found: list[Baseline]) -> dict[str, Baseline]:
    return {baseline.key: baseline for baseline in found}


def test_a_word_has_the_mean_of_its_lowest_scores_and_a_base_the_highest_of_its_words() -> None:
    codes = np.stack([encode("AACCGGTTAA"), encode("AACCGGTTCC")])
    scores = np.zeros((2, 10), dtype=np.float32)
    scores[0, 0:8] = 4.0  # the word AACCGGTT of 8 bases scores 4 here and 2 there
    scores[1, 0:8] = 2.0
    model = word_table(codes, scores, np.array([0, 1]), 8)
    # Of the words beside AACCGGTT, two have a middle of 6 bases that was met in training, with the same value.
    assert model(encode("TTTTAACCGGTTTTTT")[None])[0].tolist() == [0, 0, 0] + [3] * 10 + [0, 0, 0]
    assert model(encode("TTTTAACCNGTTTTTT")[None])[0].max() == 0


def test_a_word_that_was_never_met_has_the_value_of_the_shorter_one_in_its_middle() -> None:
    codes = encode("TAACCGGA")[None]
    scores = np.full((1, 8), 5.0, dtype=np.float32)
    model = word_table(codes, scores, np.array([0]), 8)
    assert model(encode("CAACCGGC")[None])[0].max() == 5.0
    assert model(encode("CAACCTGC")[None])[0].max() == 0.0
    plain = word_table(codes, scores, np.array([0]), 8, middles=False)
    assert plain(encode("CAACCGGC")[None])[0].max() == 0.0
    assert plain(codes)[0].tolist() == [5.0] * 8


@pytest.fixture(scope="module")
def builtin(tmp_path_factory):
    return make_builtin(tmp_path_factory.mktemp("builtin"), windows=3_000)


def test_kept_figures_that_call_the_scan_a_ceiling_open_under_its_name(tmp_path) -> None:
    kept = tmp_path / baselines.FOLDER / f"{'a' * 24}-{'b' * 24}-{baselines.FORMAT}.json"
    kept.parent.mkdir()
    rows = [
        {"key": "ceiling", "name": "ceiling", "about": "all"},
        {"key": "words", "name": "table", "about": "words"},
    ]
    kept.write_text(json.dumps({"baselines": rows, "leaks": {"windows": 1, "unplaced": 0, "pairs": []}}))
    found = baselines.read_baselines(tmp_path, {"dataset_hash": "a" * 64, "split_hash": "b" * 64})
    assert found is not None
    assert [(one.key, one.name) for one in found.baselines] == [("ceiling", "motif scan"), ("words", "table")]


def test_the_rule_behind_the_labels_is_a_motif_scan_and_the_others_reach_it(builtin) -> None:
    found = by_key(baselines.compute_baselines(builtin, split(builtin, TrainConfig())))
    assert list(found) == ["mean", "words", "pwm", "jaspar", "ceiling"]
    assert found["ceiling"].name == "motif scan"
    assert found["ceiling"].val_pearsonr == pytest.approx(0.987, abs=0.005)
    assert found["jaspar"].name == "JASPAR FOXA1"
    for scan in ("jaspar", "pwm"):
        assert found[scan].val_pearsonr == pytest.approx(found["ceiling"].val_pearsonr, abs=0.001)
        assert found[scan].val_pearsonr < found["ceiling"].val_pearsonr + 1e-6
        assert found[scan].val_auprc == pytest.approx(found["ceiling"].val_auprc, abs=0.01)
        assert found[scan].val_recall > 0.95
        assert found[scan].val_precision > 0.95
    scored = float((np.asarray(builtin.scores[split(builtin, TrainConfig()).validation]) > 0).mean())
    assert found["mean"].val_auprc == pytest.approx(scored)  # no order at all: precision is the share of sites
    assert found["mean"].val_pearsonr is None
    assert found["mean"].val_windows_undefined == 600
    truth = np.asarray(builtin.scores)
    held = split(builtin, TrainConfig())
    expected = float(((truth[held.validation] - truth[held.train].mean()) ** 2).mean())
    assert found["mean"].val_loss == pytest.approx(expected, rel=1e-5)


def test_nothing_is_fitted_to_what_is_held_out(builtin) -> None:
    parts = split(builtin, TrainConfig())
    other = np.array(builtin.scores)
    other[parts.validation] = np.random.default_rng(0).random((len(parts.validation), builtin.length))
    unlike = replace(builtin, scores=other, meta={**builtin.meta, "origin": {"kind": "pair"}})
    like = replace(builtin, meta=unlike.meta)
    mine, theirs = (
        by_key(baselines.compute_baselines(like, parts)),
        by_key(baselines.compute_baselines(unlike, parts)),
    )
    assert mine["ceiling"].val_pearsonr > 0.98
    assert theirs["pwm"].val_pearsonr < 0.1
    assert [base.about for base in mine.values()] == [base.about for base in theirs.values()]


def test_a_matrix_that_cannot_be_fitted_has_no_figures_but_says_why(builtin) -> None:
    flat = replace(builtin, scores=np.ones(builtin.scores.shape, np.float32), meta={"origin": {"kind": "pair"}})
    found = by_key(baselines.compute_baselines(flat, split(flat, TrainConfig())))
    assert list(found) == ["mean", "words", "pwm", "jaspar"]
    assert found["pwm"].val_loss is None
    assert "no motif is to be found behind the training scores" in found["pwm"].about


def test_the_length_of_word_is_that_of_the_motif(builtin) -> None:
    assert best_table(builtin.codes, builtin.scores, split(builtin, TrainConfig()).train)[0] == 8


def test_windows_shorter_than_a_word_are_no_error() -> None:
    data = toy_data(length=7)
    assert best_table(data.codes, data.scores, np.arange(40))[0] == 6
    assert word_table(data.codes, data.scores, np.arange(40), 6)(data.codes[:2]).shape == (2, 7)


def test_they_are_computed_once_for_a_split(tmp_path, builtin) -> None:
    parts = split(builtin, TrainConfig())
    record = {"dataset_hash": builtin.hash, "split_hash": parts.hash}
    assert baselines.read_baselines(tmp_path, record) is None
    made = baselines.ensure_baselines(tmp_path, builtin, parts)
    assert baselines.read_baselines(tmp_path, record) == made
    assert made.leaks.held_out == 600
    (kept,) = (tmp_path / baselines.FOLDER).glob("*.json")
    written = kept.stat().st_mtime_ns
    assert baselines.ensure_baselines(tmp_path, builtin, parts) == made
    assert kept.stat().st_mtime_ns == written
    kept.write_text('{"baselines": [{"key": 1}]}')
    with pytest.raises(ValueError, match=r"json: baselines, leaks missing or of another kind; .*; delete it"):
        baselines.read_baselines(tmp_path, record)


def test_in_a_comparison_they_have_one_value_for_each_split_of_the_runs(tmp_path) -> None:
    home = toy_home(tmp_path)
    data = open_dataset(home, "toy")
    parts = [split(data, TrainConfig(dataset="toy", seed=seed)) for seed in (0, 1)]
    made = [baselines.ensure_baselines(home, data, one).baselines for one in parts]
    records = [{"dataset_hash": data.hash, "split_hash": parts[seed].hash} for seed in (0, 1, 1)]
    unknown = {"dataset_hash": data.hash, "split_hash": "f" * 64}
    rows = {row.key: row for row in baselines.compare_baselines(home, [*records, unknown, {}], "val_loss")}
    assert rows["mean"].values == [by_key(found)["mean"].val_loss for found in made]
    assert rows["mean"].mean == pytest.approx(sum(rows["mean"].values) / 2)
    assert "mean" not in {row.key for row in baselines.compare_baselines(home, records, "val_pearsonr")}
    other = {"dataset_hash": "e" * 64, "split_hash": parts[0].hash}
    assert baselines.compare_baselines(home, [*records, other], "val_loss") == []  # no mean over two data sets
    assert (
        baselines.compare_baselines(home, records, "seconds")
        == baselines.compare_baselines(home, [unknown], "val_loss")
        == []
    )
    said = baselines.remark_on_best(home, records, "val_pearsonr", 0.1, "learning_rate 0.01")
    assert said is not None
    assert said.startswith("A simpler model does as well: table of 6-mers")
    assert baselines.remark_on_best(home, records, "val_loss", 0.1, "learning_rate 0.01") is None
    for elsewhere in (unknown, {"dataset_hash": None}, {}):
        some = [*records, elsewhere]
        assert baselines.remark_on_best(home, some, "val_pearsonr", 0.1, "learning_rate 0.01") is None


@pytest.mark.parametrize(
    ("reached", "said"),
    [
        (None, None),
        (0.70, "A simpler model does better"),
        (0.904, "A simpler model does as well"),
        (0.93, None),
        (0.986, "A motif scan with the very rule behind the labels reaches Pearson 0.9900"),
    ],
)
def test_the_remark_says_when_a_simpler_model_is_as_good_or_nothing_is_left(reached, said) -> None:
    found = [
        Baseline("words", "table of 10-mers", "words", 0.2, 0.9, 0.9, 0),
        Baseline("mean", "mean", "mean", 2.0, None, None, 9),
        Baseline("ceiling", "ceiling", "the rule", 0.1, 0.99, 0.99, 0),
    ]
    text = remark(found, reached)
    assert "ceiling" not in (text or "")
    assert (text is None) == (said is None)
    assert said is None or said in text


def test_a_table_of_words_reaches_what_is_known_of_the_real_data(tmp_path, real_pair) -> None:
    data = import_pair(tmp_path, *real_pair, "chr22")
    found = by_key(baselines.compute_baselines(data, split(data, TrainConfig())))
    assert found["words"].name == "table of 10-mers"
    assert found["words"].val_pearsonr == pytest.approx(0.9711, abs=2e-4)
    assert found["words"].val_pearsonr_window > 0.97
    assert found["mean"].val_loss == pytest.approx(2.45, abs=0.05)
    assert found["pwm"].val_pearsonr == pytest.approx(0.987, abs=0.003)
    assert found["ceiling"].val_pearsonr == pytest.approx(0.992, abs=0.002)
