"""A training step of the model whose norms look at one window each, on a CPU: its loss and gradients in one go.

The windows of a batch have nothing to do with each other until their gradients are added up. So each goes through
the network and back while all that it leaves behind lies in the cache of a core, where torch takes the whole batch
through memory once an operation. What comes out is what `torch.autograd.grad` gives for a `BindingPredictorCNN` with
`norm="layer"`, but for the order in which sums are taken.

A window of activations is flat in here: L bases one after the other, the C channels of a base side by side.
"""

from functools import lru_cache
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tfbind.fused import ONE, ZERO, finish
from tfbind.models import BindingPredictorCNN, ResidualBlock, WindowNorm
from tfbind.tile import LANES, Kernel, add_product, compiled, inlined

Floats = NDArray[np.float32]


def fits(model: nn.Module) -> bool:
    """Whether the steps of a model can be had here."""
    if not isinstance(model, BindingPredictorCNN) or not isinstance(model.initial_norm, WindowNorm):
        return False
    weights = model.initial_conv.weight
    return weights.device.type == "cpu" and len(weights) % LANES == 0


class Parameters(NamedTuple):
    """The parameters of a network of n layers, in the order in which they are read; or their gradients.

    `first` (K', 4, C) and `inner` (n - 1, K, C, C) are the convolutions, input channels before output channels;
    `scales` and `shifts` (n, L, C) the norms, `head` (C,) and `bias` (1,) the last layer. All but the first axis is
    flat.
    """

    first: Floats
    inner: Floats
    scales: Floats
    shifts: Floats
    head: Floats
    bias: Floats


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


class Drawing(NamedTuple):
    """Which activations are dropped in each block: see `fused.Mask`. `dropped` is 0 where none are."""

    dropped: np.uint32
    keys: NDArray[np.uint32]
    scale: np.float32


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
def _read(codes, bases):  # type: ignore[no-untyped-def]
    """Bases one-hot between what is left and right of them; N is zeros."""
    bases[:] = ZERO
    before = len(bases) // 2 - 2 * len(codes)
    for j in range(len(codes)):
        if codes[j] < 4:
            bases[before + 4 * j + codes[j]] = ONE


@compiled
def _normalise(x, scales, shifts, eps, residual, position, drawing, out):  # type: ignore[no-untyped-def]
    """dropout(relu(layer_norm(x) + residual)) of a window; its mean and 1 / standard deviation."""
    size = len(x)
    total = ZERO
    for j in range(size):
        total += x[j]
    mean = total / np.float32(size)
    squares = ZERO
    for j in range(size):
        squares += (x[j] - mean) * (x[j] - mean)
    spread = ONE / np.sqrt(squares / np.float32(size) + eps)
    for j in range(size):
        value = (x[j] - mean) * spread * scales[j] + shifts[j]
        out[j] = finish(value, ZERO if residual is None else residual[j], position + j, drawing)
    return mean, spread


@compiled
def _normalise_back(x, scales, mean, spread, out, scale, slope, dscales, dshifts, dx):  # type: ignore[no-untyped-def]
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
    total /= np.float32(size)
    along /= np.float32(size)
    for j in range(size):
        dx[j] = spread * (dx[j] - total - (x[j] - mean) * spread * along)


