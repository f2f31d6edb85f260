"""The fused norms against torch's own operations in float64, forward and backward, and the masks that they draw."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import batch_norm, relu

from tfbind.fused import Mask, channel_norm, channel_statistics

EPS = 1e-5


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def by_channel(x, weight, bias, residual, mask):
    return channel_norm(x, weight, bias, *channel_statistics(x), EPS, residual, mask)


def plain_by_channel(x, weight, bias):
    return batch_norm(x, None, None, weight, bias, training=True, eps=EPS)


def inputs(windows: int, channels: int, length: int) -> list[torch.Tensor]:
    return [3 * drawn(1, windows, channels, length) + 1, drawn(2, channels), drawn(3, channels)]


def with_gradients(function, arguments, slope):
    leaves = [argument.detach().clone().requires_grad_() for argument in arguments]
    out = function(*leaves)
    return [out.detach(), *torch.autograd.grad(out, leaves, slope)]


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(st.integers(2, 5), st.integers(1, 33), st.integers(2, 40)),
    has_residual=st.booleans(),
    side_by_side=st.booleans(),
)
def test_values_and_gradients_are_those_of_torch(shape, has_residual, side_by_side):
    arguments, slope = inputs(*shape), drawn(5, *shape)
    if has_residual:
        arguments.append(drawn(4, *shape))
    if side_by_side:
        arguments[0] = arguments[0].mT.contiguous().mT

    def fused(x, weight, bias, residual=None):
        return by_channel(x, weight, bias, residual, None)

    def torchs(x, weight, bias, residual=None):
        normal = plain_by_channel(x, weight, bias)
        return relu(normal if residual is None else normal + residual)

    found = with_gradients(fused, arguments, slope)
    expected = with_gradients(torchs, [argument.double() for argument in arguments], slope.double())
    for ours_, theirs in zip(found, expected, strict=True):
        scale = float(theirs.abs().max()) + 1
        assert float((ours_ - theirs).abs().max()) < 2e-4 * scale


def test_a_mask_scales_what_it_keeps_and_passes_gradients_only_there():
    arguments, slope = inputs(4, 8, 50), drawn(5, 4, 8, 50)
    arguments[2] += 100  # nothing is below zero, so what is zero was dropped
    mask = Mask(round(0.3 * 2**32), (12, 34))
    found = with_gradients(lambda *a: by_channel(*a, None, mask), arguments, slope)
    kept = (found[0] > 0).double() / 0.7
    assert float((found[0] == 0).float().mean()) == pytest.approx(0.3, abs=0.05)  # of 1,600: five times the spread
    expected = with_gradients(
        lambda *a: relu(plain_by_channel(*a)) * kept, [argument.double() for argument in arguments], slope.double()
    )
    for ours_, theirs in zip(found, expected, strict=True):
        assert float((ours_ - theirs).abs().max()) < 1e-4 * float(theirs.abs().max())


def dropped(key: tuple[int, int], rate: float = 0.5) -> np.ndarray:
    out = by_channel(drawn(1, 64, 32, 300), torch.zeros(32), torch.ones(32), None, Mask(round(rate * 2**32), key))
    return (out == 0).mT.numpy().ravel()  # in the order of the positions


@pytest.mark.parametrize("rate", [0.01, 0.2, 0.9])
def test_the_share_that_is_dropped_is_the_rate(rate):
    found = dropped((2**31, 5), rate)
    assert found.mean() == pytest.approx(rate, abs=5 * math.sqrt(rate * (1 - rate) / found.size))


@pytest.mark.parametrize("lag", [1, 2, 16, 32, 300, 9600])
@pytest.mark.parametrize("key", [(0, 0), (1, 0), (2**32 - 1, 123456789)])
def test_positions_are_dropped_independently(lag, key):
    signs = 1.0 - 2.0 * dropped(key)
    assert abs((signs[lag:] * signs[:-lag]).mean()) < 5 / math.sqrt(signs.size)


@pytest.mark.parametrize("other", [(7, 10), (8, 9), (9, 7), (7, 9 + 2**31)])
def test_another_key_draws_another_mask(other):
    first, second = 1.0 - 2.0 * dropped((7, 9)), 1.0 - 2.0 * dropped(other)
    assert np.array_equal(first, 1.0 - 2.0 * dropped((7, 9)))
    assert abs((first * second).mean()) < 5 / math.sqrt(first.size)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_no_number_stays_visible(bad):
    arguments = inputs(3, 4, 10)
    arguments[0][1, 2, 3] = bad
    assert bool(by_channel(*arguments, None, None).isnan().any())


def test_statistics_of_channels_by_hand():
    x = torch.tensor([[[1.0, 2.0], [5.0, 5.0]], [[3.0, 6.0], [5.0, 5.0]]])
    mean, variance = channel_statistics(x)
    assert mean.tolist() == [3.0, 5.0]
    assert variance.tolist() == [3.5, 0.0]
