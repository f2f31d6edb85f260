"""Normalisation with what follows it (the addition of a residual, relu, dropout) in one pass over memory, on a CPU.

torch goes through memory once an operation, which takes a training step as long as its convolutions do. Here a window
is read and written while it lies in the cache of a core, forward and backward. The functions are compiled by numba at
their first use, kept on disk, and hold no lock of the interpreter while they work.

Activations are (N, C, L) float32 tensors whose channels lie side by side in memory, so a window is L rows of C
numbers; others are copied into that order.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

Floats = NDArray[np.float32]
Kernel = Callable[..., Any]

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


def _compiled(kernel: Kernel) -> Kernel:
    # Sums may be taken in any order, as many numbers at a time as the processor has lanes; NaN and infinity stay.
    compiled: Kernel = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract"})(
        kernel
    )
    return compiled


@_compiled
def _mixed(bits: np.uint32) -> np.uint32:
    """The finaliser of MurmurHash3 (Appleby): every bit depends on every bit that comes in."""
    bits = np.uint32((bits ^ (bits >> np.uint32(16))) * FIRST_FACTOR)
    bits = np.uint32((bits ^ (bits >> np.uint32(13))) * SECOND_FACTOR)
    return np.uint32(bits ^ (bits >> np.uint32(16)))


@_compiled
def _finish(value, residual, position, dropped, first, second, scale):  # type: ignore[no-untyped-def]
    """A normalised activation after the residual, relu and dropout. NaN stays NaN, so that it is noticed."""
    value += residual
    value = ZERO if value <= ZERO else value
    if dropped is not None:
        value = value * scale if _mixed(_mixed(np.uint32(position) ^ first) ^ second) >= dropped else ZERO
    return value


@_compiled
def _by_window(x, weight, bias, residual, dropped, first, second, scale, eps, out, mean, spread):  # type: ignore[no-untyped-def]
    """Each of the windows (N, M) by its own mean and 1 / standard deviation, which go to `mean` and `spread` (N,)."""
    windows, size = x.shape
    for i in range(windows):
        total = ZERO
        for j in range(size):
            total += x[i, j]
        middle = total / np.float32(size)
        squares = ZERO
        for j in range(size):
            away = x[i, j] - middle
            squares += away * away
        scaled = ONE / np.sqrt(squares / np.float32(size) + eps)
        mean[i], spread[i] = middle, scaled
        for j in range(size):
            value = (x[i, j] - middle) * scaled * weight[j] + bias[j]
            beside = ZERO if residual is None else residual[i, j]
            out[i, j] = _finish(value, beside, i * size + j, dropped, first, second, scale)


@_compiled
def _by_window_back(x, weight, out, slope, scale, mean, spread, dx, dweight, dbias, dresidual):  # type: ignore[no-untyped-def]
    """The gradients of `_by_window`, from `slope`, that of `out`."""
    windows, size = x.shape
    for i in range(windows):
        middle, scaled = mean[i], spread[i]
        total, product = ZERO, ZERO
        for j in range(size):
            # What relu or dropout set to zero passes nothing on.
            passed = ZERO if out[i, j] <= ZERO else slope[i, j] * scale
            if dresidual is not None:
                dresidual[i, j] = passed
            normal = (x[i, j] - middle) * scaled
            dbias[j] += passed
            dweight[j] += passed * normal
            weighted = passed * weight[j]
            total += weighted
            product += weighted * normal
            dx[i, j] = weighted
        total /= np.float32(size)
        product /= np.float32(size)
        for j in range(size):
            dx[i, j] = scaled * (dx[i, j] - total - (x[i, j] - middle) * scaled * product)


@_compiled
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


@_compiled
def _by_channel(x, factor, shift, residual, dropped, first, second, scale, out):  # type: ignore[no-untyped-def]
    """Each of the channels of (N, L, C) times its factor, plus its shift (C,)."""
    windows, length, channels = x.shape
    for i in range(windows):
        for j in range(length):
            start = (i * length + j) * channels
            for c in range(channels):
                value = x[i, j, c] * factor[c] + shift[c]
                beside = ZERO if residual is None else residual[i, j, c]
                out[i, j, c] = _finish(value, beside, start + c, dropped, first, second, scale)


@_compiled
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


@_compiled
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


def _drawing(mask: Mask | None) -> tuple[Any, ...]:
    """How the kernels are told of a mask."""
    if mask is None:
        return None, np.uint32(0), np.uint32(0), ONE
    return np.uint32(mask.dropped), np.uint32(mask.key[0]), np.uint32(mask.key[1]), np.float32(mask.scale)


class _WindowNorm(Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, residual: Tensor | None, mask: Mask | None, eps: float
    ) -> Tensor:
        rows = _rows(x)
        windows, length, channels = rows.shape
        flat = windows, length * channels
        out, mean, spread = np.empty(flat, np.float32), np.empty(windows, np.float32), np.empty(windows, np.float32)
        scales, shifts = weight.mT.flatten().numpy(), bias.mT.flatten().numpy()
        beside = None if residual is None else _rows(residual).reshape(flat)
        drawing = _drawing(mask)
        _by_window(rows.reshape(flat), scales, shifts, beside, *drawing, np.float32(eps), out, mean, spread)
        result = _channels_first(out.reshape(rows.shape))
        ctx.save_for_backward(x, result)
        ctx.kept = scales, drawing[-1], mean, spread, residual is not None
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        x, out = (_rows(tensor) for tensor in ctx.saved_tensors)
        scales, scale, mean, spread, has_residual = ctx.kept
        flat = len(x), x[0].size
        dx, dweight, dbias = np.empty(flat, np.float32), np.zeros(flat[1], np.float32), np.zeros(flat[1], np.float32)
        dresidual = np.empty(flat, np.float32) if has_residual else None
        slopes = _rows(slope).reshape(flat)
        _by_window_back(
            x.reshape(flat), scales, out.reshape(flat), slopes, scale, mean, spread, dx, dweight, dbias, dresidual
        )
        each = (None if d is None else _channels_first(d.reshape(x.shape)) for d in (dx, dresidual))
        dx_first, dresidual_first = each
        dweights, dbiases = (_channels_first(d.reshape(x.shape[1:])) for d in (dweight, dbias))
        return dx_first, dweights, dbiases, dresidual_first, None, None


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
        _by_channel(rows, factor.numpy(), (bias - mean * factor).numpy(), beside, *drawing, out)
        result = _channels_first(out)
        ctx.save_for_backward(x, result)
        ctx.kept = weight, mean, spread, drawing[-1], residual is not None
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


def window_norm(
    x: Tensor, weight: Tensor, bias: Tensor, eps: float, residual: Tensor | None = None, mask: Mask | None = None
) -> Tensor:
    """dropout(relu(layer_norm(x) + residual)) of `x` (N, C, L), each window normalised over all its numbers;
    `weight` and `bias` are (C, L)."""
    result: Tensor = _WindowNorm.apply(x, weight, bias, residual, mask, eps)
    return result


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
