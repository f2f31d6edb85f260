"""How long a run will take, from runs measured on the same device or else a rough reference; how much it keeps."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from statistics import median

from tfbind.config import TrainConfig, forward_flops, parameter_count
from tfbind.runs.folder import Run, read_config, read_record, read_rows, read_status

# Forward FLOP/s while training, where nothing was measured yet. CPU: 3,000 windows/s of the published model on two
# cores, per core, half of what cores with AVX-512 reach; more than 8 cores do not help a model this small. The GPU
# figures are orders of magnitude.
REFERENCE_SPEED = {"cpu": 1.7e10, "cuda": 5e11, "mps": 1e11}
USEFUL_THREADS = 8
START_SECONDS = 6.0  # importing torch, opening the data, compiling the first step
TRAINING_PASSES = 3  # a training step costs about three forward passes, validation one
RECENT = 5
LOOK_BACK = 50
COPIES = {"AdamW": 5, "Adam": 5, "SGD": 4}  # of the weights: best ones, graph, checkpoint with what its rule keeps
EPOCH_BYTES = 600  # a row and a line of the log
FIXED_BYTES = 20_000  # settings, states, and what files take beside their content


@dataclass(frozen=True)
class SpeedSample:
    """The speed of one finished run: what it trained, on windows of how many bases, how many a second."""

    config: TrainConfig
    length: int
    windows_per_second: float


@dataclass(frozen=True)
class Estimate:
    """Seconds from Start to the end of the last epoch, and in words what that rests on; `text` is rounded."""

    seconds: float
    basis: str
    measured: bool

    @property
    def text(self) -> str:
        return duration(round_seconds(self.seconds))


def estimate_run(config: TrainConfig, windows: int, length: int, past: Iterable[SpeedSample] = ()) -> Estimate:
    """How long `config` takes on `windows` windows of `length` bases.

    Args:
        config: device and threads settled.
        past: finished runs, newest first. Those of the same model on the same device and threads count, else those
            of other models there, scaled by the arithmetic of one window.
    """
    here = [run for run in past if _place(run.config) == _place(config)]
    same = [run for run in here if _model(run.config) == _model(config) and run.length == length]
    used = (same or here)[:RECENT]
    flops = forward_flops(config, length)
    if used:
        speed = median(run.windows_per_second * forward_flops(run.config, run.length) for run in used)
    else:
        speed = REFERENCE_SPEED[config.device] * _useful_threads(config)
    held_out = int(windows * config.validation_split)
    passes = windows - held_out + held_out / TRAINING_PASSES
    seconds = START_SECONDS + config.num_epochs * passes * flops / speed
    return Estimate(seconds, _basis(len(used), bool(same)), bool(used))


def disk_needed(config: TrainConfig, held_out: int, length: int) -> int:
    """Bytes on the disk of a run that measures itself on `held_out` windows of `length` bases."""
    weights = 4 * parameter_count(config, length) * COPIES[config.optimizer_type]
    predictions = held_out * (2 * length + 16)  # float16; index, loss and Pearson of each window
    return weights + predictions + config.num_epochs * EPOCH_BYTES + FIXED_BYTES


def _place(config: TrainConfig) -> tuple[str, int | None]:
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
    return min(config.threads or 1, USEFUL_THREADS) if config.device == "cpu" else 1


def _basis(count: int, same: bool) -> str:
    if not count:
        return "a rough guess: nothing was measured on this device yet"
    runs = "your last run" if count == 1 else f"your last {count} runs"
    return f"measured in {runs} of this model" if same else f"scaled from {runs} of other models"


def speed_samples(runs: Iterable[Run]) -> Iterable[SpeedSample]:
    """The speeds of the finished ones among `runs`, in the same order."""
    for run in runs:
        with suppress(ValueError):  # a damaged run has nothing to say about speed
            rows, length = read_rows(run), read_record(run).get("length")
            if rows and length and read_status(run).state == "finished":
                yield SpeedSample(read_config(run), length, median(row["windows_per_second"] for row in rows))


def recent_samples(runs: list[Run]) -> list[SpeedSample]:
    """The newest speeds among `runs`, given oldest first; older ones than the last 50 are not looked at."""
    return list(speed_samples(islice(reversed(runs), LOOK_BACK)))


def round_seconds(seconds: float) -> float:
    """`seconds` as coarse as an estimate is: to 5 s below two minutes, to 30 s below ten, then to minutes."""
    step = 5 if seconds < 120 else 30 if seconds < 600 else 60
    return max(step, step * round(seconds / step))


def duration(seconds: float) -> str:
    """`seconds` in words: "45 s", "2 min 30 s", "1 h 5 min"."""
    seconds = max(0, round(seconds))
    if seconds < 60:
        return f"{seconds} s"
    minutes, rest = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
