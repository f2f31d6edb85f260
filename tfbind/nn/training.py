"""The training loop: `Training` yields one flat row per epoch; it uses no disk and no network and prints nothing.

The random numbers of an epoch follow from (seed, epoch) alone, so a run resumed from a checkpoint sees the same
windows, in the same order, with the same dropout masks, as without the interruption.

On a CPU threads take shards of every batch through the network, and the gradients are summed in a fixed order. They
then wait for each other once a step instead of once an operation: as fast as torch's own threads on an idle
machine, and many times faster beside another busy process. The mathematics is that of the whole batch, but for batch
norm, whose statistics are those of a shard.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import mse_loss

from tfbind.config import TrainConfig, shard_count
from tfbind.data import Split, split
from tfbind.errors import TfbindError
from tfbind.metrics import of_part, pearson, window_figures, window_loss, window_pearson
from tfbind.nn.kernels import ParallelMap, is_supported, loss_and_grad, predict
from tfbind.nn.model import BindingPredictorCNN

Row = dict[str, Any]

SCORING_BATCH = 64
BATCHES_BETWEEN_CHECKS = 64


class Data(Protocol):
    """Training data: codes (N, L) uint8, A C G T N = 0 1 2 3 4, and scores (N, L) float32; names (N,) are needed only
    where the split groups by coordinates."""

    @property
    def names(self) -> NDArray[np.bytes_]: ...

    @property
    def codes(self) -> NDArray[np.uint8]: ...

    @property
    def scores(self) -> NDArray[np.float32]: ...


class Diverged(TfbindError):
    """The loss is no longer a finite number."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem, reason="diverged")


@dataclass(frozen=True)
class Validation:
    """The validation of an epoch: `windows` (M,) are indices into the data; `predictions` (M, L), and `loss` and
    `pearson` (M,) of each window."""

    windows: NDArray[np.int64]
    predictions: NDArray[np.float32]
    loss: NDArray[np.float64]
    pearson: NDArray[np.float64]


def learning_rate_at(config: TrainConfig, step: int, steps: int) -> float:
    """The learning rate at a step (0-based) of `steps` in all.

    `one_cycle` rises over the first fifth from 4 % of `config.learning_rate` and then falls to zero, both along half
    a cosine (after Smith & Topin 2019, "Super-convergence", with cosines instead of straight lines).
    """
    if config.lr_schedule == "constant":
        return config.learning_rate
    rise = 0.2 * steps
    if step < rise:
        return config.learning_rate * (0.04 + 0.96 * _half_cosine(step / rise))
    return config.learning_rate * (1 - _half_cosine((step - rise) / (steps - rise)))


def _half_cosine(fraction: float) -> float:
    return (1 - math.cos(math.pi * fraction)) / 2


def one_hot(codes: Tensor) -> Tensor:
    """One-hot encode codes (N, L) as (N, 4, L) float32; N becomes zeros."""
    bases = torch.arange(4, dtype=codes.dtype, device=codes.device)
    return (codes[:, None] == bases[:, None]).float()


