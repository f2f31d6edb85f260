"""Scoring against torch, and that a score does not depend on batches or tiles."""

import itertools
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from safetensors.numpy import save_file
from scorers import FIXED, LENGTH, LOCAL, keep, network, sequence

from tfbind.config import PRESETS, TrainConfig, receptive_field
from tfbind.dna.codes import one_hot
from tfbind.nn.onnx import build_graph, read_shape
from tfbind.nn.weights import pack_weights
from tfbind.scoring.gpu import BATCH_BASES, TorchNetwork
from tfbind.scoring.model import BUILTIN_FOLDER, Site, call_sites, load_model, rule, score, score_windows

BLOCKS = TrainConfig(num_channels=16, num_res_blocks=1)  # as many channels as are computed together
HASHES = ["8954f4b1ecc1", "d273f52775e3", "6e382442f710"]  # of the shipped networks


def by_torch(model, codes: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return model(torch.from_numpy(one_hot(codes))).numpy()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    for name, config, seed in [("local", LOCAL, 0), ("second", LOCAL, 1), ("fixed", FIXED, 0)]:
        keep(home, name, config, seed)
    return home


@pytest.mark.parametrize("config", [LOCAL, FIXED, PRESETS["recommended"], TrainConfig(num_res_blocks=0), BLOCKS])
def test_the_graph_computes_what_torch_computes(config, tmp_path):
    model = network(config)
    codes = np.stack([sequence(LENGTH, seed) for seed in range(5)])
    path = tmp_path / "model.safetensors"
    path.write_bytes(pack_weights(model, {}))
    loaded = load_model(tmp_path, str(path))
    np.testing.assert_allclose(score_windows(loaded, codes), by_torch(model, codes), rtol=1e-5, atol=1e-5)
    assert loaded.receptive_field == receptive_field(config)
    assert loaded.length == (LENGTH if config.norm == "layer" else None)


def test_a_batch_of_5_scores_as_a_batch_of_64(home):
    codes = np.stack([sequence(LENGTH, seed) for seed in range(64)])
    for name in ("local", "fixed"):
        model = load_model(home, name)
        assert np.allclose(score_windows(model, codes)[:5], score_windows(model, codes[:5]), atol=1e-5)


@given(st.integers(1, 300), st.integers(1, 80))
@settings(max_examples=40)
def test_a_local_model_scores_any_length_as_if_in_one_pass_wherever_the_tiles_lie(home, length, tile):
    codes = sequence(length, length)
    model = load_model(home, "local")
    whole = by_torch(network(LOCAL), codes[None])[0]
    assert np.abs(score(model, codes, tile=tile).scores - whole).max() < 1e-5


def test_a_model_of_fixed_length_takes_each_base_from_the_tile_where_it_is_most_central(home):
    model, network_ = load_model(home, "fixed"), network(FIXED)
    codes = sequence(90)
    # Tiles of 40 start at 0, 20, 40 and 50; their centres are 19.5, 39.5, 59.5 and 69.5.
    tiles = {start: by_torch(network_, codes[None, start : start + 40])[0] for start in (0, 20, 40, 50)}
    nearest = {0: 0, 29: 0, 30: 20, 49: 20, 50: 40, 64: 40, 65: 50, 89: 50}
    profile = score(model, codes)
    for base, start in nearest.items():
        assert profile.scores[base] == pytest.approx(tiles[start][base - start], abs=1e-5)
    assert np.isnan(profile.change[:20]).all()
    assert profile.change[25] == pytest.approx(abs(tiles[0][25] - tiles[20][5]), abs=1e-5)
    assert profile.rule.startswith("scored in tiles of 40 every 20 bases")


def test_a_short_sequence_is_refused_by_a_model_of_fixed_length_unless_padding_is_asked_for(home):
    model = load_model(home, "fixed")
    codes = sequence(11)
    with pytest.raises(ValueError, match="the sequence has 11 bases; this model needs 40, or padding with N"):
        score(model, codes)
    padded = np.pad(codes, (14, 15), constant_values=4)
    expected = by_torch(network(FIXED), padded[None])[0][14:25]
    assert score(model, codes, pad=True).scores == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["local", "fixed"])
def test_both_strands_is_the_mean_with_the_reverse_complement(home, name):
    model, codes = load_model(home, name), sequence(100)
    other = np.array([3, 2, 1, 0, 4], dtype=np.uint8)[codes[::-1]]
    expected = (score(model, codes).scores + score(model, other).scores[::-1]) / 2
    assert score(model, codes, both=True).scores == pytest.approx(expected, abs=1e-6)
    assert score(model, other, both=True).scores[::-1] == pytest.approx(expected, abs=1e-5)


