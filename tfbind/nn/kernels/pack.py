"""What the CPU training steps share: packed parameters, shards of a batch, dropout, the output layer.

A window of activations is a flat float32 array of L * C: position by position, the channels of a position side by
side (channels last). C is the number of channels padded with zeros to a multiple of `gemm.NR_HALF`; the weights of
padding channels are zero, so they change no result.
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

from tfbind.nn.kernels.gemm import NR_HALF, gemm, jit, jit_inline
from tfbind.nn.model import BindingPredictorCNN, ResidualBlock

Floats = NDArray[np.float32]
ParallelMap = Callable[..., Iterable[Any]]  # the signature of `map`, possibly with several threads
Norm = nn.LayerNorm | nn.BatchNorm1d

ZERO, ONE = np.float32(0), np.float32(1)
MURMUR_1, MURMUR_2 = np.uint32(0x85EBCA6B), np.uint32(0xC2B2AE35)


class Parameters(NamedTuple):
    """Packed parameters of a network of n convolutions, in the order in which they are read; or their gradients.

    first: (K' * 4 * C,), the first convolution as (K', 4, C): input channels before output channels.
    inner: (n - 1, K * C * C), the others as (K, C, C).
    gamma, beta: (n, L * C) with layer norm, (n, C) with batch norm.
    head: (C,) and bias: (1,), the 1 x 1 convolution at the end.
    """

    first: Floats
    inner: Floats
    gamma: Floats
    beta: Floats
    head: Floats
    bias: Floats


class DropoutMask(NamedTuple):
    """A dropout mask as the keys of a counter-based generator: no mask is stored, each thread computes its own.

    An activation is dropped where the 32-bit hash of its position and of the two `keys` (blocks, 2) of its block is
    below `threshold`; 0 drops none. The others are multiplied by `scale`, 1 / (1 - rate).
    """

    threshold: np.uint32
    keys: NDArray[np.uint32]
    scale: np.float32


NO_DROPOUT = DropoutMask(np.uint32(0), np.empty((0, 2), np.uint32), ONE)


class Shard(NamedTuple):
    """One thread's shard of a batch: codes (n, L) uint8, targets (n, L) float32, dropout mask, gradient
    accumulators."""

    codes: NDArray[np.uint8]
    targets: Floats
    dropout: DropoutMask
    grads: Parameters


def is_supported(model: nn.Module) -> bool:
    """Whether the kernels can train a model: a BindingPredictorCNN in float32 on a CPU."""
    if not isinstance(model, BindingPredictorCNN):
        return False
    weights = model.initial_conv.weight
    return weights.device.type == "cpu" and weights.dtype == torch.float32


def padded_channels(model: BindingPredictorCNN) -> int:
    """C: the channels of a model, rounded up to a multiple of `NR_HALF`."""
    return -(-model.initial_conv.out_channels // NR_HALF) * NR_HALF


def layers(model: BindingPredictorCNN) -> list[tuple[nn.Conv1d, Norm]]:
    """The convolutions of a model with their norms, input to output."""
    pairs = [(model.initial_conv, model.initial_norm)]
    for block in _blocks(model):
        pairs += [(block.conv1, block.norm1), (block.conv2, block.norm2)]
    return cast(list[tuple[nn.Conv1d, Norm]], pairs)


def _blocks(model: BindingPredictorCNN) -> list[ResidualBlock]:
    return cast(list[ResidualBlock], list(model.res_blocks))


def _pad_channels(channels_last: Tensor) -> Tensor:
    return pad(channels_last, (0, -channels_last.shape[-1] % NR_HALF))


@torch.no_grad()
def pack_parameters(model: BindingPredictorCNN) -> Parameters:
    """The parameters of a model in the layout of `Parameters`."""
    first, *inner = (_pad_channels(conv.weight.permute(2, 1, 0)) for conv, _ in layers(model))
    padded = [_pad_channels(weights.mT).mT.flatten() for weights in inner]
    stacked = torch.stack(padded) if padded else torch.empty((0, 0))
    gamma, beta = (
        torch.stack([_pad_channels(tensor.view(len(tensor), -1).mT).flatten() for tensor in tensors])
        for tensors in zip(*((norm.weight, norm.bias) for _, norm in layers(model)), strict=True)
    )
    head = _pad_channels(model.final_conv.weight.flatten()), cast(Tensor, model.final_conv.bias)
    return Parameters(*(tensor.numpy() for tensor in (first.flatten(), stacked, gamma, beta, *head)))


@torch.no_grad()
def inference_parameters(model: BindingPredictorCNN, length: int) -> Parameters:
    """Packed parameters of a batch-norm model in evaluation mode.

    Running statistics make each norm a fixed scale and shift by channel; `gamma` and `beta` become these, (n, L * C).
    """
    p = pack_parameters(model)
    statistics = [
        (norm.running_mean, norm.running_var) for _, norm in layers(model) if isinstance(norm, nn.BatchNorm1d)
    ]
    means, variances = (
        _pad_channels(torch.stack(cast(list[Tensor], tensors))).numpy()
        for tensors in map(list, zip(*statistics, strict=True))
    )
    scale = p.gamma / np.sqrt(variances + eps(model))
    shift = p.beta - means * scale
    return p._replace(gamma=np.tile(scale, length), beta=np.tile(shift, length))


def eps(model: BindingPredictorCNN) -> np.float32:
    """What the norms of a model add to a variance."""
    return np.float32(cast(Norm, model.initial_norm).eps)


def unpack_gradients(grads: Parameters, model: BindingPredictorCNN) -> tuple[Tensor, ...]:
    """Packed gradients as tensors in the order and the shapes of `model.parameters()`."""
    channels, padded = model.initial_conv.out_channels, padded_channels(model)
    gradients: list[Tensor] = []
    for n, (conv, norm) in enumerate(layers(model)):
        weights = torch.from_numpy(grads.inner[n - 1] if n else grads.first).view(conv.kernel_size[0], -1, padded)
        gradients.append(weights[:, : conv.in_channels, :channels].permute(2, 1, 0))
        for rows in (grads.gamma, grads.beta):
            by_channel = torch.from_numpy(rows[n]).view(-1, padded)[:, :channels].mT
            gradients.append(by_channel.reshape(norm.weight.shape))
    head = torch.from_numpy(grads.head)[:channels]
    return *gradients, head.view_as(model.final_conv.weight), torch.from_numpy(grads.bias)


def flip_kernels(inner: Floats, channels: int) -> Floats:
    """Inner convolutions (n, K * C * C) as their backward pass reads them: positions reversed, output channels before
    input channels."""
    kernels = inner.reshape(len(inner), -1, channels, channels) if len(inner) else inner[..., None, None]
    return np.ascontiguousarray(kernels[:, ::-1].swapaxes(2, 3)).reshape(inner.shape)


def draw_masks(model: BindingPredictorCNN, generator: torch.Generator) -> DropoutMask:
    """The next dropout mask of a model; none in evaluation mode."""
    dropouts = [block.dropout for block in _blocks(model)]
    if not model.training or not dropouts or dropouts[0].dropped == 0:
        return NO_DROPOUT
    keys = [torch.randint(2**32, (2,), generator=generator).numpy() for _ in dropouts]
    dropped = dropouts[0].dropped
    return DropoutMask(np.uint32(dropped << 16), np.array(keys, np.uint32), np.float32(2**16 / (2**16 - dropped)))


def make_shards(
    model: BindingPredictorCNN, p: Parameters, codes: Tensor, targets: Tensor, generators: Sequence[torch.Generator]
) -> list[Shard]:
    """A batch (N, L) in as many shards as there are `generators`, which draw their dropout masks."""
    return [
        Shard(windows, truth, draw_masks(model, generator), Parameters(*map(np.empty_like, p)))
        for windows, truth, generator in zip(
            np.array_split(codes.numpy(), len(generators)),
            np.array_split(targets.numpy(), len(generators)),
            generators,
            strict=True,
        )
    ]


def reduce_gradients(
    model: BindingPredictorCNN, losses: Iterable[float], shards: Sequence[Shard]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Loss and gradients of a batch as the sums over its shards, always in the same order."""
    loss = torch.tensor(list(losses), dtype=torch.float32).sum()  # waits for the shards
    grads = Parameters(*(reduce(iadd, arrays) for arrays in zip(*(shard.grads for shard in shards), strict=True)))
    return loss, unpack_gradients(grads, model)


