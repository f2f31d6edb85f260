"""Training step on a CPU for models with batch norm: one pass over memory per layer.

Batch norm needs the sums of a layer over all windows before the next layer can start, so the activations of a shard
wait in memory between two layers. A window that is read goes through all that can be done while it lies in the cache
of a core: the norm of one layer, the convolution of the next, and the sums for the norm of that. Results are those of
torch's autograd for a `BindingPredictorCNN` with `norm="batch"`, but for the order of sums.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from tfbind.nn.kernels.gemm import Kernel, gemm, jit
from tfbind.nn.kernels.pack import (
    ONE,
    ZERO,
    Floats,
    ParallelMap,
    Shard,
    eps,
    flip_kernels,
    layers,
    make_shards,
    one_hot,
    output_layer,
    output_layer_backward,
    pack_parameters,
    padded_channels,
    reduce_gradients,
    relu_dropout,
    zero_gradients,
)
from tfbind.nn.model import BindingPredictorCNN

UNROLL = 8  # per-channel vectors are repeated for so many positions: loops long enough to be vectorised


class Norms(NamedTuple):
    """Batch statistics of n norms, and the affine map x * scale + shift that they make of each.

    Each is (n, UNROLL * C): by channel, repeated. inv_std = 1 / sqrt(variance + eps).
    """

    mean: Floats
    variance: Floats
    inv_std: Floats
    scale: Floats
    shift: Floats


class Activations(NamedTuple):
    """Activations of a shard of N windows, saved at each of n layers for the backward pass.

    convolved: (n, N, L * C), outputs of the convolutions.
    active: (n, N, (L + pad) * C), after norm, ReLU and dropout, zero-padded.
    grads: (2, N, L * C), gradients of the layer in hand and of the residual; even layers write the first.
    """

    convolved: Floats
    active: Floats
    grads: Floats


@jit
def _norm_relu(x, scale, shift, residual, position, dropout, out):  # type: ignore[no-untyped-def]
    """out = dropout(relu(x * scale + shift + residual)) of a window."""
    step = len(scale)
    for at in range(0, len(x), step):
        # Slices of their own, since a sum of two counters might be negative for all that the compiler knows.
        x_here, out_here = x[at : at + step], out[at : at + step]
        residual_here = None if residual is None else residual[at : at + step]
        for j in range(len(x_here)):
            value = x_here[j] * scale[j] + shift[j]
            out_here[j] = relu_dropout(
                value, ZERO if residual is None else residual_here[j], position + at + j, dropout
            )


@jit
def _activate(n, i, norms, dropout, activations):  # type: ignore[no-untyped-def]
    """The activations (L * C) of layer n for window i, computed from its convolution."""
    x, scale, shift = activations.convolved[n, i], norms.scale[n], norms.shift[n]
    size = len(x)
    pad = (activations.active.shape[2] - size) // 2
    out = activations.active[n, i, pad : pad + size]
    threshold, keys, kept_scale = dropout
    if n % 2 == 0 and n > 0:
        _norm_relu(x, scale, shift, activations.active[n - 2, i, pad : pad + size], 0, None, out)
    elif n == 0 or threshold == 0:
        _norm_relu(x, scale, shift, None, 0, None, out)
    else:
        _norm_relu(x, scale, shift, None, i * size, (threshold, keys[n // 2, 0], keys[n // 2, 1], kept_scale), out)
    return out


@jit
def _add_moments(x, sums):  # type: ignore[no-untyped-def]
    """Add the sums of x and of x^2 of a window to `sums` (2, UNROLL * C) float64, by channel."""
    step = sums.shape[1]
    sum_x, sum_x2 = np.zeros(step, np.float32), np.zeros(step, np.float32)
    for at in range(0, len(x), step):
        x_here = x[at : at + step]
        for j in range(len(x_here)):
            sum_x[j] += x_here[j]
            sum_x2[j] += x_here[j] * x_here[j]
    for j in range(step):
        sums[0, j] += sum_x[j]
        sums[1, j] += sum_x2[j]


@jit
def _relu_backward(grad, out, dropout_scale, x, mean, inv_std, sums):  # type: ignore[no-untyped-def]
    """Backward of ReLU and dropout, in place. Accumulates the batch-norm sums of dy and of dy * x_hat, by channel."""
    step = sums.shape[1]
    sum_dy, sum_dy_xhat = np.zeros(step, np.float32), np.zeros(step, np.float32)
    for at in range(0, len(x), step):
        x_here, out_here, grad_here = x[at : at + step], out[at : at + step], grad[at : at + step]
        for j in range(len(x_here)):
            dy = ZERO if out_here[j] <= ZERO else grad_here[j] * dropout_scale
            grad_here[j] = dy
            sum_dy[j] += dy
            sum_dy_xhat[j] += dy * (x_here[j] - mean[j]) * inv_std[j]
    for j in range(step):
        sums[0, j] += sum_dy[j]
        sums[1, j] += sum_dy_xhat[j]


@jit
def _norm_backward(dy, x, dy_factor, x_factor, constant, dx):  # type: ignore[no-untyped-def]
    """dx = dy * dy_factor + x * x_factor + constant of a window: `_batch_norm_backward` has the factors."""
    step = len(x_factor)
    for at in range(0, len(x), step):
        dy_here, x_here, dx_here = dy[at : at + step], x[at : at + step], dx[at : at + step]
        for j in range(len(x_here)):
            dx_here[j] = dy_here[j] * dy_factor[j] + x_here[j] * x_factor[j] + constant[j]


@jit
def _reduce_by_channel(sums, channels):  # type: ignore[no-untyped-def]
    """Reduce sums (2, UNROLL * C), one per channel and position modulo UNROLL, to sums per channel, repeated."""
    for row in range(2):
        for j in range(channels, sums.shape[1]):
            sums[row, j % channels] += sums[row, j]
        for j in range(channels, sums.shape[1]):
            sums[row, j] = sums[row, j % channels]


@jit
def _take_statistics(n, sums, count, p, eps, norms):  # type: ignore[no-untyped-def]
    """Statistics and affine map of norm n from the sums of x and x^2 over `count` positions."""
    channels = p.gamma.shape[1]
    _reduce_by_channel(sums, channels)
    for j in range(sums.shape[1]):
        mean = sums[0, j] / count
        variance = sums[1, j] / count - mean * mean
        norms.mean[n, j] = mean
        norms.variance[n, j] = 0.0 if variance < 0.0 else variance
        norms.inv_std[n, j] = ONE / np.sqrt(norms.variance[n, j] + eps)
        norms.scale[n, j] = p.gamma[n, j % channels] * norms.inv_std[n, j]
        norms.shift[n, j] = p.beta[n, j % channels] - norms.mean[n, j] * norms.scale[n, j]


@jit
def _batch_norm_backward(n, sums, count, norms, grads, x_factor, constant):  # type: ignore[no-untyped-def]
    """dgamma and dbeta of norm n from the sums of dy and of dy * x_hat, and the factors by which dx follows.

    dx = scale * (dy - mean(dy) - x_hat * mean(dy * x_hat)) (Ioffe & Szegedy 2015), as one affine map of dy and x.
    """
    channels = grads.gamma.shape[1]
    _reduce_by_channel(sums, channels)
    for j in range(channels):
        grads.beta[n, j], grads.gamma[n, j] = sums[0, j], sums[1, j]
    for j in range(sums.shape[1]):
        x_factor[j] = -norms.scale[n, j] * norms.inv_std[n, j] * sums[1, j] / count
        constant[j] = -norms.scale[n, j] * sums[0, j] / count - x_factor[j] * norms.mean[n, j]


@lru_cache
def _kernel(channels: int) -> Kernel:
    """The training step for a network of so many (padded) channels."""

    def step(codes, targets, weight, p, flipped, eps, dropout, grads, norms, activations):  # type: ignore[no-untyped-def]
        """The sum of squared errors of a shard; `grads` becomes `weight` times its gradients. Fills in `norms` and
        `activations`."""
        zero_gradients(grads)
        windows, length = codes.shape
        layers, size, count = len(p.gamma), length * channels, windows * length
        first_depth, depth = len(p.first) // channels, p.inner.shape[1] // channels
        pad = (activations.active.shape[2] - size) // 2
        bases = np.zeros((length + first_depth // 4 // 2 * 2) * 4, np.float32)
        predictions, padded = np.empty(length, np.float32), np.zeros(size + 2 * pad, np.float32)
        dx = padded[pad : pad + size]
        sums = np.empty((2, UNROLL * channels))
        x_factor, constant = np.empty(UNROLL * channels, np.float32), np.empty(UNROLL * channels, np.float32)
        for n in range(layers):
            sums[:] = 0.0
            for i in range(windows):
                x = activations.convolved[n, i]
                x[:] = ZERO
                if n == 0:
                    one_hot(codes[i], bases)
                    gemm(bases, 4, 1, p.first, x, length, channels, first_depth)
                else:
                    _activate(n - 1, i, norms, dropout, activations)
                    gemm(activations.active[n - 1, i], channels, 1, p.inner[n - 1], x, length, channels, depth)
                _add_moments(x, sums)
            _take_statistics(n, sums, count, p, eps, norms)
        total = 0.0
        for n in range(layers, -1, -1):
            if n < layers:
                _batch_norm_backward(n, sums, count, norms, grads, x_factor, constant)
            sums[:] = 0.0
            for i in range(windows):
                below = activations.grads[(n - 1) % 2, i]
                if n == layers:
                    last = _activate(n - 1, i, norms, dropout, activations)
                    output_layer(last, p, channels, predictions)
                    total += output_layer_backward(predictions, targets[i], weight, last, p, grads, channels, below)
                else:
                    dy, x = activations.grads[n % 2, i], activations.convolved[n, i]
                    _norm_backward(dy, x, norms.scale[n], x_factor, constant, dx)
                    if n == 0:
                        one_hot(codes[i], bases)
                        gemm(bases, 1, 4, dx, grads.first, first_depth, channels, length)
                        continue
                    gemm(activations.active[n - 1, i], 1, channels, dx, grads.inner[n - 1], depth, channels, length)
                    # The gradient of a block's input has two parts: that of the convolutions is added to that of the
                    # residual, which is there already.
                    if n % 2 == 0:
                        below[:] = ZERO
                    gemm(padded, channels, 1, flipped[n - 1], below, length, channels, depth)
                out = activations.active[n - 1, i, pad : pad + size]
                scale = dropout.scale if n % 2 == 0 else ONE
                x, mean, inv_std = activations.convolved[n - 1, i], norms.mean[n - 1], norms.inv_std[n - 1]
                _relu_backward(below, out, scale, x, mean, inv_std, sums)
        return total

    return jit(step)


# Memory allocated anew costs a quarter of a step.
_activations: WeakKeyDictionary[nn.Module, list[Activations]] = WeakKeyDictionary()


def _activations_for(model: BindingPredictorCNN, shards: Sequence[Shard]) -> list[Activations]:
    windows, length = shards[0].codes.shape
    buffers, size = _activations.get(model, []), length * padded_channels(model)
    if len(buffers) < len(shards) or buffers[0].grads.shape[1] < windows or buffers[0].grads.shape[2] != size:
        convolutions = [conv for conv, _ in layers(model)]
        pad = 2 * (convolutions[-1].kernel_size[0] // 2) * padded_channels(model)
        shapes = (len(convolutions), windows, size), (len(convolutions), windows, size + pad), (2, windows, size)
        buffers = [Activations(*(np.zeros(shape, np.float32) for shape in shapes)) for _ in shards]
        _activations[model] = buffers
    return buffers[: len(shards)]


def _update_running_statistics(model: BindingPredictorCNN, norms: Norms, count: int) -> None:
    """Move the running statistics of a model towards those of a batch of `count` positions."""
    for (_, norm), mean, variance in zip(layers(model), norms.mean, norms.variance, strict=True):
        assert isinstance(norm, nn.BatchNorm1d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.num_batches_tracked is not None
        assert norm.momentum is not None
        unbiased = variance * np.float32(count / (count - 1))
        for running, value in ((norm.running_mean, mean), (norm.running_var, unbiased)):
            running.lerp_(torch.from_numpy(value[: len(running)]), norm.momentum)
        norm.num_batches_tracked += 1


def loss_and_grad(
    model: BindingPredictorCNN,
    codes: Tensor,
    targets: Tensor,
    generators: Sequence[torch.Generator],
    parallel_map: ParallelMap = map,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Mean squared error of a batch and its gradients: `tfbind.nn.kernels.loss_and_grad` for batch norm.

    Statistics are those of each shard; the running ones follow the first shard.
    """
    p = pack_parameters(model)
    weight = 1 / codes.numel()
    run = _kernel(padded_channels(model))
    flipped, epsilon = flip_kernels(p.inner, padded_channels(model)), eps(model)

    def loss(shard: Shard, norms: Norms, activations: Activations) -> float:
        codes, targets, dropout, grads = shard
        constants = np.float32(weight), p, flipped, epsilon, dropout
        total: float = run(codes, targets, *constants, grads, norms, activations)
        return total * weight

    shards = make_shards(model, p, codes, targets, generators)
    shape = len(p.gamma), UNROLL * padded_channels(model)
    norms = [Norms(*(np.empty(shape, np.float32) for _ in Norms._fields)) for _ in shards]
    results = reduce_gradients(model, parallel_map(loss, shards, norms, _activations_for(model, shards)), shards)
    _update_running_statistics(model, norms[0], shards[0].codes.size)
    return results
