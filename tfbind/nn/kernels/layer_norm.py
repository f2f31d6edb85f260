"""Training step and inference on a CPU for models whose norms look at one window each.

The windows of a batch are independent until their gradients are summed. So each goes forward and backward while its
activations lie in the cache of a core, where torch takes the whole batch through memory once per operation. Results
are those of `torch.autograd.grad` for a `BindingPredictorCNN` with `norm="layer"`, but for the order of sums.

Inference of batch-norm models is here, too: their running statistics act as a fixed scale and shift per channel.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tfbind.nn.kernels.gemm import Kernel, gemm, jit, jit_inline
from tfbind.nn.kernels.pack import (
    NO_DROPOUT,
    ONE,
    ZERO,
    Floats,
    ParallelMap,
    Shard,
    eps,
    flip_kernels,
    inference_parameters,
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


class Activations(NamedTuple):
    """Activations of one window, saved at each of n layers for the backward pass.

    bases: ((L + pad) * 4,), the one-hot window, zero-padded.
    convolved: (n, L * C), outputs of the convolutions.
    active: (n, (L + pad) * C), after norm, ReLU and dropout, zero-padded.
    mean, inv_std: (n,), statistics of the norms; inv_std = 1 / sqrt(variance + eps).
    """

    bases: Floats
    convolved: Floats
    active: Floats
    mean: Floats
    inv_std: Floats


@jit_inline
def _allocate(length, channels, layers, first, inner):  # type: ignore[no-untyped-def]
    pad_of_bases, pad = len(first) // (4 * channels) // 2, inner.shape[1] // channels // channels // 2
    return Activations(
        np.zeros((length + 2 * pad_of_bases) * 4, np.float32),
        np.empty((layers, length * channels), np.float32),
        np.zeros((layers, (length + 2 * pad) * channels), np.float32),
        np.empty(layers, np.float32),
        np.empty(layers, np.float32),
    )


@jit
def _norm_relu(x, gamma, beta, norm, residual, position, dropout, out):  # type: ignore[no-untyped-def]
    """out = dropout(relu(norm(x) + residual)) of a window; the mean and 1 / standard deviation of x.

    `norm` is eps and the count of numbers in x that are not those of padding channels; None means x * gamma + beta.
    """
    size = len(x)
    mean, inv_std = ZERO, ONE
    if norm is not None:
        eps, count = norm
        total, squares = ZERO, ZERO
        for j in range(size):
            total += x[j]
        mean = total / count
        for j in range(size):
            squares += (x[j] - mean) * (x[j] - mean)
        squares -= (np.float32(size) - count) * mean * mean
        inv_std = ONE / np.sqrt(squares / count + eps)
    for j in range(size):
        value = (x[j] - mean) * inv_std * gamma[j] + beta[j]
        out[j] = relu_dropout(value, ZERO if residual is None else residual[j], position + j, dropout)
    return mean, inv_std


@jit
def _norm_relu_backward(x, gamma, mean, inv_std, count, out, scale, grad, dgamma, dbeta, dx):  # type: ignore[no-untyped-def]
    """Backward of `_norm_relu`. `grad`, that of `out`, becomes that of the residual; `dx` is written, `dgamma` and
    `dbeta` are accumulated. `scale` is what dropout multiplied by.

    With x_hat = (x - mean) * inv_std and g = grad * gamma: dx = inv_std * (g - mean(g) - x_hat * mean(g * x_hat)).
    """
    size = len(x)
    sum_g, sum_g_xhat = ZERO, ZERO
    for j in range(size):
        # What ReLU or dropout set to zero has no gradient.
        dy = ZERO if out[j] <= ZERO else grad[j] * scale
        grad[j] = dy
        x_hat = (x[j] - mean) * inv_std
        dbeta[j] += dy
        dgamma[j] += dy * x_hat
        g = dy * gamma[j]
        dx[j] = g
        sum_g += g
        sum_g_xhat += g * x_hat
    sum_g /= count
    sum_g_xhat /= count
    for j in range(size):
        dx[j] = inv_std * (dx[j] - sum_g - (x[j] - mean) * inv_std * sum_g_xhat)


@jit_inline
def _forward(codes, p, norm, dropout, position, activations, channels, out):  # type: ignore[no-untyped-def]
    """Predictions (L,) of a window into `out`; fills in its activations."""
    bases, convolved, active, mean, inv_std = activations
    length, size = len(codes), convolved.shape[1]
    pad = (active.shape[1] - size) // 2
    threshold, keys, scale = dropout
    one_hot(codes, bases)
    convolved[:] = ZERO
    gemm(bases, 4, 1, p.first, convolved[0], length, channels, len(p.first) // channels)
    inside = active[0, pad : pad + size]
    mean[0], inv_std[0] = _norm_relu(convolved[0], p.gamma[0], p.beta[0], norm, None, position, None, inside)
    for n in range(1, len(convolved)):
        x, inside = convolved[n], active[n, pad : pad + size]
        weights = p.inner[n - 1]
        gemm(active[n - 1], channels, 1, weights, x, length, channels, len(weights) // channels)
        if n % 2 == 0:
            residual = active[n - 2, pad : pad + size]
            statistics = _norm_relu(x, p.gamma[n], p.beta[n], norm, residual, position, None, inside)
        elif threshold == 0:
            statistics = _norm_relu(x, p.gamma[n], p.beta[n], norm, None, position, None, inside)
        else:
            mask = (threshold, keys[n // 2, 0], keys[n // 2, 1], scale)
            statistics = _norm_relu(x, p.gamma[n], p.beta[n], norm, None, position, mask, inside)
        mean[n], inv_std[n] = statistics
    output_layer(inside, p, channels, out)


@lru_cache
def _kernels(channels: int) -> tuple[Kernel, Kernel]:
    """Inference and training step for a network of so many (padded) channels."""

    def predict(codes, p, norm, dropout, out):  # type: ignore[no-untyped-def]
        activations = _allocate(codes.shape[1], channels, len(p.gamma), p.first, p.inner)
        for i in range(len(codes)):
            _forward(codes[i], p, norm, dropout, 0, activations, channels, out[i])

    def step(codes, targets, weight, p, flipped, norm, dropout, grads):  # type: ignore[no-untyped-def]
        """The sum of squared errors of a shard; `grads` becomes `weight` times its gradients."""
        zero_gradients(grads)
        length, layers = codes.shape[1], len(p.gamma)
        size = length * channels
        activations = _allocate(length, channels, layers, p.first, p.inner)
        bases, convolved, active, mean, inv_std = activations
        pad = (active.shape[1] - size) // 2
        predictions = np.empty(length, np.float32)
        grad, other = np.empty(size, np.float32), np.empty(size, np.float32)
        padded = np.zeros(active.shape[1], np.float32)
        dx = padded[pad : pad + size]
        total = 0.0
        for i in range(len(codes)):
            _forward(codes[i], p, norm, dropout, i * size, activations, channels, predictions)
            last = active[layers - 1, pad : pad + size]
            total += output_layer_backward(predictions, targets[i], weight, last, p, grads, channels, grad)
            for n in range(layers - 1, -1, -1):
                out = active[n, pad : pad + size]
                scale = dropout.scale if n % 2 == 1 else ONE
                written = grads.gamma[n], grads.beta[n], dx
                _norm_relu_backward(
                    convolved[n], p.gamma[n], mean[n], inv_std[n], norm[1], out, scale, grad, *written
                )
                if n == 0:
                    gemm(bases, 1, 4, dx, grads.first, len(grads.first) // channels, channels, length)
                    continue
                dweights = grads.inner[n - 1]
                gemm(active[n - 1], 1, channels, dx, dweights, len(dweights) // channels, channels, length)
                # The gradient of a block's input has two parts: that of the residual waits in `grad` or `other`
                # until that of the convolutions is added to it.
                grad, other = other, grad
                if n % 2 == 0:
                    grad[:] = ZERO
                gemm(padded, channels, 1, flipped[n - 1], grad, length, channels, len(dweights) // channels)
        return total

    return jit(predict), jit(step)


def _norm_of(model: BindingPredictorCNN, length: int) -> tuple[np.float32, np.float32]:
    return eps(model), np.float32(length * model.initial_conv.out_channels)


def predict(model: BindingPredictorCNN, codes: Tensor, parts: int = 1, parallel_map: ParallelMap = map) -> Tensor:
    """Predictions of a model in evaluation mode.

    Args:
        codes: windows (N, L) uint8.
        parts: `parallel_map` takes the windows in so many parts.

    Returns:
        (N, L) float32.
    """
    out, length = np.empty(codes.shape, np.float32), codes.shape[1]
    run, _ = _kernels(padded_channels(model))
    if isinstance(model.initial_norm, nn.BatchNorm1d):
        p, norm = inference_parameters(model, length), None
    else:
        p, norm = pack_parameters(model), _norm_of(model, length)

    def predict_part(codes: NDArray[np.uint8], out: Floats) -> None:
        run(codes, p, norm, NO_DROPOUT, out)

    list(parallel_map(predict_part, np.array_split(codes.numpy(), parts), np.array_split(out, parts)))
    return torch.from_numpy(out)


def loss_and_grad(
    model: BindingPredictorCNN,
    codes: Tensor,
    targets: Tensor,
    generators: Sequence[torch.Generator],
    parallel_map: ParallelMap = map,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Mean squared error of a batch and its gradients: `tfbind.nn.kernels.loss_and_grad` for layer norm."""
    p = pack_parameters(model)
    weight = 1 / codes.numel()
    _, run = _kernels(padded_channels(model))
    flipped, norm = flip_kernels(p.inner, padded_channels(model)), _norm_of(model, codes.shape[1])

    def loss(shard: Shard) -> float:
        codes, targets, dropout, grads = shard
        total: float = run(codes, targets, np.float32(weight), p, flipped, norm, dropout, grads)
        return total * weight

    shards = make_shards(model, p, codes, targets, generators)
    return reduce_gradients(model, parallel_map(loss, shards), shards)