@jit_inline
def zero_gradients(grads):  # type: ignore[no-untyped-def]
    """Set all accumulators to zero."""
    grads.first[:], grads.inner[:], grads.gamma[:] = ZERO, ZERO, ZERO
    grads.beta[:], grads.head[:], grads.bias[:] = ZERO, ZERO, ZERO


@jit
def one_hot(codes, out):  # type: ignore[no-untyped-def]
    """One-hot encode a window (L,) into `out`, flat (L + padding, 4), in the middle; N is zeros."""
    out[:] = ZERO
    before = len(out) // 2 - 2 * len(codes)
    for j in range(len(codes)):
        if codes[j] < 4:
            out[before + 4 * j + codes[j]] = ONE


@jit
def _murmur_mix(bits: np.uint32) -> np.uint32:
    """The finalizer of MurmurHash3 (Appleby): every bit of the result depends on every bit of the argument."""
    bits = np.uint32((bits ^ (bits >> np.uint32(16))) * MURMUR_1)
    bits = np.uint32((bits ^ (bits >> np.uint32(13))) * MURMUR_2)
    return np.uint32(bits ^ (bits >> np.uint32(16)))


@jit
def relu_dropout(value, residual, position, dropout):  # type: ignore[no-untyped-def]
    """dropout(relu(value + residual)) of one activation. NaN stays NaN, so that a diverged loss is noticed.

    `dropout` is None, or the threshold, the two keys and the scale of a block's `DropoutMask`.
    """
    value += residual
    value = ZERO if value <= ZERO else value
    if dropout is not None:
        threshold, first, second, scale = dropout
        value = value * scale if _murmur_mix(_murmur_mix(np.uint32(position) ^ first) ^ second) >= threshold else ZERO
    return value


@jit_inline
def output_layer(active, p, channels, out):  # type: ignore[no-untyped-def]
    """The predictions (L,) of a window from the activations (L * C) of its last layer."""
    for j in range(len(out)):
        total = p.bias[0]
        for c in range(channels):
            total += active[j * channels + c] * p.head[c]
        out[j] = total


@jit_inline
def output_layer_backward(predictions, targets, weight, active, p, grads, channels, grad):  # type: ignore[no-untyped-def]
    """Backward of the squared error and of the output layer; the sum of squared errors of a window.

    Adds `weight` times the gradients of head and bias to `grads` and writes that of `active` to `grad`. `predictions`
    is overwritten.
    """
    total = 0.0
    for j in range(len(predictions)):
        error = predictions[j] - targets[j]
        total += error * error
        predictions[j] = error * np.float32(2) * weight
        grads.bias[0] += predictions[j]
    grad[:] = ZERO
    gemm(predictions, 1, 1, active, grads.head, 1, channels, len(predictions))
    gemm(predictions, 1, 1, p.head, grad, len(predictions), channels, 1)
    return total
