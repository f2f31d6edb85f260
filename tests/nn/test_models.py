"""The network against the published one, its weights in files, and what each norm promises."""

import pickle
import re
import zipfile

import pytest
import torch
from deeplift import calls_of_relus, contributions, relus
from safetensors.torch import save_file

from tfbind.config import PRESETS, TrainConfig, parameter_count, parse_config, receptive_field
from tfbind.nn.model import BindingPredictorCNN, Dropout, build_model
from tfbind.nn.training import one_hot
from tfbind.nn.weights import FIRST, model_from_weights, pack_weights, read_weights


def random_batch(windows: int = 4, length: int = 300, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return one_hot(torch.randint(0, 5, (windows, length), generator=random, dtype=torch.uint8))


@pytest.fixture
def published(seed_experiment):
    """The class of the published experiment."""
    code = seed_experiment[seed_experiment.index("class ResidualBlock") : seed_experiment.index("## 3. Wandb")]
    scope = {"torch": torch, "nn": torch.nn}
    exec(code, scope)
    return scope["BindingPredictorCNN"]


@pytest.mark.parametrize("shape", [(32, 3, 3), (8, 1, 5), (1, 2, 3), (4, 0, 3)])
def test_equal_seeds_draw_the_weights_of_the_published_model(published, shape):
    torch.manual_seed(3)
    theirs = published(*shape, 0.2)
    torch.manual_seed(3)
    ours = BindingPredictorCNN(*shape, 0.2)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in ours.state_dict().items())


def test_equal_weights_predict_what_the_published_model_predicts(published, tmp_path):
    theirs = published(16, 2, 5, 0.3).eval()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    torch.save(theirs.state_dict(), tmp_path / "weights.pt")
    ours = model_from_weights(read_weights(tmp_path / "weights.pt"))
    with torch.inference_mode():
        assert torch.allclose(ours(random_batch()), theirs(random_batch()), atol=1e-6, rtol=0)


def test_gradients_are_those_of_the_published_model(published):
    theirs = published(16, 2, 5, 0.0).train()
    ours = BindingPredictorCNN(16, 2, 5, 0.0).train()
    ours.load_state_dict(theirs.state_dict())
    target = torch.randn(4, 300, generator=torch.Generator().manual_seed(1))
    for model in (ours, theirs):
        torch.nn.functional.mse_loss(model(random_batch()), target).backward()
    for found, expected in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("wrap", ["plain", "parallel", "compiled in a checkpoint", "lightning"])
def test_weights_are_found_in_what_is_wrapped_around_them(wrap, tmp_path):
    model = build_model(TrainConfig(num_channels=4), 20)
    plain = model.state_dict()
    saved = {
        "plain": plain,
        "parallel": torch.nn.DataParallel(model).state_dict(),
        "compiled in a checkpoint": {
            "epoch": 3,
            "model_state_dict": {f"_orig_mod.{name}": value.double() for name, value in plain.items()},
        },
        "lightning": {
            "state_dict": {f"model.{name}": value for name, value in plain.items()} | {"loss.w": plain[FIRST]}
        },
    }[wrap]
    torch.save(saved, tmp_path / "weights.pt")
    loaded = model_from_weights(read_weights(tmp_path / "weights.pt")).state_dict()
    assert list(loaded) == list(plain)
    assert all(torch.equal(loaded[name], value) for name, value in plain.items())


@pytest.mark.parametrize(
    "config",
    [*PRESETS.values(), parse_config({"norm": "batch", "num_res_blocks": 0}), parse_config({"num_channels": 5})],
)
def test_architecture_comes_back_from_the_shapes(config, tmp_path):
    model = build_model(config, 120).eval()
    assert sum(parameter.numel() for parameter in model.parameters()) == parameter_count(config, 120)
    (tmp_path / "best.safetensors").write_bytes(pack_weights(model, {"run": "x"}))
    loaded = model_from_weights(read_weights(tmp_path / "best.safetensors"))
    with torch.inference_mode():
        assert torch.equal(loaded(random_batch(length=120)), model(random_batch(length=120)))


def functional(model: BindingPredictorCNN, X: torch.Tensor) -> torch.Tensor:
    """The scores of a model, its activations as functions."""
    x = torch.relu(model.initial_norm(model.initial_conv(X)))
    for block in model.res_blocks:
        out = torch.relu(block.norm1(block.conv1(x)))
        x = torch.relu(block.norm2(block.conv2(block.dropout(out))) + x)
    return model.final_conv(x).squeeze(1)


@pytest.mark.parametrize("preset", PRESETS)
def test_activations_as_modules_give_the_scores_and_gradients_of_functions_bit_for_bit(preset):
    model = build_model(PRESETS[preset], 120).eval()
    for X in (random_batch(length=120), random_batch(1, length=120)):
        found, expected = model(X), functional(model, X)
        assert torch.equal(found, expected)
        weights = list(model.parameters())
        for pair in zip(*(torch.autograd.grad(y.square().sum(), weights) for y in (found, expected)), strict=True):
            assert torch.equal(*pair)


@pytest.mark.parametrize("blocks", [0, 1, 3])
@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_each_activation_is_a_module_of_its_own_that_a_forward_pass_calls_once(blocks, norm):
    model = build_model(parse_config({"num_res_blocks": blocks, "norm": norm}), 60)
    for mode in (model.train(), model.eval()):
        assert calls_of_relus(mode, random_batch(length=60)) == [1] * (1 + 2 * blocks)
    assert not any(module.inplace for module in relus(model))


