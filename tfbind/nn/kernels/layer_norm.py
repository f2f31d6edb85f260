"""A training step of the model whose norms look at one window each, on a CPU: its loss and gradients in one go.

The windows of a batch have nothing to do with each other until their gradients are added up. So each goes through
the network and back while all that it leaves behind lies in the cache of a core, where torch takes the whole batch
through memory once an operation. What comes out is what `torch.autograd.grad` gives for a `BindingPredictorCNN` with
`norm="layer"`, but for the order in which sums are taken.

Once trained, a model with batch norm takes no statistics at all: its scores are had here too.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tfbind.nn.kernels.gemm import Kernel, add_product, compiled, inlined
from tfbind.nn.kernels.pack import (
    NOTHING_DROPPED,
    ONE,
    ZERO,
    Floats,
    Share,
    Spread,
    added_up,
    clear,
    eps,
    finish,
    in_shares,
    packed,
    read_bases,
    score,
    score_back,
    settled,
    turned,
    width,
)
from tfbind.nn.model import BindingPredictorCNN


class Buffers(NamedTuple):
    """What a window leaves behind at each of n layers, with room for the zeros that convolutions hang over.

    `bases` is the window one-hot, `convolved` (n, L * C) what the convolutions give, normalised by `mean` and
    1 / standard deviation `spread` (n,), `active` what comes of it.
    """

    bases: Floats
    convolved: Floats
    active: Floats
    mean: Floats
    spread: Floats


@inlined
def _buffers(length, channels, layers, first, inner):  # type: ignore[no-untyped-def]
    edge_of_bases, edge = len(first) // (4 * channels) // 2, inner.shape[1] // channels // channels // 2
    return Buffers(
        np.zeros((length + 2 * edge_of_bases) * 4, np.float32),
        np.empty((layers, length * channels), np.float32),
        np.zeros((layers, (length + 2 * edge) * channels), np.float32),
        np.empty(layers, np.float32),
        np.empty(layers, np.float32),
    )


@compiled
def _normalise(x, scales, shifts, norm, residual, position, drawing, out):  # type: ignore[no-untyped-def]
    """dropout(relu(norm(x) + residual)) of a window; its mean and 1 / standard deviation.

    `norm` is eps and how many of the numbers are not there to fill up channels; None where nothing is normalised.
    """
    size = len(x)
    mean, spread = ZERO, ONE
    if norm is not None:
        eps, count = norm
        total, squares = ZERO, ZERO
        for j in range(size):
            total += x[j]
        mean = total / count
        for j in range(size):
            squares += (x[j] - mean) * (x[j] - mean)
        squares -= (np.float32(size) - count) * mean * mean
        spread = ONE / np.sqrt(squares / count + eps)
    for j in range(size):
        value = (x[j] - mean) * spread * scales[j] + shifts[j]
        out[j] = finish(value, ZERO if residual is None else residual[j], position + j, drawing)
    return mean, spread


@compiled
def _normalise_back(x, scales, mean, spread, count, out, scale, slope, dscales, dshifts, dx):  # type: ignore[no-untyped-def]
    """The gradients of `_normalise` from the slope of `out`, which becomes that of the residual. `scale` is what
    dropout multiplies by; the gradients of the parameters are added up."""
    size = len(x)
    total, along = ZERO, ZERO
    for j in range(size):
        # What relu or dropout set to zero passes nothing on.
        passed = ZERO if out[j] <= ZERO else slope[j] * scale
        slope[j] = passed
        normal = (x[j] - mean) * spread
        dshifts[j] += passed
        dscales[j] += passed * normal
        weighted = passed * scales[j]
        dx[j] = weighted
        total += weighted
        along += weighted * normal
    total /= count
    along /= count
    for j in range(size):
        dx[j] = spread * (dx[j] - total - (x[j] - mean) * spread * along)


@inlined
def _forward(codes, p, norm, drawing, position, buffers, channels, out):  # type: ignore[no-untyped-def]
    """The scores (L,) of a window, and what it leaves behind."""
    bases, convolved, active, mean, spread = buffers
    length, size = len(codes), convolved.shape[1]
    edge = (active.shape[1] - size) // 2
    dropped, keys, scale = drawing
    read_bases(codes, bases)
    convolved[:] = ZERO
    add_product(bases, 4, 1, p.first, convolved[0], length, channels, len(p.first) // channels)
    inside = active[0, edge : edge + size]
    mean[0], spread[0] = _normalise(convolved[0], p.scales[0], p.shifts[0], norm, None, position, None, inside)
    for n in range(1, len(convolved)):
        here, inside = convolved[n], active[n, edge : edge + size]
        weights = p.inner[n - 1]
        add_product(active[n - 1], channels, 1, weights, here, length, channels, len(weights) // channels)
        if n % 2 == 0:
            beside = active[n - 2, edge : edge + size]
            found = _normalise(here, p.scales[n], p.shifts[n], norm, beside, position, None, inside)
        elif dropped == 0:
            found = _normalise(here, p.scales[n], p.shifts[n], norm, None, position, None, inside)
        else:
            draw = (dropped, keys[n // 2, 0], keys[n // 2, 1], scale)
            found = _normalise(here, p.scales[n], p.shifts[n], norm, None, position, draw, inside)
        mean[n], spread[n] = found
    score(inside, p, channels, out)


@lru_cache
def _kernels(channels: int) -> tuple[Kernel, Kernel]:
    """The scores of windows, and a training step, for a network of so many channels."""

    def predict(codes, p, norm, drawing, out):  # type: ignore[no-untyped-def]
        buffers = _buffers(codes.shape[1], channels, len(p.scales), p.first, p.inner)
        for i in range(len(codes)):
            _forward(codes[i], p, norm, drawing, 0, buffers, channels, out[i])

    def step(codes, truth, weight, p, reverse, norm, drawing, d):  # type: ignore[no-untyped-def]
        """The sum of the squared errors; `d` becomes `weight` times its gradients. `reverse` holds the inner
        convolutions with output channels before input channels and the last place first."""
        clear(d)
        length, layers = codes.shape[1], len(p.scales)
        size = length * channels
        buffers = _buffers(length, channels, layers, p.first, p.inner)
        bases, convolved, active, mean, spread = buffers
        edge = (active.shape[1] - size) // 2
        scores, slope, other = np.empty(length, np.float32), np.empty(size, np.float32), np.empty(size, np.float32)
        padded = np.zeros(active.shape[1], np.float32)
        inside = padded[edge : edge + size]
        total = 0.0
        for i in range(len(codes)):
            _forward(codes[i], p, norm, drawing, i * size, buffers, channels, scores)
            last = active[layers - 1, edge : edge + size]
            total += score_back(scores, truth[i], weight, last, p, d, channels, slope)
            for n in range(layers - 1, -1, -1):
                out = active[n, edge : edge + size]
                scale = drawing.scale if n % 2 == 1 else ONE
                gradients = d.scales[n], d.shifts[n], inside
                _normalise_back(convolved[n], p.scales[n], mean[n], spread[n], norm[1], out, scale, slope, *gradients)
                if n == 0:
                    add_product(bases, 1, 4, inside, d.first, len(d.first) // channels, channels, length)
                    continue
                dweights = d.inner[n - 1]
                add_product(active[n - 1], 1, channels, inside, dweights, len(dweights) // channels, channels, length)
                # The slope of what a block was given has two parts: one waits in `slope`, or in `other`, until the
                # other is added where it lies.
                slope, other = other, slope
                if n % 2 == 0:
                    slope[:] = ZERO
                add_product(padded, channels, 1, reverse[n - 1], slope, length, channels, len(dweights) // channels)
        return total

    return compiled(predict), compiled(step)


def _norm(model: BindingPredictorCNN, length: int) -> tuple[np.float32, np.float32]:
    return eps(model), np.float32(length * model.initial_conv.out_channels)


def predict(model: BindingPredictorCNN, codes: Tensor, parts: int = 1, spread: Spread = map) -> Tensor:
    """The scores (N, L) of windows (N, L) of codes; with batch norms by their running statistics.

    `spread` does the windows in so many `parts`.
    """
    out, length = np.empty(codes.shape, np.float32), codes.shape[1]
    run, _ = _kernels(width(model))
    if isinstance(model.initial_norm, nn.BatchNorm1d):
        p, norm = settled(model, length), None
    else:
        p, norm = packed(model), _norm(model, length)

    def score_part(codes: NDArray[np.uint8], out: Floats) -> None:
        run(codes, p, norm, NOTHING_DROPPED, out)

    list(spread(score_part, np.array_split(codes.numpy(), parts), np.array_split(out, parts)))
    return torch.from_numpy(out)


def loss_and_gradients(
    model: BindingPredictorCNN,
    codes: Tensor,
    scores: Tensor,
    generators: Sequence[torch.Generator],
    spread: Spread = map,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The mean squared error of a batch of windows (N, L), and the gradients of the parameters of the model, in their
    order. `spread` does it in as many shares as there are `generators`, which draw their masks."""
    p = packed(model)
    weight = 1 / codes.numel()
    _, run = _kernels(width(model))
    reverse, norm = turned(p.inner, width(model)), _norm(model, codes.shape[1])

    def loss(share: Share) -> float:
        codes, scores, drawing, d = share
        total: float = run(codes, scores, np.float32(weight), p, reverse, norm, drawing, d)
        return total * weight

    shares = in_shares(model, p, codes, scores, generators)
    return added_up(model, spread(loss, shares), shares)
