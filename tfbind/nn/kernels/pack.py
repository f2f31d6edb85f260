"""A network as the flat arrays that training steps on a CPU work with, and what these steps have in common.

A window of activations is flat there: L bases one after the other, the channels of a base side by side. Channels are
filled up with zeros to C, a multiple of `tile.HALF`: their weights are zeros too, so nothing comes of them.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from operator import iadd
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import pad

from tfbind.nn.kernels.gemm import HALF, add_product, compiled, inlined
from tfbind.nn.model import BindingPredictorCNN, ResidualBlock

Floats = NDArray[np.float32]
Spread = Callable[..., Iterable[Any]]  # does what `map` does, be it in several threads at a time
Norm = nn.LayerNorm | nn.BatchNorm1d

ZERO, ONE = np.float32(0), np.float32(1)
FIRST_FACTOR, SECOND_FACTOR = np.uint32(0x85EBCA6B), np.uint32(0xC2B2AE35)


class Parameters(NamedTuple):
    """The parameters of a network of n layers, in the order in which they are read; or their gradients.

    `first` (K', 4, C) and `inner` (n - 1, K, C, C) are the convolutions, input channels before output channels;
    `scales` and `shifts` (n, L, C), or (n, C) with `norm="batch"`, the norms; `head` (C,) and `bias` (1,) the last
    layer. All but the first axis is flat.
    """

    first: Floats
    inner: Floats
    scales: Floats
    shifts: Floats
    head: Floats
    bias: Floats


class Drawing(NamedTuple):
    """Which activations are dropped in each block: those whose 32-bit number, drawn from the two `keys` of the block
    (blocks, 2), is below `dropped`, which is 0 where none are. `scale` is what the others are multiplied by, so that
    the expectation stays."""

    dropped: np.uint32
    keys: NDArray[np.uint32]
    scale: np.float32


NOTHING_DROPPED = Drawing(np.uint32(0), np.empty((0, 2), np.uint32), ONE)


class Share(NamedTuple):
    """What a thread does of a batch: `codes` and `scores` (N, L) of its windows, its masks, and room for what its
    windows add to the gradients."""

    codes: NDArray[np.uint8]
    scores: Floats
    drawing: Drawing
    d: Parameters


def fits(model: nn.Module) -> bool:
    """Whether the training steps of a model can be had on arrays."""
    if not isinstance(model, BindingPredictorCNN):
        return False
    weights = model.initial_conv.weight
    return weights.device.type == "cpu" and weights.dtype == torch.float32


def width(model: BindingPredictorCNN) -> int:
    """The channels of a model, filled up."""
    return -(-model.initial_conv.out_channels // HALF) * HALF


def layers(model: BindingPredictorCNN) -> list[tuple[nn.Conv1d, Norm]]:
    """The convolutions of a model with their norms."""
    pairs = [(model.initial_conv, model.initial_norm)]
    for block in _blocks(model):
        pairs += [(block.conv1, block.norm1), (block.conv2, block.norm2)]
    return cast(list[tuple[nn.Conv1d, Norm]], pairs)


def _blocks(model: BindingPredictorCNN) -> list[ResidualBlock]:
    return cast(list[ResidualBlock], list(model.res_blocks))


def _filled_up(channels_last: Tensor) -> Tensor:
    return pad(channels_last, (0, -channels_last.shape[-1] % HALF))


@torch.no_grad()
def packed(model: BindingPredictorCNN) -> Parameters:
    """The parameters of a model."""
    first, *inner = (_filled_up(conv.weight.permute(2, 1, 0)) for conv, _ in layers(model))
    whole = [_filled_up(weights.mT).mT.flatten() for weights in inner]
    stacked = torch.stack(whole) if whole else torch.empty((0, 0))
    scales, shifts = (
        torch.stack([_filled_up(tensor.view(len(tensor), -1).mT).flatten() for tensor in tensors])
        for tensors in zip(*((norm.weight, norm.bias) for _, norm in layers(model)), strict=True)
    )
    head = _filled_up(model.final_conv.weight.flatten()), cast(Tensor, model.final_conv.bias)
    return Parameters(*(tensor.numpy() for tensor in (first.flatten(), stacked, scales, shifts, *head)))


@torch.no_grad()
def settled(model: BindingPredictorCNN, length: int) -> Parameters:
    """The parameters of a model whose batch norms go by their running statistics: activations are multiplied by
    `scales` (n, L * C), and `shifts` are added."""
    p = packed(model)
    kept = [(norm.running_mean, norm.running_var) for _, norm in layers(model) if isinstance(norm, nn.BatchNorm1d)]
    means, variances = (
        _filled_up(torch.stack(cast(list[Tensor], tensors))).numpy() for tensors in map(list, zip(*kept, strict=True))
    )
    scales = p.scales / np.sqrt(variances + eps(model))
    shifts = p.shifts - means * scales
    return p._replace(scales=np.tile(scales, length), shifts=np.tile(shifts, length))


def eps(model: BindingPredictorCNN) -> np.float32:
    """What the norms of a model add to a variance."""
    return np.float32(cast(Norm, model.initial_norm).eps)


def unpacked(d: Parameters, model: BindingPredictorCNN) -> tuple[Tensor, ...]:
    """Gradients in the order and the shapes of the parameters of a model."""
    channels, wide = model.initial_conv.out_channels, width(model)
    gradients: list[Tensor] = []
    for n, (conv, norm) in enumerate(layers(model)):
        weights = torch.from_numpy(d.inner[n - 1] if n else d.first).view(conv.kernel_size[0], -1, wide)
        gradients.append(weights[:, : conv.in_channels, :channels].permute(2, 1, 0))
        for rows in (d.scales, d.shifts):
            by_channel = torch.from_numpy(rows[n]).view(-1, wide)[:, :channels].mT
            gradients.append(by_channel.reshape(norm.weight.shape))
    head = torch.from_numpy(d.head)[:channels]
    return *gradients, head.view_as(model.final_conv.weight), torch.from_numpy(d.bias)


def turned(inner: Floats, channels: int) -> Floats:
    """Inner convolutions (n, K * C * C) with output channels before input channels and the last place first."""
    whole = inner.reshape(len(inner), -1, channels, channels) if len(inner) else inner[..., None, None]
    return np.ascontiguousarray(whole[:, ::-1].swapaxes(2, 3)).reshape(inner.shape)


def drawn(model: BindingPredictorCNN, generator: torch.Generator) -> Drawing:
    """The next masks of a model, or none where it predicts."""
    dropouts = [block.dropout for block in _blocks(model)]
    if not model.training or not dropouts or dropouts[0].dropped == 0:
        return NOTHING_DROPPED
    keys = [torch.randint(2**32, (2,), generator=generator).numpy() for _ in dropouts]
    dropped = dropouts[0].dropped
    return Drawing(np.uint32(dropped << 16), np.array(keys, np.uint32), np.float32(2**16 / (2**16 - dropped)))


def in_shares(
    model: BindingPredictorCNN, p: Parameters, codes: Tensor, scores: Tensor, generators: Sequence[torch.Generator]
) -> list[Share]:
    """A batch of windows (N, L) in as many shares as there are `generators`, which draw their masks."""
    return [
        Share(windows, truth, drawn(model, generator), Parameters(*map(np.empty_like, p)))
        for windows, truth, generator in zip(
            np.array_split(codes.numpy(), len(generators)),
            np.array_split(scores.numpy(), len(generators)),
            generators,
            strict=True,
        )
    ]


def added_up(
    model: BindingPredictorCNN, losses: Iterable[float], shares: Sequence[Share]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The loss of a batch and its gradients, those of the parameters of a model in their order, from its shares."""
    loss = torch.tensor(list(losses), dtype=torch.float32).sum()  # waits for the shares
    d = Parameters(*(reduce(iadd, arrays) for arrays in zip(*(share.d for share in shares), strict=True)))
    return loss, unpacked(d, model)


@inlined
def clear(d):  # type: ignore[no-untyped-def]
    """Set gradients to zero."""
    d.first[:], d.inner[:], d.scales[:] = ZERO, ZERO, ZERO
    d.shifts[:], d.head[:], d.bias[:] = ZERO, ZERO, ZERO


@compiled
def read_bases(codes, bases):  # type: ignore[no-untyped-def]
    """Bases one-hot between what is left and right of them; N is zeros."""
    bases[:] = ZERO
    before = len(bases) // 2 - 2 * len(codes)
    for j in range(len(codes)):
        if codes[j] < 4:
            bases[before + 4 * j + codes[j]] = ONE


@compiled
def _mixed(bits: np.uint32) -> np.uint32:
    """The finaliser of MurmurHash3 (Appleby): every bit depends on every bit that comes in."""
    bits = np.uint32((bits ^ (bits >> np.uint32(16))) * FIRST_FACTOR)
    bits = np.uint32((bits ^ (bits >> np.uint32(13))) * SECOND_FACTOR)
    return np.uint32(bits ^ (bits >> np.uint32(16)))


@compiled
def finish(value, residual, position, drawing):  # type: ignore[no-untyped-def]
    """A normalised activation after the residual, relu and dropout. NaN stays NaN, so that it is noticed."""
    value += residual
    value = ZERO if value <= ZERO else value
    if drawing is not None:
        dropped, first, second, scale = drawing
        value = value * scale if _mixed(_mixed(np.uint32(position) ^ first) ^ second) >= dropped else ZERO
    return value


@inlined
def score(active, p, channels, out):  # type: ignore[no-untyped-def]
    """The scores (L,) of a window from its last activations."""
    for j in range(len(out)):
        total = p.bias[0]
        for c in range(channels):
            total += active[j * channels + c] * p.head[c]
        out[j] = total


@inlined
def score_back(scores, truth, weight, active, p, d, channels, slope):  # type: ignore[no-untyped-def]
    """The sum of the squared errors of the scores of a window; `weight` times its gradients is added to `d`, and
    `slope` becomes that of the last activations."""
    total = 0.0
    for j in range(len(scores)):
        error = scores[j] - truth[j]
        total += error * error
        scores[j] = error * np.float32(2) * weight
        d.bias[0] += scores[j]
    slope[:] = ZERO
    add_product(scores, 1, 1, active, d.head, 1, channels, len(scores))
    add_product(scores, 1, 1, p.head, slope, len(scores), channels, 1)
    return total
