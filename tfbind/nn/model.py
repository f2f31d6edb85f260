"""BindingPredictorCNN: one-hot DNA in, one score per base out.

`X` is a one-hot batch (N, 4, L) float32 in the order A C G T, the prediction is (N, L). The names of the modules and
the order in which weights are drawn are those of the published experiment, so that its weights load here and equal
seeds start from equal weights.
"""

import torch
from torch import Tensor, nn

from tfbind.config import TrainConfig


class Dropout(nn.Module):
    """Dropout whose mask is drawn from a generator that the caller may set.

    The rate is rounded to a multiple of 2^-16 and what is kept is scaled by the rounded rate, so the expectation is
    exact. On a device the mask costs two random bytes per activation, half of what torch's own does.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.dropped = round(rate * 2**16)
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.dropped == 0:
            return x
        words = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device)
        words.random_(-(2**63), None, generator=self.generator)
        drawn = words.view(torch.int16)[: x.numel()].view(x.shape)
        mask = (drawn >= self.dropped - 2**15).to(x.dtype)
        return x * mask.mul_(2**16 / (2**16 - self.dropped))

    def extra_repr(self) -> str:
        return f"rate={self.dropped / 2**16:g}"


def _convolution(channels_in: int, channels_out: int, kernel_size: int) -> nn.Conv1d:
    return nn.Conv1d(channels_in, channels_out, kernel_size, padding=kernel_size // 2, bias=False)


def _norm(norm: str, channels: int, length: int) -> nn.Module:
    return nn.LayerNorm([channels, length]) if norm == "layer" else nn.BatchNorm1d(channels)


def _draw_he(module: nn.Module) -> None:
    for convolution in module.modules():
        if isinstance(convolution, nn.Conv1d):
            nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")


class ResidualBlock(nn.Module):
    """Two convolutions with normalisation, added to what came in: (N, C, L) -> (N, C, L)."""

    def __init__(self, num_channels: int, kernel_size: int, dropout_rate: float, norm: str, length: int) -> None:
        super().__init__()
        self.conv1 = _convolution(num_channels, num_channels, kernel_size)
        self.norm1 = _norm(norm, num_channels, length)
        self.relu1 = nn.ReLU()
        self.dropout = Dropout(dropout_rate)
        self.conv2 = _convolution(num_channels, num_channels, kernel_size)
        self.norm2 = _norm(norm, num_channels, length)
        self.relu2 = nn.ReLU()
        _draw_he(self)

    def forward(self, x: Tensor) -> Tensor:
        out = self.dropout(self.relu1(self.norm1(self.conv1(x))))
        active: Tensor = self.relu2(self.norm2(self.conv2(out)) + x)
        return active


class BindingPredictorCNN(nn.Module):
    """A residual CNN that predicts a score at each base: (N, 4, L) -> (N, L).

    With `norm="layer"` every window has the same `length`, and the statistics are those of the whole window; with
    `norm="batch"` the trained model is local and takes any length.
    """

    def __init__(
        self,
        num_channels: int,
        num_blocks: int,
        kernel_size: int,
        dropout_rate: float,
        *,
        first_kernel_size: int | None = None,
        norm: str = "layer",
        length: int = 300,
    ) -> None:
        super().__init__()
        self.initial_conv = _convolution(4, num_channels, first_kernel_size or kernel_size)
        self.initial_norm = _norm(norm, num_channels, length)
        self.initial_relu = nn.ReLU()
        self.res_blocks = nn.Sequential(
            *(ResidualBlock(num_channels, kernel_size, dropout_rate, norm, length) for _ in range(num_blocks))
        )
        self.final_conv = nn.Conv1d(num_channels, 1, 1)
        self._draw_weights()

    def _draw_weights(self) -> None:
        # The blocks draw theirs a second time here, and the last layer of a model of 1 or 4 channels is drawn like
        # the others, as in the published model: equal seeds, equal weights.
        _draw_he(self.initial_conv)
        _draw_he(self.res_blocks)
        if self.initial_conv.out_channels in (1, 4):
            _draw_he(self.final_conv)
        else:
            nn.init.xavier_uniform_(self.final_conv.weight)
        assert self.final_conv.bias is not None
        nn.init.zeros_(self.final_conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.initial_relu(self.initial_norm(self.initial_conv(x)))
        scores: Tensor = self.final_conv(self.res_blocks(x))
        return scores.squeeze(1)

    def use_generator(self, generator: torch.Generator) -> None:
        """Draw all dropout masks from `generator`."""
        for module in self.modules():
            if isinstance(module, Dropout):
                module.generator = generator


def build_model(config: TrainConfig, length: int) -> BindingPredictorCNN:
    """Build the untrained model of a configuration, its weights drawn from the seed.

    Args:
        config: the architecture and the seed.
        length: bases of a window.

    Returns:
        The model, on the CPU.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return BindingPredictorCNN(
            config.num_channels,
            config.num_res_blocks,
            config.kernel_size,
            config.dropout_rate,
            first_kernel_size=config.first_kernel,
            norm=config.norm,
            length=length,
        )
