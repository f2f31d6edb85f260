"""Normalisation of channels and what follows it (the addition of a residual, relu, dropout) in one pass, on a CPU.

torch goes through memory once an operation, which takes a training step as long as its convolutions do.

Activations are (N, C, L) float32 tensors whose channels lie side by side in memory, so a window is L rows of C
numbers; others are copied into that order.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from tfbind.tile import compiled

Floats = NDArray[np.float32]

ZERO, ONE = np.float32(0), np.float32(1)
FIRST_FACTOR, SECOND_FACTOR = np.uint32(0x85EBCA6B), np.uint32(0xC2B2AE35)


class Mask(NamedTuple):
    """Which activations are dropped: those whose 32-bit number, drawn from `key`, is below `dropped`."""

    dropped: int
    key: tuple[int, int]

    @property
    def scale(self) -> float:
        """What the others are multiplied by, so that the expectation stays."""
        return 2**32 / (2**32 - self.dropped)


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


@compiled
def _channel_sums(x, sums, squares):  # type: ignore[no-untyped-def]
    """Add up each channel of (N, L, C) and its squares, in float64 from window to window."""
    windows, length, channels = x.shape
    for i in range(windows):
        some, more = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
        for j in range(length):
            for c in range(channels):
                some[c] += x[i, j, c]
                more[c] += x[i, j, c] * x[i, j, c]
        for c in range(channels):
            sums[c] += some[c]
            squares[c] += more[c]


@compiled
def _by_channel(x, factor, shift, residual, drawing, out):  # type: ignore[no-untyped-def]
    """Each of the channels of (N, L, C) times its factor, plus its shift (C,)."""
    windows, length, channels = x.shape
    for i in range(windows):
        for j in range(length):
            start = (i * length + j) * channels
            for c in range(channels):
                value = x[i, j, c] * factor[c] + shift[c]
                beside = ZERO if residual is None else residual[i, j, c]
                out[i, j, c] = finish(value, beside, start + c, drawing)


@compiled
def _by_channel_back(x, out, slope, scale, mean, spread, passed, sums, products):  # type: ignore[no-untyped-def]
    """What relu and dropout pass on of `slope`, and its sums by channel (C,), alone and times the normal x."""
    windows, length, channels = x.shape
    for i in range(windows):
        some, more = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
        for j in range(length):
            for c in range(channels):
                value = ZERO if out[i, j, c] <= ZERO else slope[i, j, c] * scale
                passed[i, j, c] = value
                some[c] += value
                more[c] += value * (x[i, j, c] - mean[c]) * spread[c]
        for c in range(channels):
            sums[c] += some[c]
            products[c] += more[c]


@compiled
def _slope_of_channels(x, passed, of_passed, of_x, shift, dx):  # type: ignore[no-untyped-def]
    """dx = passed * of_passed + x * of_x + shift, channel by channel (C,)."""
    windows, length, channels = x.shape
    for i in range(windows):
        for j in range(length):
            for c in range(channels):
                dx[i, j, c] = passed[i, j, c] * of_passed[c] + x[i, j, c] * of_x[c] + shift[c]


def _rows(x: Tensor) -> Floats:
    """(N, C, L) as (N, L, C), without a copy where the channels lie side by side."""
    rows: Floats = x.detach().mT.contiguous().numpy()
    return rows


def _channels_first(rows: Floats) -> Tensor:
    return torch.from_numpy(rows).mT


def _drawing(mask: Mask | None) -> tuple[Any, ...] | None:
    """How the kernels are told of a mask."""
    if mask is None:
        return None
    return np.uint32(mask.dropped), np.uint32(mask.key[0]), np.uint32(mask.key[1]), np.float32(mask.scale)


class _ChannelNorm(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        spread: Tensor,
        residual: Tensor | None,
        mask: Mask | None,
    ) -> Tensor:
        rows, out = _rows(x), np.empty((x.shape[0], x.shape[2], x.shape[1]), np.float32)
        factor = weight * spread
        beside, drawing = None if residual is None else _rows(residual), _drawing(mask)
        _by_channel(rows, factor.numpy(), (bias - mean * factor).numpy(), beside, drawing, out)
        result = _channels_first(out)
        ctx.save_for_backward(x, result)
        ctx.kept = weight, mean, spread, np.float32(mask.scale) if mask else ONE, residual is not None
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        x, out = (_rows(tensor) for tensor in ctx.saved_tensors)
        weight, mean, spread, scale, has_residual = ctx.kept
        passed, dx = np.empty_like(x), np.empty_like(x)
        sums, products = np.zeros(x.shape[2]), np.zeros(x.shape[2])
        _by_channel_back(x, out, _rows(slope), scale, mean.numpy(), spread.numpy(), passed, sums, products)
        dbias, dweight = torch.from_numpy(sums).float(), torch.from_numpy(products).float()
        of_passed = weight * spread
        of_x = -of_passed * spread * dweight / (x.shape[0] * x.shape[1])
        shift = -of_passed * dbias / (x.shape[0] * x.shape[1]) - of_x * mean
        _slope_of_channels(x, passed, of_passed.numpy(), of_x.numpy(), shift.numpy(), dx)
        dresidual = _channels_first(passed) if has_residual else None
        return _channels_first(dx), dweight, dbias, None, None, dresidual, None


def channel_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and (biased) variance (C,) of each channel of `x` (N, C, L)."""
    rows = _rows(x)
    sums, squares = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    _channel_sums(rows, sums, squares)
    count = x.shape[0] * x.shape[2]
    mean = torch.from_numpy(sums) / count
    variance = (torch.from_numpy(squares) / count - mean.square()).clamp_min(0)
    return mean.float(), variance.float()


def channel_norm(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
    eps: float,
    residual: Tensor | None = None,
    mask: Mask | None = None,
) -> Tensor:
    """dropout(relu(batch_norm(x) + residual)) of `x` (N, C, L) with the `channel_statistics` of `x` itself, or, where
    no gradient is asked for, any others."""
    result: Tensor = _ChannelNorm.apply(x, weight, bias, mean, (variance + eps).rsqrt(), residual, mask)
    return result