@inlined
def _forward(codes, p, eps, drawing, position, buffers, channels, out):  # type: ignore[no-untyped-def]
    """The scores (L,) of a window, and what it leaves behind."""
    bases, convolved, active, mean, spread = buffers
    length, size = len(codes), convolved.shape[1]
    edge = (active.shape[1] - size) // 2
    dropped, keys, scale = drawing
    _read(codes, bases)
    convolved[:] = ZERO
    add_product(bases, 4, 1, p.first, convolved[0], length, channels, len(p.first) // channels)
    inside = active[0, edge : edge + size]
    mean[0], spread[0] = _normalise(convolved[0], p.scales[0], p.shifts[0], eps, None, position, None, inside)
    for n in range(1, len(convolved)):
        here, inside = convolved[n], active[n, edge : edge + size]
        weights = p.inner[n - 1]
        add_product(active[n - 1], channels, 1, weights, here, length, channels, len(weights) // channels)
        if n % 2 == 0:
            beside = active[n - 2, edge : edge + size]
            found = _normalise(here, p.scales[n], p.shifts[n], eps, beside, position, None, inside)
        elif dropped == 0:
            found = _normalise(here, p.scales[n], p.shifts[n], eps, None, position, None, inside)
        else:
            draw = (dropped, keys[n // 2, 0], keys[n // 2, 1], scale)
            found = _normalise(here, p.scales[n], p.shifts[n], eps, None, position, draw, inside)
        mean[n], spread[n] = found
    for j in range(length):
        score = p.bias[0]
        for c in range(channels):
            score += inside[j * channels + c] * p.head[c]
        out[j] = score


@lru_cache
def _kernels(channels: int) -> tuple[Kernel, Kernel]:
    """The scores of windows, and a training step, for a network of so many channels."""

    def predict(codes, p, eps, drawing, out):  # type: ignore[no-untyped-def]
        buffers = _buffers(codes.shape[1], channels, len(p.scales), p.first, p.inner)
        for i in range(len(codes)):
            _forward(codes[i], p, eps, drawing, 0, buffers, channels, out[i])

    def step(codes, truth, weight, p, reverse, eps, drawing, d):  # type: ignore[no-untyped-def]
        """The sum of the squared errors; `weight` times its gradients is added to `d`. `reverse` holds the inner
        convolutions with output channels before input channels and the last place first."""
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
            _forward(codes[i], p, eps, drawing, i * size, buffers, channels, scores)
            last = active[layers - 1, edge : edge + size]
            for j in range(length):
                error = scores[j] - truth[i, j]
                total += error * error
                error *= np.float32(2) * weight
                d.bias[0] += error
                for c in range(channels):
                    d.head[c] += error * last[j * channels + c]
                    slope[j * channels + c] = error * p.head[c]
            for n in range(layers - 1, -1, -1):
                out = active[n, edge : edge + size]
                scale = drawing.scale if n % 2 == 1 else ONE
                _normalise_back(
                    convolved[n], p.scales[n], mean[n], spread[n], out, scale, slope, d.scales[n], d.shifts[n], inside
                )
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


def _layers(model: BindingPredictorCNN) -> list[tuple[nn.Conv1d, WindowNorm]]:
    """The convolutions of a model with their norms."""
    pairs = [(model.initial_conv, model.initial_norm)]
    for block in _blocks(model):
        pairs += [(block.conv1, block.norm1), (block.conv2, block.norm2)]
    return cast(list[tuple[nn.Conv1d, WindowNorm]], pairs)


def _blocks(model: BindingPredictorCNN) -> list[ResidualBlock]:
    return cast(list[ResidualBlock], list(model.res_blocks))


@torch.no_grad()
def _parameters(model: BindingPredictorCNN) -> Parameters:
    layers = _layers(model)
    first, *inner = (conv.weight.permute(2, 1, 0).flatten() for conv, _ in layers)
    scales, shifts = (
        torch.stack([parameter.mT.flatten() for parameter in parameters])
        for parameters in ([norm.weight for _, norm in layers], [norm.bias for _, norm in layers])
    )
    stacked = torch.stack(inner) if inner else torch.empty((0, 0))
    head = model.final_conv.weight.flatten(), cast(Tensor, model.final_conv.bias)
    return Parameters(*(tensor.numpy() for tensor in (first, stacked, scales, shifts, *head)))


def _reversed(inner: Floats, channels: int) -> Floats:
    """Inner convolutions (n, K * C * C) with output channels before input channels and the last place first."""
    whole = inner.reshape(len(inner), -1, channels, channels) if len(inner) else inner[..., None, None]
    return np.ascontiguousarray(whole[:, ::-1].swapaxes(2, 3)).reshape(inner.shape)


def _in_order(d: Parameters, model: BindingPredictorCNN) -> tuple[Tensor, ...]:
    """Gradients in the order and the shapes of the parameters of the model."""
    gradients: list[Tensor] = []
    for n, (conv, norm) in enumerate(_layers(model)):
        outs, channels, width = conv.weight.shape
        weights = torch.from_numpy(d.inner[n - 1] if n else d.first)
        gradients.append(weights.view(width, channels, outs).permute(2, 1, 0))
        gradients += [torch.from_numpy(rows[n]).view(norm.weight.mT.shape).mT for rows in (d.scales, d.shifts)]
    return *gradients, torch.from_numpy(d.head).view_as(model.final_conv.weight), torch.from_numpy(d.bias)


def _drawing(model: BindingPredictorCNN) -> Drawing:
    masks = [mask for block in _blocks(model) if (mask := block.dropout.draw())]
    if not masks:
        return Drawing(np.uint32(0), np.empty((0, 2), np.uint32), ONE)
    keys = np.array([mask.key for mask in masks], np.uint32)
    return Drawing(np.uint32(masks[0].dropped), keys, np.float32(masks[0].scale))


def _eps(model: BindingPredictorCNN) -> np.float32:
    assert isinstance(model.initial_norm, WindowNorm)
    return np.float32(model.initial_norm.eps)


def predict(model: BindingPredictorCNN, codes: Tensor) -> Tensor:
    """The scores (N, L) of windows (N, L) of codes."""
    out = np.empty(codes.shape, np.float32)
    run, _ = _kernels(model.initial_conv.out_channels)
    run(codes.numpy(), _parameters(model), _eps(model), _drawing(model), out)
    return torch.from_numpy(out)


def loss_and_gradients(
    model: BindingPredictorCNN, codes: Tensor, scores: Tensor, windows: int
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """What windows (N, L) add to the mean squared error of a batch of so many `windows`, and to the gradients of the
    parameters of the model, in their order."""
    p = _parameters(model)
    d = Parameters(*(np.zeros_like(array) for array in p))
    weight = 1 / (windows * codes.shape[1])
    _, run = _kernels(len(p.head))
    reverse, drawing = _reversed(p.inner, len(p.head)), _drawing(model)
    total = run(codes.numpy(), scores.numpy(), np.float32(weight), p, reverse, _eps(model), drawing, d)
    return torch.tensor(total * weight, dtype=torch.float32), _in_order(d, model)