def test_an_average_is_the_mean_of_its_members_with_their_spread(home):
    codes = sequence(60)
    parts = np.stack([score(load_model(home, name), codes).scores for name in ("local", "second")])
    profile = score(load_model(home, "local, second"), codes)
    assert profile.scores == pytest.approx(parts.mean(axis=0), abs=1e-6)
    assert profile.spread == pytest.approx(np.abs(parts[0] - parts[1]) / np.sqrt(2), abs=1e-6)
    assert score(load_model(home, "local"), codes).spread is None


def test_models_that_cannot_be_found_read_or_averaged_are_refused_in_one_line(home, tmp_path):
    (tmp_path / "text.safetensors").write_text("no weights")
    save_file({"a": np.zeros(3, np.float32)}, tmp_path / "foreign.safetensors")
    for names, said in {
        "nobody": "expected builtin, the id of a run that has weights, an imported model",
        "../x": "expected builtin",
        str(tmp_path / "none.safetensors"): "no such file",
        str(tmp_path / "text.safetensors"): "not a safetensors file",
        str(tmp_path / "foreign.safetensors"): "weights lack initial_norm.weight",
        "local,fixed": "windows of the same length",
    }.items():
        with pytest.raises(ValueError, match=said) as caught:
            load_model(home, names)
        assert "\n" not in str(caught.value)


def test_windows_of_another_length_and_nothing_at_all_are_refused(home):
    with pytest.raises(ValueError, match="takes windows of 40 bases, not of 41"):
        score_windows(load_model(home, "fixed"), sequence(82).reshape(2, 41))
    with pytest.raises(ValueError, match="the sequence is empty"):
        score(load_model(home, "local"), sequence(0))


def test_sites_by_hand():
    scores = np.array([7, 0, 2, 3, 2, 0, 0, 9], dtype=np.float32)
    assert call_sites(scores, 2) == [Site(0, 1, 7.0, 0), Site(2, 5, 3.0, 3), Site(7, 8, 9.0, 7)]
    assert call_sites(scores, 10) == []
    assert call_sites(scores, -1) == [Site(0, 8, 9.0, 7)]


def test_the_hash_follows_the_tensors_that_scores_depend_on_and_nothing_else(tmp_path):
    """Neither order, file, metadata nor a counter of the training; every other tensor, in its last bit."""
    weights = {name: value.numpy() for name, value in network(LOCAL).state_dict().items()}
    written = itertools.count()

    def hash_of(tensors: dict[str, np.ndarray], facts: dict[str, str] | None = None) -> str:
        path = tmp_path / f"{next(written)}.safetensors"
        save_file(tensors, path, facts)
        return load_model(tmp_path, str(path)).hash

    first = hash_of(weights)
    assert hash_of(dict(reversed(weights.items())), {"run": "other"}) == first
    counters = [name for name in weights if name.endswith("num_batches_tracked")]
    assert hash_of({**weights, counters[0]: np.array(7)}) == first
    assert hash_of({name: value for name, value in weights.items() if name not in counters}) == first
    for name, value in weights.items():
        if name not in counters:
            nearest = np.nextafter(value, np.float32(1e9), dtype=np.float32)
            assert hash_of({**weights, name: nearest}) != first


def test_the_names_that_files_give_the_shipped_model_stay_what_they_are(tmp_path):
    assert load_model(tmp_path, "builtin").hash == "8167049f56a7"
    assert [load_model(tmp_path, str(path)).hash for path in sorted(BUILTIN_FOLDER.glob("*.safetensors"))] == HASHES


def test_a_graph_needs_every_tensor():
    weights = {name: value.numpy() for name, value in network(FIXED).state_dict().items()}
    assert read_shape(weights).receptive_field == 7
    for missing in weights:
        with pytest.raises(ValueError, match=f"weights lack {missing}"):
            build_graph({name: value for name, value in weights.items() if name != missing})


@pytest.mark.parametrize(
    "device",
    ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"))],
)
@pytest.mark.parametrize("names", ["local", "fixed"])
def test_networks_in_torch_give_the_scores_of_the_page(home, names, device):
    codes = sequence(60_000 if names == "fixed" else BATCH_BASES + 5_000)
    expected = score(load_model(home, names), codes, both=True)
    found = score(load_model(home, names, partial(TorchNetwork, device=device)), codes, both=True)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)


def test_the_rule_says_what_was_filled_up_and_which_sequences_lie_in_tiles(home):
    fixed, local = load_model(home, "fixed"), load_model(home, "local")
    tiles = "scored in tiles of 40 every 20 bases, each base from the tile where it is most central"
    assert rule(local, [3, 900], both=True) == "scored in one pass, both strands averaged"
    filled = "bases and scored as one window of 40"
    assert score(fixed, sequence(11), pad=True).rule == f"filled up with N from 11 {filled}"
    assert rule(fixed, [40]) == "scored as one window of 40"
    assert rule(fixed, [90, 41]) == tiles
    assert rule(fixed, [11, 90, 30]) == (
        f"up to 40 bases: filled up with N from 11 to 30 {filled}, longer sequences: {tiles}"
    )
    assert score(fixed, sequence(40)).change is None
