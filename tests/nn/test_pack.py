"""Parameters as arrays and back, and the masks that are drawn."""

import math

import numpy as np
import pytest
import torch
from networks import SHAPES, generator, mask, model_of

from tfbind.nn.kernels.pack import DropoutMask, draw_masks, is_supported, pack_parameters, unpack_gradients
from tfbind.nn.model import BindingPredictorCNN

COUNT = 64 * 300 * 32


@pytest.mark.parametrize("norm", ["layer", "batch"])
@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_packed_comes_back_in_the_order_and_shapes_of_the_parameters(shape, norm):
    model = model_of(*shape, norm=norm)
    for found, parameter in zip(unpack_gradients(pack_parameters(model), model), model.parameters(), strict=True):
        assert torch.equal(found, parameter)


def test_what_is_supported():
    assert is_supported(BindingPredictorCNN(5, 1, 3, 0.2))
    assert is_supported(BindingPredictorCNN(32, 1, 3, 0.2, norm="batch"))
    assert not is_supported(BindingPredictorCNN(32, 1, 3, 0.2).double())
    assert not is_supported(BindingPredictorCNN(32, 1, 3, 0.2).to("meta"))
    assert not is_supported(torch.nn.Sequential(BindingPredictorCNN(32, 1, 3, 0.2)))


def test_masks_follow_from_the_generator_and_are_gone_when_predicting():
    model = model_of(8, 2, 3, 3, 20, rate=0.3)
    first = generator()
    keys = draw_masks(model, first).keys
    assert np.array_equal(keys, draw_masks(model, generator()).keys)
    assert len(np.unique(keys)) == 4
    assert not np.isin(draw_masks(model, first).keys, keys).any()
    assert draw_masks(model.eval(), first).threshold == 0
    assert draw_masks(model_of(8, 2, 3, 3, 20).train(), first).threshold == 0


def dropped(key: tuple[int, int], rate: float = 0.5) -> np.ndarray:
    dropout = DropoutMask(np.uint32(round(rate * 2**32)), np.array([key], np.uint32), np.float32(1 / (1 - rate)))
    return mask(dropout, 0, COUNT) == 0


@pytest.mark.parametrize("rate", [0.01, 0.2, 0.9])
def test_the_share_that_is_dropped_is_the_rate_and_the_mean_stays(rate):
    spread = math.sqrt(rate * (1 - rate) / COUNT)
    assert dropped((2**31, 5), rate).mean() == pytest.approx(rate, abs=5 * spread)
    model = model_of(8, 1, 3, 3, 20, rate=rate)
    assert mask(draw_masks(model, generator(5)), 0, COUNT).mean(dtype=float) == pytest.approx(
        1, abs=5 * spread / (1 - rate)
    )


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
