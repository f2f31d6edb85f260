"""The training step with batch norm against torch's own operations in float64, forward, backward and statistics."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from networks import SHAPES, assert_gradients, drop_as_drawn, exact, generator, model_of, windows_of

from tfbind.nn.kernels.batch_norm import loss_and_grad


def assert_statistics(found, expected):
    for (name, ours), theirs in zip(found.named_buffers(), expected.buffers(), strict=True):
        torch.testing.assert_close(
            ours.double(), theirs.double(), rtol=1e-5, atol=1e-5, msg=lambda said, name=name: f"{name}: {said}"
        )


@pytest.mark.parametrize("shape", SHAPES)
def test_loss_gradients_and_statistics_are_those_of_torch(shape):
    model, (codes, scores) = model_of(*shape, norm="batch"), windows_of(shape[-1])
    plain, loss, expected = exact(model, codes, scores)
    found, gradients = loss_and_grad(model, codes, scores, [generator()])
    assert float(found) == pytest.approx(loss, rel=1e-5)
    assert_gradients(gradients, expected)
    assert_statistics(model, plain)


def test_running_statistics_go_on_from_step_to_step():
    model, (codes, scores) = model_of(16, 1, 3, 3, 50, norm="batch"), windows_of(50, 9)
    plain = model
    for some in (slice(0, 5), slice(3, 5), slice(1, 9)):
        plain, _, _ = exact(plain, codes[some], scores[some])
        loss_and_grad(model, codes[some], scores[some], [generator()])
        assert_statistics(model, plain)
    assert int(model.initial_norm.num_batches_tracked) == 3


def test_each_share_of_a_batch_has_statistics_of_its_own():
    model, (codes, scores) = model_of(16, 1, 3, 3, 50, norm="batch"), windows_of(50)
    alone = [exact(model, codes[some], scores[some]) for some in (slice(0, 3), slice(3, 5))]
    with ThreadPoolExecutor(2) as threads:
        found, gradients = loss_and_grad(model, codes, scores, [generator(), generator()], threads.map)
    (first, loss, expected), (_, other_loss, others) = alone
    assert float(found) == pytest.approx(0.6 * loss + 0.4 * other_loss, rel=1e-5)
    assert_gradients(gradients, [0.6 * a + 0.4 * b for a, b in zip(expected, others, strict=True)])
    assert_statistics(model, first)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.95])
def test_dropout_drops_what_its_masks_say(rate):
    model, (codes, scores) = model_of(16, 2, 3, 3, 50, norm="batch", rate=rate), windows_of(50)
    torch_model = copy.deepcopy(model)
    found, gradients = loss_and_grad(model, codes, scores, [generator()])
    drop_as_drawn(torch_model, *codes.shape)
    plain, loss, expected = exact(torch_model, codes, scores)
    assert float(found) == pytest.approx(loss, rel=1e-5)
    assert_gradients(gradients, expected)
    assert_statistics(model, plain)


def test_a_step_does_not_depend_on_those_before_it():
    (codes, scores), (longer, its_scores) = windows_of(50, 9), windows_of(61)
    first, second = (model_of(24, 2, 3, 3, 50, norm="batch") for _ in range(2))
    expected = loss_and_grad(first, codes[:4], scores[:4], [generator()])
    for its_codes, truth, shares in ((codes, scores, 1), (longer, its_scores, 3), (codes, scores, 2)):
        loss_and_grad(second, its_codes, truth, [generator()] * shares)
    found = loss_and_grad(second, codes[:4], scores[:4], [generator()])
    assert torch.equal(found[0], expected[0])
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(found[1], expected[1], strict=True))


def test_a_channel_that_is_always_the_same_has_no_variance():
    model, (codes, scores) = model_of(16, 1, 3, 3, 50, norm="batch"), windows_of(50)
    model.initial_conv.weight.data[3] = 0
    plain, loss, expected = exact(model, codes, scores)
    found, gradients = loss_and_grad(model, codes, scores, [generator()])
    assert float(found) == pytest.approx(loss, rel=1e-5)
    assert_gradients(gradients[1:], expected[1:])
    assert_statistics(model, plain)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_stays_visible(bad):
    model, (codes, scores) = model_of(16, 1, 3, 3, 50, norm="batch"), windows_of(50)
    model.initial_conv.weight.data[0, 0, 0] = bad
    loss, _ = loss_and_grad(model, codes, scores, [generator()])
    assert not torch.isfinite(loss)
