"""Training steps and inference of a BindingPredictorCNN on a CPU, compiled by numba.

`pack` lays parameters and batches out, `layer_norm` and `batch_norm` hold the steps, `gemm` what multiplies.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tfbind.nn.kernels import batch_norm, layer_norm
from tfbind.nn.kernels.layer_norm import predict as predict
from tfbind.nn.kernels.pack import ParallelMap as ParallelMap, is_supported as is_supported
from tfbind.nn.model import BindingPredictorCNN


def loss_and_grad(
    model: BindingPredictorCNN,
    codes: Tensor,
    targets: Tensor,
    generators: Sequence[torch.Generator],
    parallel_map: ParallelMap = map,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Mean squared error of a batch and its gradients.

    Args:
        model: one that `is_supported`.
        codes: windows (N, L) uint8; targets: (N, L) float32.
        generators: the batch is split into as many shards, each of which draws its dropout masks from its own.
        parallel_map: takes the shards, in threads perhaps.

    Returns:
        The loss, a scalar; the gradients in the order and shapes of `model.parameters()`.
    """
    step = batch_norm if isinstance(model.initial_norm, nn.BatchNorm1d) else layer_norm
    return step.loss_and_grad(model, codes, targets, generators, parallel_map)
