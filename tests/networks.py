"""Networks and windows for the tests of training steps, and the masks that such steps draw."""

import copy

import numpy as np
import torch
from torch.nn.functional import mse_loss

from tfbind.nn.kernels.gemm import jit
from tfbind.nn.kernels.pack import ONE, ZERO, DropoutMask, draw_masks, relu_dropout
from tfbind.nn.model import BindingPredictorCNN
from tfbind.nn.training import one_hot

# channels, blocks, kernel, first kernel, length. Each number of padded channels is compiled anew: 8, 24 and 32 have
# whole tiles, half tiles, and both.
SHAPES = [
    (32, 3, 3, 3, 300),
    (24, 1, 5, 15, 41),
    (32, 2, 1, 7, 29),
    (8, 0, 3, 3, 20),
    (8, 1, 7, 1, 301),
    (20, 2, 3, 5, 12),
    (1, 2, 5, 3, 33),
]


def model_of(channels, blocks, kernel, first_kernel, length, norm="layer", rate=0.0) -> BindingPredictorCNN:
    """A model whose parameters are all at work."""
    torch.manual_seed(1)
    model = BindingPredictorCNN(
        channels, blocks, kernel, rate, first_kernel_size=first_kernel, norm=norm, length=length
    )
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model


def windows_of(length, count=5) -> tuple[torch.Tensor, torch.Tensor]:
    """Windows with N in them, and their scores."""
    random = torch.Generator().manual_seed(2)
    codes = torch.randint(0, 5, (count, length), dtype=torch.uint8, generator=random)
    return codes, torch.rand(count, length, generator=random)


def exact(model: BindingPredictorCNN, codes, scores) -> tuple[BindingPredictorCNN, float, tuple[torch.Tensor, ...]]:
    """A copy of a model after a step of torch in float64, its loss and its gradients."""
    model = copy.deepcopy(model).double()
    loss = mse_loss(model(one_hot(codes).double()), scores.double())
    return model, float(loss.detach()), torch.autograd.grad(loss, list(model.parameters()))


def assert_gradients(found, expected) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()))


@jit
def _draw(dropout, out):  # type: ignore[no-untyped-def]
    for j in range(len(out)):
        out[j] = relu_dropout(ONE, ZERO, j, dropout)


def mask(dropout: DropoutMask, block: int, count: int) -> np.ndarray:
    """What dropout multiplies the first `count` activations of a block by."""
    out = np.empty(count, np.float32)
    _draw((dropout.threshold, *dropout.keys[block], dropout.scale), out)
    return out


def generator(seed: int = 9) -> torch.Generator:
    """What draws masks."""
    return torch.Generator().manual_seed(seed)


def drop_as_drawn(model: BindingPredictorCNN, windows: int, length: int) -> None:
    """Have torch drop what a step on arrays drops, for a model with a multiple of eight channels."""
    dropout, channels = draw_masks(model, generator()), model.initial_conv.out_channels
    for number, block in enumerate(model.res_blocks):
        kept = torch.from_numpy(mask(dropout, number, windows * length * channels)).view(windows, length, channels)
        block.dropout.forward = kept.mT.mul