class Optimizer:
    """AdamW, Adam (Kingma & Ba 2015; Loshchilov & Hutter 2019) or SGD with momentum, by torch's fused kernels.

    The kernels are called directly: to construct a `torch.optim.Optimizer` imports torch._dynamo, 800 modules and
    more than a second of CPU time. The state has the form of torch's `state_dict`, as earlier checkpoints do.
    """

    BETA1, BETA2, EPS, MOMENTUM = 0.9, 0.999, 1e-8, 0.9

    def __init__(self, parameters: Iterable[Tensor], config: TrainConfig) -> None:
        self.parameters = [parameter.detach() for parameter in parameters]
        self.learning_rate, self.weight_decay = config.learning_rate, config.weight_decay
        self.state: dict[str, list[Tensor]] = {}
        if config.optimizer_type == "SGD":
            self._update = self._update_sgd
        else:
            self._update = self._update_adam
            self._kernel = {"AdamW": torch._fused_adamw_, "Adam": torch._fused_adam_}[config.optimizer_type]
            self.state["step"] = [torch.zeros((), device=parameter.device) for parameter in self.parameters]
            for name in ("exp_avg", "exp_avg_sq"):
                self.state[name] = [torch.zeros_like(parameter) for parameter in self.parameters]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        """Update all parameters in place, with their gradients in the same order and memory layout."""
        self._update(list(gradients))

    def _update_adam(self, gradients: list[Tensor]) -> None:
        torch._foreach_add_(self.state["step"], 1)
        self._kernel(
            self.parameters,
            gradients,
            self.state["exp_avg"],
            self.state["exp_avg_sq"],
            [],
            self.state["step"],
            lr=self.learning_rate,
            beta1=self.BETA1,
            beta2=self.BETA2,
            weight_decay=self.weight_decay,
            eps=self.EPS,
            amsgrad=False,
            maximize=False,
        )

    def _update_sgd(self, gradients: list[Tensor]) -> None:
        first = "momentum_buffer" not in self.state
        if first:
            self.state["momentum_buffer"] = [torch.empty_like(gradient) for gradient in gradients]
        torch._fused_sgd_(
            self.parameters,
            gradients,
            self.state["momentum_buffer"],
            weight_decay=self.weight_decay,
            momentum=self.MOMENTUM,
            lr=self.learning_rate,
            dampening=0.0,
            nesterov=False,
            maximize=False,
            is_first_step=first,
        )

    def state_dict(self) -> dict[str, Any]:
        """The state, as `torch.optim` lays it out."""
        tensors = zip(*self.state.values(), strict=True)
        state = {number: dict(zip(self.state, values, strict=True)) for number, values in enumerate(tensors)}
        group = {"lr": self.learning_rate, "params": list(range(len(self.parameters)))}
        return {"state": state, "param_groups": [group]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state. Raises ValueError if it is not one of these parameters."""
        states = [state_dict["state"][number] for number in sorted(state_dict["state"])]
        if states and len(states) != len(self.parameters):
            raise ValueError(f"the state of {len(states)} parameters; expected {len(self.parameters)}")
        for name in states[0] if states else ():
            self.state[name] = [
                state[name].to(parameter.device) for state, parameter in zip(states, self.parameters, strict=True)
            ]


class Training:
    """Train a model in place, on its own device: an iterator that trains and validates an epoch and returns its row.

    Between two epochs `validation` holds the predictions of the last one, and `checkpoint()` what `restore` needs.

    Args:
        model: the network.
        data: the data set.
        config: the hyperparameters.
        parts: the split; None to split `data` by `config`.
        on_batch: called with this object after every batch; an exception it raises ends the epoch unfinished.
        clock: the time in seconds.

    Raises:
        Diverged: the loss became NaN or infinite.
    """

    def __init__(
        self,
        model: BindingPredictorCNN,
        data: Data,
        config: TrainConfig,
        *,
        parts: Split | None = None,
        on_batch: Callable[["Training"], None] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.model, self.config, self.clock, self.on_batch = model, config, clock, on_batch
        self.device = next(model.parameters()).device
        parts = parts or split(data, config)
        self.train_windows, self.validation_windows = parts.train, parts.validation
        self._codes = torch.from_numpy(data.codes[self.train_windows]).to(self.device)
        self._scores = torch.from_numpy(data.scores[self.train_windows]).to(self.device)
        self._validation_codes = torch.from_numpy(data.codes[self.validation_windows]).to(self.device)
        self.validation_scores = data.scores[self.validation_windows]
        self._optimizer = Optimizer(model.parameters(), config)
        self._parameters = list(model.parameters())
        self._generators = [torch.Generator(self.device) for _ in range(shard_count(config, config.batch_size))]
        model.use_generator(self._generators[0])
        self._threads = ThreadPoolExecutor(min(config.threads or 1, len(self._generators)))
        self.batches_per_epoch = math.ceil(len(self.train_windows) / config.batch_size)
        self.rows: list[Row] = []
        self.validation: Validation | None = None
        self._losses: list[Tensor] = []
        self._started = clock()

    def __iter__(self) -> "Training":
        return self

    def __next__(self) -> Row:
        if self.finished:
            raise StopIteration
        self._started = self.clock()
        train_loss = self._train_epoch()
        trained = self.clock()
        self.validation = self._validate()
        row = self._measure(self.validation, train_loss)
        row["seconds"] = round(self.clock() - self._started, 4)
        row["windows_per_second"] = round(len(self.train_windows) / max(trained - self._started, 1e-9), 2)
        self.rows.append(row)
        self._losses = []
        return row

    @property
    def epoch(self) -> int:
        """The epoch in progress, or the next one; 1-based."""
        return len(self.rows) + 1

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or too many in a row brought no lower validation loss (early stopping)."""
        losses = [row["val_loss"] for row in self.rows]
        waited = len(losses) - 1 - losses.index(min(losses)) if losses else 0
        return len(losses) >= self.config.num_epochs or waited >= self.config.early_stopping_patience

    @property
    def improved(self) -> bool:
        """Whether the last finished epoch has the lowest validation loss so far."""
        return self.rows[-1]["val_loss"] < min((row["val_loss"] for row in self.rows[:-1]), default=math.inf)

    @property
    def batches(self) -> int:
        """The number of batches done in this epoch."""
        return len(self._losses)

    def running_loss(self) -> float | None:
        """The mean training loss of the batches done in this epoch; None before the first."""
        return self._require_finite(float(torch.stack(self._losses).mean()), "train_loss") if self._losses else None

    def progress(self) -> dict[str, Any]:
        """The progress of this epoch: batches, loss, speed, and the seconds left of the whole run at that speed."""
        spent = self.clock() - self._started
        seen = min(self.batches * self.config.batch_size, len(self.train_windows))
        speed = seen / spent if seen and spent > 0 else None
        # A forward pass is a third of a training step.
        effort = len(self.train_windows) + len(self.validation_windows) / 3
        epochs_left = self.config.num_epochs - len(self.rows)
        return {
            "epoch": min(self.epoch, self.config.num_epochs),
            "num_epochs": self.config.num_epochs,
            "batches": self.batches,
            "batches_per_epoch": self.batches_per_epoch,
            "train_loss": self.running_loss(),
            "windows_per_second": speed and round(speed, 1),
            "seconds_left": speed and round(max(epochs_left * effort / speed - spent, 0), 1),
        }

    def checkpoint(self) -> dict[str, Any]:
        """Weights, optimizer state and rows after the last finished epoch."""
        return {"model": self.model.state_dict(), "optimizer": self._optimizer.state_dict(), "rows": self.rows}

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Continue from a `checkpoint`."""
        self.model.load_state_dict(checkpoint["model"])
        self._optimizer.load_state_dict(checkpoint["optimizer"])
        self.rows = list(checkpoint["rows"])

    def _train_epoch(self) -> float:
        self.model.train()
        random = np.random.default_rng([self.config.seed, self.epoch])
        order = torch.from_numpy(random.permutation(len(self.train_windows))).to(self.device)
        for generator in self._generators:
            generator.manual_seed(int(random.integers(2**62)))
        batches = order.split(self.config.batch_size)
        for indices in batches:
            self._losses.append(self._train_batch(indices))
            if self.batches % BATCHES_BETWEEN_CHECKS == 0:
                self._require_finite(float(self._losses[-1]), "train_loss")
            if self.on_batch:
                self.on_batch(self)
        sizes = torch.tensor([len(indices) for indices in batches], dtype=torch.float64)
        losses = torch.stack(self._losses).cpu().double()
        return self._require_finite(float((losses * sizes).sum() / sizes.sum()), "train_loss")

    def _train_batch(self, indices: Tensor) -> Tensor:
        step = (self.epoch - 1) * self.batches_per_epoch + self.batches
        rate = learning_rate_at(self.config, step, self.config.num_epochs * self.batches_per_epoch)
        self._optimizer.learning_rate = rate
        loss, gradients = self._loss_and_gradients(self._codes[indices], self._scores[indices])
        # The kernels go through both memories in step, and a gradient has the strides of its convolution.
        self._optimizer.step([gradient.contiguous() for gradient in gradients])
        return loss

    def _loss_and_gradients(self, codes: Tensor, scores: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        if is_supported(self.model):
            generators = self._generators[: shard_count(self.config, len(codes))]
            return loss_and_grad(self.model, codes, scores, generators, self._parallel_map)
        loss = mse_loss(self.model(one_hot(codes)), scores)
        return loss.detach(), torch.autograd.grad(loss, self._parameters)

    @property
    def _parallel_map(self) -> ParallelMap:
        return self._threads.map if min(self.config.threads or 1, len(self._generators)) > 1 else map

    @torch.inference_mode()
    def _predict(self) -> Tensor:
        """The scores of the validation windows."""
        parts = math.ceil(len(self._validation_codes) / SCORING_BATCH)
        if is_supported(self.model):
            return predict(self.model, self._validation_codes, parts, self._parallel_map)
        return torch.cat([self.model(one_hot(codes)).cpu() for codes in self._validation_codes.split(SCORING_BATCH)])

    def _validate(self) -> Validation:
        self.model.eval()
        predictions = self._predict().numpy()
        self._require_finite(float(np.abs(predictions).max()), "the largest prediction")
        return Validation(
            self.validation_windows,
            predictions,
            window_loss(predictions, self.validation_scores),
            window_pearson(predictions, self.validation_scores),
        )

    def _measure(self, validation: Validation, train_loss: float) -> Row:
        return {
            "epoch": self.epoch,
            "train_loss": train_loss,
            "val_loss": float(validation.loss.mean()),
            "val_pearsonr": pearson(validation.predictions, self.validation_scores),
            **of_part("val", window_figures(validation.pearson)),
            "learning_rate": self._optimizer.learning_rate,
        }

    def _require_finite(self, value: float, name: str) -> float:
        if math.isfinite(value):
            return value
        raise Diverged(
            f"{name} became {value} in epoch {self.epoch}, batch {self.batches}: the steps were too large; "
            f"try a learning_rate 3 to 10 times below {self.config.learning_rate:g}"
        )
