"""A training step of the model with batch norm, on a CPU: its loss and gradients, in one pass over memory a layer.

Batch norm has to know the sums of a layer over all windows before it can go on, so the windows wait in memory between
two layers. A window that is fetched goes through all that can be done with it while it lies in the cache of a core:
the norm of one layer, the convolution of the next, and the sums for the norm of that. What comes out is what torch's
autograd gives for a `BindingPredictorCNN` with `norm="batch"`, but for the order in which sums are taken.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from tfbind.nn.kernels.gemm import Kernel, add_product, compiled
from tfbind.nn.kernels.pack import (
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
    layers,
    packed,
    read_bases,
    score,
    score_back,
    turned,
    width,
)
from tfbind.nn.model import BindingPredictorCNN

BASES = 8  # numbers by channel are repeated for so many bases, which makes loops as long as processors like them


class Norms(NamedTuple):
    """The statistics of n norms over all windows, and what they do: x * factor + shift. `spread` is 1 / standard
    deviation. By channel, repeated: each is (n, BASES * C)."""

    mean: Floats
    variance: Floats
    spread: Floats
    factor: Floats
    shift: Floats


class Room(NamedTuple):
    """What N windows leave behind at each of n layers: `convolved` (n, N, L * C) what the convolutions give, `active`
    what comes of it, with room for the zeros that convolutions hang over. `slopes` (2, N, L * C) are those of the
    layer in hand and of the residual beside it: even layers write the first, odd ones the second."""

    convolved: Floats
    active: Floats
    slopes: Floats


@compiled
def _finish(x, factor, shift, residual, position, drawing, out):  # type: ignore[no-untyped-def]
    """dropout(relu(x * factor + shift + residual)) of a window."""
    step = len(factor)
    for at in range(0, len(x), step):
        # Slices of their own, since a sum of two counters might be negative for all that the compiler knows.
        given, found = x[at : at + step], out[at : at + step]
        beside = None if residual is None else residual[at : at + step]
        for j in range(len(given)):
            value = given[j] * factor[j] + shift[j]
            found[j] = finish(value, ZERO if residual is None else beside[j], position + at + j, drawing)


@compiled
def _activate(n, i, norms, drawing, room):  # type: ignore[no-untyped-def]
    """The activations of a layer for a window."""
    x, factor, shift = room.convolved[n, i], norms.factor[n], norms.shift[n]
    size = len(x)
    edge = (room.active.shape[2] - size) // 2
    out = room.active[n, i, edge : edge + size]
    dropped, keys, scale = drawing
    if n % 2 == 0 and n > 0:
        _finish(x, factor, shift, room.active[n - 2, i, edge : edge + size], 0, None, out)
    elif n == 0 or dropped == 0:
        _finish(x, factor, shift, None, 0, None, out)
    else:
        _finish(x, factor, shift, None, i * size, (dropped, keys[n // 2, 0], keys[n // 2, 1], scale), out)
    return out


@compiled
def _add_sums(x, sums):  # type: ignore[no-untyped-def]
    """Add up a window by channel, and its squares, in float64 from window to window."""
    step = sums.shape[1]
    some, more = np.zeros(step, np.float32), np.zeros(step, np.float32)
    for at in range(0, len(x), step):
        given = x[at : at + step]
        for j in range(len(given)):
            some[j] += given[j]
            more[j] += given[j] * given[j]
    for j in range(step):
        sums[0, j] += some[j]
        sums[1, j] += more[j]


@compiled
def _pass_on(slope, out, scale, x, mean, spread, sums):  # type: ignore[no-untyped-def]
    """Leave of the slope of `out` what relu and dropout, which multiplies by `scale`, pass on; and add that up by
    channel, alone and times the normal x."""
    step = sums.shape[1]
    some, more = np.zeros(step, np.float32), np.zeros(step, np.float32)
    for at in range(0, len(x), step):
        given, found, passed = x[at : at + step], out[at : at + step], slope[at : at + step]
        for j in range(len(given)):
            value = ZERO if found[j] <= ZERO else passed[j] * scale
            passed[j] = value
            some[j] += value
            more[j] += value * (given[j] - mean[j]) * spread[j]
    for j in range(step):
        sums[0, j] += some[j]
        sums[1, j] += more[j]


@compiled
def _slope_of_x(passed, x, of_passed, of_x, constant, dx):  # type: ignore[no-untyped-def]
    step = len(of_x)
    for at in range(0, len(x), step):
        slope, given, found = passed[at : at + step], x[at : at + step], dx[at : at + step]
        for j in range(len(given)):
            found[j] = slope[j] * of_passed[j] + given[j] * of_x[j] + constant[j]


@compiled
def _by_channel(sums, channels):  # type: ignore[no-untyped-def]
    """Sums (2, BASES * C) of every BASESth base as those of all bases, repeated."""
    for row in range(2):
        for j in range(channels, sums.shape[1]):
            sums[row, j % channels] += sums[row, j]
        for j in range(channels, sums.shape[1]):
            sums[row, j] = sums[row, j % channels]


@compiled
def _take_statistics(n, sums, count, p, eps, norms):  # type: ignore[no-untyped-def]
    """The norm of a layer from the sums of what is normalised and of its squares."""
    channels = p.scales.shape[1]
    _by_channel(sums, channels)
    for j in range(sums.shape[1]):
        mean = sums[0, j] / count
        variance = sums[1, j] / count - mean * mean
        norms.mean[n, j] = mean
        norms.variance[n, j] = 0.0 if variance < 0.0 else variance
        norms.spread[n, j] = ONE / np.sqrt(norms.variance[n, j] + eps)
        norms.factor[n, j] = p.scales[n, j % channels] * norms.spread[n, j]
        norms.shift[n, j] = p.shifts[n, j % channels] - norms.mean[n, j] * norms.factor[n, j]


@compiled
def _statistics_back(n, sums, count, norms, d, of_x, constant):  # type: ignore[no-untyped-def]
    """The gradients of a norm from the sums of its slope, alone and times the normal x; and by which numbers x and
    its slope make that of x."""
    channels = d.scales.shape[1]
    _by_channel(sums, channels)
    for j in range(channels):
        d.shifts[n, j], d.scales[n, j] = sums[0, j], sums[1, j]
    for j in range(sums.shape[1]):
        of_x[j] = -norms.factor[n, j] * norms.spread[n, j] * sums[1, j] / count
        constant[j] = -norms.factor[n, j] * sums[0, j] / count - of_x[j] * norms.mean[n, j]


@lru_cache
def _kernel(channels: int) -> Kernel:
    """A training step for a network of so many channels."""

    def step(codes, truth, weight, p, reverse, eps, drawing, d, norms, room):  # type: ignore[no-untyped-def]
        """The sum of the squared errors; `d` becomes `weight` times its gradients. `reverse` holds the inner
        convolutions with output channels before input channels and the last place first. `norms` and `room` are
        filled in."""
        clear(d)
        windows, length = codes.shape
        layers, size, count = len(p.scales), length * channels, windows * length
        first_depth, depth = len(p.first) // channels, p.inner.shape[1] // channels
        edge = (room.active.shape[2] - size) // 2
        bases = np.zeros((length + first_depth // 4 // 2 * 2) * 4, np.float32)
        scores, padded = np.empty(length, np.float32), np.zeros(size + 2 * edge, np.float32)
        dx = padded[edge : edge + size]
        sums = np.empty((2, BASES * channels))
        of_x, constant = np.empty(BASES * channels, np.float32), np.empty(BASES * channels, np.float32)
        for n in range(layers):
            sums[:] = 0.0
            for i in range(windows):
                x = room.convolved[n, i]
                x[:] = ZERO
                if n == 0:
                    read_bases(codes[i], bases)
                    add_product(bases, 4, 1, p.first, x, length, channels, first_depth)
                else:
                    _activate(n - 1, i, norms, drawing, room)
                    add_product(room.active[n - 1, i], channels, 1, p.inner[n - 1], x, length, channels, depth)
                _add_sums(x, sums)
            _take_statistics(n, sums, count, p, eps, norms)
        total = 0.0
        for n in range(layers, -1, -1):
            if n < layers:
                _statistics_back(n, sums, count, norms, d, of_x, constant)
            sums[:] = 0.0
            for i in range(windows):
                below = room.slopes[(n - 1) % 2, i]
                if n == layers:
                    last = _activate(n - 1, i, norms, drawing, room)
                    score(last, p, channels, scores)
                    total += score_back(scores, truth[i], weight, last, p, d, channels, below)
                else:
                    _slope_of_x(room.slopes[n % 2, i], room.convolved[n, i], norms.factor[n], of_x, constant, dx)
                    if n == 0:
                        read_bases(codes[i], bases)
                        add_product(bases, 1, 4, dx, d.first, first_depth, channels, length)
                        continue
                    add_product(room.active[n - 1, i], 1, channels, dx, d.inner[n - 1], depth, channels, length)
                    # The slope of what a block was given has two parts: to that of the residual, which lies where it
                    # was passed on, the other is added.
                    if n % 2 == 0:
                        below[:] = ZERO
                    add_product(padded, channels, 1, reverse[n - 1], below, length, channels, depth)
                out = room.active[n - 1, i, edge : edge + size]
                scale = drawing.scale if n % 2 == 0 else ONE
                _pass_on(below, out, scale, room.convolved[n - 1, i], norms.mean[n - 1], norms.spread[n - 1], sums)
        return total

    return compiled(step)


_rooms: WeakKeyDictionary[nn.Module, list[Room]] = WeakKeyDictionary()  # fresh memory costs a quarter of a step


def _rooms_for(model: BindingPredictorCNN, shares: Sequence[Share]) -> list[Room]:
    windows, length = shares[0].codes.shape
    rooms, size = _rooms.get(model, []), length * width(model)
    if len(rooms) < len(shares) or rooms[0].slopes.shape[1] < windows or rooms[0].slopes.shape[2] != size:
        convolutions = [conv for conv, _ in layers(model)]
        edges = 2 * (convolutions[-1].kernel_size[0] // 2) * width(model)
        shapes = (len(convolutions), windows, size), (len(convolutions), windows, size + edges), (2, windows, size)
        rooms = _rooms[model] = [Room(*(np.zeros(shape, np.float32) for shape in shapes)) for _ in shares]
    return rooms[: len(shares)]


def _keep_statistics(model: BindingPredictorCNN, norms: Norms, count: int) -> None:
    """Running statistics move towards those of `count` bases."""
    for (_, norm), mean, variance in zip(layers(model), norms.mean, norms.variance, strict=True):
        assert isinstance(norm, nn.BatchNorm1d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.num_batches_tracked is not None
        assert norm.momentum is not None
        unbiased = variance * np.float32(count / (count - 1))
        for kept, found in ((norm.running_mean, mean), (norm.running_var, unbiased)):
            kept.lerp_(torch.from_numpy(found[: len(kept)]), norm.momentum)
        norm.num_batches_tracked += 1


def loss_and_gradients(
    model: BindingPredictorCNN,
    codes: Tensor,
    scores: Tensor,
    generators: Sequence[torch.Generator],
    spread: Spread = map,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The mean squared error of a batch of windows (N, L), and the gradients of the parameters of the model, in their
    order. `spread` does it in as many shares as there are `generators`, which draw their masks. Norms take their
    statistics from the windows of a share; those of the first share are kept."""
    p = packed(model)
    weight = 1 / codes.numel()
    run = _kernel(width(model))
    reverse, added = turned(p.inner, width(model)), eps(model)

    def loss(share: Share, norms: Norms, room: Room) -> float:
        codes, scores, drawing, d = share
        total: float = run(codes, scores, np.float32(weight), p, reverse, added, drawing, d, norms, room)
        return total * weight

    shares = in_shares(model, p, codes, scores, generators)
    shape = len(p.scales), BASES * width(model)
    norms = [Norms(*(np.empty(shape, np.float32) for _ in Norms._fields)) for _ in shares]
    found = added_up(model, spread(loss, shares, norms, _rooms_for(model, shares)), shares)
    _keep_statistics(model, norms[0], shares[0].codes.size)
    return found
