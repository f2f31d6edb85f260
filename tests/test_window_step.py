"""The training step that stays in the cache against torch's own operations, forward and backward."""

import pytest
import torch
from torch.nn.functional import mse_loss

from tfbind.fused import Mask, channel_norm
from tfbind.models import BindingPredictorCNN, Dropout
from tfbind.training import one_hot
from tfbind.window_step import fits, loss_and_gradients, predict

SHAPES = [(32, 3, 3, 3, 300), (16, 1, 5, 15, 41), (48, 2, 1, 7, 29), (16, 0, 3, 3, 20), (64, 1, 7, 1, 301)]


def model_of(channels, blocks, kernel, first_kernel, length, rate=0.0):
    torch.manual_seed(1)
    model = BindingPredictorCNN(channels, blocks, kernel, rate, first_kernel_size=first_kernel, length=length)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model


def windows_of(length, count=5):
    random = torch.Generator().manual_seed(2)
    codes = torch.randint(0, 5, (count, length), dtype=torch.uint8, generator=random)
    return codes, torch.rand(count, length, generator=random)


def assert_gradients(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()))


@pytest.mark.parametrize("shape", SHAPES)
def test_loss_and_gradients_are_those_of_torch(shape):
    model, (codes, scores) = model_of(*shape), windows_of(shape[-1])
    loss = mse_loss(model(one_hot(codes)), scores)
    found, gradients = loss_and_gradients(model, codes, scores, len(codes))
    assert float(found) == pytest.approx(float(loss.detach()), rel=1e-5)
    assert_gradients(gradients, torch.autograd.grad(loss, list(model.parameters())))


@pytest.mark.parametrize("shape", SHAPES)
def test_predictions_are_those_of_torch(shape):
    model, (codes, _) = model_of(*shape).eval(), windows_of(shape[-1])
    with torch.inference_mode():
        torch.testing.assert_close(predict(model, codes), model(one_hot(codes)), rtol=1e-5, atol=1e-5)


def test_shares_of_a_batch_add_up_to_its_loss_and_gradients():
    model, (codes, scores) = model_of(16, 1, 3, 3, 50), windows_of(50)
    whole = loss_and_gradients(model, codes, scores, 5)
    parts = [loss_and_gradients(model, codes[some], scores[some], 5) for some in (slice(0, 2), slice(2, 5))]
    torch.testing.assert_close(parts[0][0] + parts[1][0], whole[0])
    assert_gradients([a + b for a, b in zip(parts[0][1], parts[1][1], strict=True)], whole[1])


def test_dropout_drops_what_its_masks_say():
    shape = (16, 2, 3, 3, 50)
    model, (codes, scores) = model_of(*shape, rate=0.3).train(), windows_of(50)
    model.use_generator(torch.Generator().manual_seed(9))
    found, gradients = loss_and_gradients(model, codes, scores, 5)
    model.use_generator(torch.Generator().manual_seed(9))
    for block in model.res_blocks:
        block.dropout.forward = kept_by(block.dropout.draw()).mul
    loss = mse_loss(model(one_hot(codes)), scores)
    assert float(found) == pytest.approx(float(loss.detach()), rel=1e-5)
    assert_gradients(gradients, torch.autograd.grad(loss, list(model.parameters())))


def kept_by(mask: Mask) -> torch.Tensor:
    """What a mask multiplies five windows of 16 channels and 50 bases by."""
    zeros, ones = torch.zeros(16), torch.ones(16)
    return channel_norm(torch.zeros(5, 16, 50), zeros, ones, zeros, ones, 0.0, None, mask)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_stays_visible(bad):
    model, (codes, scores) = model_of(16, 1, 3, 3, 50), windows_of(50)
    model.initial_conv.weight.data[0, 0, 0] = bad
    loss, _ = loss_and_gradients(model, codes, scores, 5)
    assert not torch.isfinite(loss)


def test_other_models_are_left_to_torch():
    assert fits(BindingPredictorCNN(32, 1, 3, 0.2))
    assert not fits(BindingPredictorCNN(24, 1, 3, 0.2))
    assert not fits(BindingPredictorCNN(32, 1, 3, 0.2, norm="batch"))
    assert isinstance(BindingPredictorCNN(32, 1, 3, 0.2).res_blocks[0].dropout, Dropout)
