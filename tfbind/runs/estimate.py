"""Estimates for a run: its duration, from earlier runs on the same device or a reference speed; its disk usage."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from statistics import median

from tfbind.config import TrainConfig, forward_flops, parameter_count, shard_count
from tfbind.runs.folder import Run, read_config, read_record, read_rows

# Forward FLOP/s while training, where nothing was measured yet. CPU: 3,000 windows/s of the published model on two
# cores, per core, half of what cores with AVX-512 reach; more than 8 cores do not help a model this small. The GPU
# figures are orders of magnitude.
REFERENCE_SPEED = {"cpu": 1.7e10, "cuda": 5e11, "mps": 1e11}
USEFUL_THREADS = 8
START_SECONDS = 6.0  # importing torch, opening the data, compiling the first step
TRAINING_PASSES = 3  # a training step costs about three forward passes, validation one
RECENT = 5
LOOK_BACK = 50
# Copies of the weights on the disk: the best ones, the graph, and the checkpoint with what its rule keeps.
WEIGHT_COPIES = {"AdamW": 5, "Adam": 5, "SGD": 4}
EPOCH_BYTES = 600  # a row and a line of the log
FIXED_BYTES = 20_000  # settings, states, and what files take beside their content


@dataclass(frozen=True)
class SpeedSample:
    """The training speed of one finished run on windows of `length` bases."""

    config: TrainConfig
    length: int
    windows_per_second: float


@dataclass(frozen=True)
class Estimate:
    """Seconds from the start to the end of the last epoch; `basis` says in words how they were estimated.

    `measured`: from runs on the same device, not from a reference speed.
    """

    seconds: float
    basis: str
    measured: bool

    @property
    def text(self) -> str:
        """The rounded duration in words."""
        return duration(round_seconds(self.seconds))


def estimate_run(config: TrainConfig, windows: int, length: int, samples: Iterable[SpeedSample] = ()) -> Estimate:
    """Estimate the duration of a run.

    Args:
        config: its configuration, with device and threads resolved.
        windows: windows of its data set, before the split.
        length: bases of a window.
        samples: speeds of finished runs, newest first. Those of the same model on the same device and threads count,
            else those of other models there, scaled by the floating-point operations of one window, else those on
            other threads of it, scaled by their number too.

    Returns:
        The estimate: the median speed of the last 5 such runs, or a reference speed where there is none.
    """
    same_device = [sample for sample in samples if sample.config.device == config.device]
    same_threads = [sample for sample in same_device if _device(sample.config) == _device(config)]
    same_model = [
        sample for sample in same_threads if _model(sample.config) == _model(config) and sample.length == length
    ]
    used = (same_model or same_threads or same_device)[:RECENT]
    flops = forward_flops(config, length)
    if used:
        speed = _useful_threads(config) * median(
            sample.windows_per_second * forward_flops(sample.config, sample.length) / _useful_threads(sample.config)
            for sample in used
        )
    else:
        speed = REFERENCE_SPEED[config.device] * _useful_threads(config)
    held_out = int(windows * config.validation_split)
    passes = windows - held_out + held_out / TRAINING_PASSES
    seconds = START_SECONDS + config.num_epochs * passes * flops / speed
    return Estimate(seconds, _basis(len(used), bool(same_model), bool(same_threads)), bool(used))


def disk_needed(config: TrainConfig, held_out: int, length: int) -> int:
    """Estimate the bytes that a run takes on the disk.

    Args:
        config: its configuration.
        held_out: windows of its validation part.
        length: bases of a window.

    Returns:
        Bytes of weights, checkpoint, validation predictions, rows and log.
    """
    weights = 4 * parameter_count(config, length) * WEIGHT_COPIES[config.optimizer_type]
    predictions = held_out * (2 * length + 16)  # float16; index, loss and Pearson of each window
    return weights + predictions + config.num_epochs * EPOCH_BYTES + FIXED_BYTES


def _device(config: TrainConfig) -> tuple[str, int | None]:
    return config.device, config.threads if config.device == "cpu" else None


def _model(config: TrainConfig) -> tuple[object, ...]:
    return (
        config.norm,
        config.first_kernel,
        config.kernel_size,
        config.num_res_blocks,
        config.num_channels,
        config.dropout_rate > 0,
        config.batch_size,
        config.optimizer_type,
    )


def _useful_threads(config: TrainConfig) -> int:
    return min(config.threads or 1, USEFUL_THREADS, shard_count(config, config.batch_size))


def _basis(count: int, same_model: bool, same_threads: bool) -> str:
    if not count:
        return "a rough guess: nothing was measured on this device yet"
    runs = "your last run" if count == 1 else f"your last {count} runs"
    if same_model:
        return f"measured in {runs} of this model"
    return f"scaled from {runs} {'of other models' if same_threads else 'on other threads'}"


def speed_samples(runs: Iterable[Run]) -> Iterable[SpeedSample]:
    """The training speeds of the finished runs among `runs`, in the same order."""
    for run in runs:
        with suppress(ValueError):  # a damaged run has nothing to say about speed
            rows, length = read_rows(run), read_record(run).get("length")
            if rows and length and run.state == "finished":
                yield SpeedSample(read_config(run), length, median(row["windows_per_second"] for row in rows))


def recent_samples(runs: list[Run]) -> list[SpeedSample]:
    """The training speeds of the finished ones of the last 50 of `runs` (oldest first), newest first."""
    return list(speed_samples(islice(reversed(runs), LOOK_BACK)))


def round_seconds(seconds: float) -> float:
    """Round a duration: to 5 s below two minutes, to 30 s below ten minutes, then to minutes."""
    if seconds < 120:
        step = 5
    elif seconds < 600:
        step = 30
    else:
        step = 60
    return max(step, step * round(seconds / step))


def duration(seconds: float) -> str:
    """Format a duration in seconds: "45 s", "2 min 30 s", "1 h 5 min"."""
    seconds = max(0, round(seconds))
    if seconds < 60:
        return f"{seconds} s"
    minutes, rest = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
