"""The training step that stays in the cache against torch's own operations in float64, forward and backward."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from networks import SHAPES, assert_gradients, drop_as_drawn, exact, generator, model_of, windows_of

from tfbind.nn.kernels.layer_norm import loss_and_grad, predict
from tfbind.nn.training import one_hot


@pytest.mark.parametrize("shape", SHAPES)
def test_loss_and_grad_are_those_of_torch(shape):
    model, (codes, scores) = model_of(*shape), windows_of(shape[-1])
    _, loss, expected = exact(model, codes, scores)
    found, gradients = loss_and_grad(model, codes, scores, [generator()])
    assert float(found) == pytest.approx(loss, rel=1e-5)
    assert_gradients(gradients, expected)


@pytest.mark.parametrize(
    ("shape", "norm"), [*((shape, "layer") for shape in SHAPES), *((shape, "batch") for shape in SHAPES[:3])]
)
def test_predictions_are_those_of_torch(shape, norm):
    model, (codes, _) = model_of(*shape, norm=norm), windows_of(shape[-1])
    model(one_hot(codes))  # running statistics that are their own
    with torch.inference_mode():
        expected = model.eval()(one_hot(codes))
        for parts in (1, 2):
            torch.testing.assert_close(predict(model, codes, parts), expected, rtol=1e-5, atol=1e-5)


def test_shares_of_a_batch_add_up_to_its_loss_and_grad():
    model, (codes, scores) = model_of(16, 1, 3, 3, 50), windows_of(50)
    _, loss, expected = exact(model, codes, scores)
    with ThreadPoolExecutor(2) as threads:
        found, gradients = loss_and_grad(model, codes, scores, [generator(), generator()], threads.map)
    assert float(found) == pytest.approx(loss, rel=1e-5)
    assert_gradients(gradients, expected)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.95])
def test_dropout_drops_what_its_masks_say(rate):
    model, (codes, scores) = model_of(16, 2, 3, 3, 50, rate=rate), windows_of(50)
    found, gradients = loss_and_grad(model, codes, scores, [generator()])
    drop_as_drawn(model, *codes.shape)
    _, loss, expected = exact(model, codes, scores)
    assert float(found) == pytest.approx(loss, rel=1e-5)
    assert_gradients(gradients, expected)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_stays_visible(bad):
    model, (codes, scores) = model_of(16, 1, 3, 3, 50), windows_of(50)
    model.initial_conv.weight.data[0, 0, 0] = bad
    loss, _ = loss_and_grad(model, codes, scores, [generator()])
    assert not torch.isfinite(loss)