def test_hooks_on_the_activations_attribute_the_whole_difference_of_a_score():
    model = build_model(PRESETS["recommended"], 80).eval()
    X, baseline = random_batch(length=80), random_batch(length=80, seed=1)
    with torch.inference_mode():
        difference = (model(X) - model(baseline))[:, 40]
    assert difference.abs().min() > 0.01
    assert torch.allclose(contributions(model, X, baseline, 40).sum(1), difference, atol=1e-5)


def test_building_a_model_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    first, second = build_model(TrainConfig(), 30), build_model(TrainConfig(), 30)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(first.initial_conv.weight, second.initial_conv.weight)


@pytest.mark.parametrize("preset", ["seed", "recommended"])
def test_a_score_depends_on_its_receptive_field_alone_only_with_batch_norm(preset):
    config = PRESETS[preset]
    model = build_model(config, 300).eval()
    reach = receptive_field(config) // 2
    X = random_batch(1)
    changed = X.clone()
    changed[:, :, 150] = changed[:, [3, 0, 1, 2], 150]
    with torch.inference_mode():
        moved = (model(X) - model(changed))[0].abs() > 1e-6
    inside = torch.zeros(300, dtype=torch.bool)
    inside[150 - reach : 150 + reach + 1] = True
    assert moved[inside].any()
    assert moved[~inside].any() == (config.norm == "layer")


def test_batch_norm_models_take_any_length():
    model = build_model(PRESETS["recommended"], 300).eval()
    with torch.inference_mode():
        assert model(random_batch(2, 1)).shape == (2, 1)
        assert model(random_batch(2, 1000)).shape == (2, 1000)


def test_dropout_drops_its_share_and_keeps_the_mean():
    dropout = Dropout(0.2)
    dropout.generator = torch.Generator().manual_seed(1)
    out = dropout(torch.ones(1_000_003))
    # A share of 0.2 of a million has a standard deviation of 0.0004.
    assert float((out == 0).float().mean()) == pytest.approx(0.2, abs=0.002)
    assert float(out.mean()) == pytest.approx(1.0, abs=0.003)
    assert len(out.unique()) == 2


def test_dropout_masks_follow_from_the_generator_and_are_gone_when_predicting():
    dropout, X = Dropout(0.5), torch.ones(7, 11, 13)
    masks = []
    for _ in range(2):
        dropout.generator = torch.Generator().manual_seed(5)
        masks.append(dropout(X))
    assert torch.equal(*masks)
    assert torch.equal(dropout.eval()(X), X)
    assert torch.equal(Dropout(0.0).train()(X), X)


def test_dropout_passes_gradients_only_where_it_kept():
    dropout, X = Dropout(0.5), torch.ones(1000, requires_grad=True)
    out = dropout(X)
    out.sum().backward()
    assert torch.equal(X.grad, out.detach())


class Payload:
    def __reduce__(self):
        return (print, ("code in a weights file was run",))


def write_broken(kind, path):
    good = build_model(TrainConfig(), 20).state_dict()
    if kind == "missing":
        return
    if kind == "pickle":
        torch.save(Payload(), path)
    elif kind == "whole model":
        torch.save(build_model(TrainConfig(), 20), path)
    elif kind == "pickle of today":
        path.write_bytes(pickle.dumps(Payload(), protocol=4))
    elif kind == "torchscript":
        with pytest.warns(DeprecationWarning, match="torch.jit"):
            torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), path)
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("not weights")
    elif kind == "list":
        torch.save([1, 2], path)
    elif kind == "foreign":
        save_file({"linear.weight": torch.ones(2, 2)}, path)
    elif kind == "lacks one":
        save_file({name: value for name, value in good.items() if name != "final_conv.bias"}, path)
    elif kind == "odd shape":
        save_file({**good, "res_blocks.1.conv1.weight": torch.ones(32, 32, 9)}, path)
    elif kind == "even":
        save_file({**good, "initial_conv.weight": torch.ones(32, 4, 4)}, path)
    elif kind == "many blocks":
        empty = {f"res_blocks.{block}.conv1.weight": torch.zeros(0) for block in range(2, 1_001)}
        save_file({**good, **empty}, path)
    elif kind == "huge":
        torch.save({"initial_conv.weight": torch.zeros(1).expand(2**40)}, path)
    elif kind == "bomb":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("weights/data/0", "w") as data:
            for _ in range(1025):
                data.write(bytes(1 << 20))
    elif kind == "torn":
        path.write_bytes(pack_weights(build_model(TrainConfig(), 20), {})[:1000])


BROKEN = {
    "missing": "no such file",
    "pickle": "a pickle of more than tensors, which could run code; expected the weights alone, by torch.save",
    "whole model": "a pickle of more than tensors",
    "pickle of today": "a pickle of more than tensors",
    "torchscript": r"a TorchScript archive, .*; torch.save\(torch.jit.load\(FILE\).state_dict\(\), NEW_FILE\) makes",
    "empty": "not readable as weights",
    "text": "not readable as weights",
    "list": "something else than named tensors",
    "foreign": "not those of a BindingPredictorCNN",
    "lacks one": "Missing key.*final_conv.bias",
    "odd shape": "size mismatch for res_blocks.1.conv1.weight",
    "even": "a kernel of 4 bases; expected odd ones",
    "many blocks": "weights of 1,001 residual blocks; expected at most 1,000",
    "huge": "tensors of over 1,073,741,824 bytes",
    "bomb": "over 1,073,741,824 bytes when unpacked",
    "torn": "not readable as weights",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_weights_file_is_refused_in_one_line_and_never_run(kind, tmp_path, capfd):
    for name in ("weights", "weights.safetensors"):
        write_broken(kind, tmp_path / name)
        with pytest.raises(ValueError, match=BROKEN[kind]) as caught:
            model_from_weights(read_weights(tmp_path / name))
        assert not re.search(r"\n", str(caught.value))
    assert "was run" not in "".join(capfd.readouterr())
