"""TrainConfig: every hyperparameter once, with its type, bounds, default and one line of help.

The form of the Train page, the CLI flags and a run's `config.json` derive from it. What follows from the
hyperparameters alone (parameters, receptive field, arithmetic per window) is computed here too, without torch,
so that a page can show it before anything starts.
"""

import os
import re
import site
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from platformdirs import user_data_dir
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from tfbind.errors import Setting, SettingsError

PACKAGE = Path(__file__).resolve().parent


def is_checkout(package: Path) -> bool:
    """Whether the folder `tfbind` lies in a checkout of the project, and not where an installer put it."""
    return all((package.parent / name).is_file() for name in ("pyproject.toml", "app.py"))


def app_folder(package: Path) -> Path:
    """The folder of `app.py`: the checkout, or what an installer put into the package; where there is none, as on the
    node of a cluster, the folder that the package lies in."""
    installed = package / "webapp"
    return installed if installed.is_dir() and not is_checkout(package) else package.parent


CHECKOUT = is_checkout(PACKAGE)
PROJECT = app_folder(PACKAGE)

_DECIMAL_COMMA = re.compile(r"\d+,\d+")


def home_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of runs and data sets: `$TFBIND_HOME`, else `.tfbind/` beside `app.py` in a checkout, else the
    platform's folder for user data."""
    default = PROJECT / ".tfbind" if CHECKOUT else user_data_dir("tfbind", appauthor=False)
    return Path(environ.get("TFBIND_HOME") or default).expanduser().resolve()


def python_path(environ: Mapping[str, str] = os.environ) -> str:
    """The PYTHONPATH with which a child process finds this package from any working directory.

    An installed copy is not added: on PYTHONPATH its folder would come before the standard library.
    """
    known = [Path(folder).resolve() for folder in (*site.getsitepackages(), site.getusersitepackages())]
    own = [] if PACKAGE.parent in known else [str(PACKAGE.parent)]
    return os.pathsep.join([*own, *filter(None, [environ.get("PYTHONPATH")])])


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError(f"must be odd, so that a base sits in the middle; try {value - 1} or {value + 1}")
    return value


def _none_from_text(value: Any) -> Any:
    return None if isinstance(value, str) and value.strip().lower() in ("", "none", "null") else value


Kernel = Annotated[int, Field(ge=1, le=101), AfterValidator(_odd)]
OptionalKernel = Annotated[Kernel | None, BeforeValidator(_none_from_text)]
OptionalThreads = Annotated[Annotated[int, Field(ge=1, le=512)] | None, BeforeValidator(_none_from_text)]
OptionalWindows = Annotated[Annotated[int, Field(ge=1, le=65_536)] | None, BeforeValidator(_none_from_text)]
SHARD_SIZE = 16  # with batch norm, unless another is given: batches of 64 have work for four threads
SMALLEST_SHARD = 8  # of those that a thread each takes


def _setting(default: Any, help: str, *, common: bool = False, **bounds: Any) -> Any:
    """A field of TrainConfig; `common` ones stand open in the form, the others are folded away."""
    return Field(default, description=help, json_schema_extra={"common": common}, **bounds)


class TrainConfig(BaseModel):
    """What to train and how. `TrainConfig()` is the published experiment that this project grew from.

    Raises:
        ValueError: one line that names the field, the value given and what is allowed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dataset: str = _setting("builtin", "The data set to learn from.", common=True, min_length=1)
    learning_rate: float = _setting(
        0.01,
        "How far each step moves the weights. Too high and the loss jumps or explodes; too low and it crawls.",
        common=True,
        gt=0,
        le=10,
    )
    num_epochs: int = _setting(
        5, "How many times the model sees every training window.", common=True, ge=1, le=10_000
    )
    batch_size: int = _setting(
        64,
        "Windows per step. Smaller batches take more, noisier steps; larger ones fewer, smoother steps.",
        common=True,
        ge=1,
        le=65_536,
    )
    norm: Literal["layer", "batch"] = _setting(
        "layer",
        "layer: statistics over the whole window, so a base's score depends on the window around it, and "
        "windows have one fixed length. batch: local once trained, so sequences of any length can be scored.",
        common=True,
    )
    first_kernel_size: OptionalKernel = _setting(
        None,
        "Width in bases of the first convolution, the model's motif detector. Empty: the same as kernel_size.",
        common=True,
    )
    kernel_size: Kernel = _setting(3, "Width in bases of the convolutions in the residual blocks.")
    num_res_blocks: int = _setting(
        3, "Residual blocks of two convolutions each: depth, and with it reach along the DNA.", ge=0, le=64
    )
    num_channels: int = _setting(32, "Filters in each convolution.", ge=1, le=1024)
    dropout_rate: float = _setting(
        0.2, "Share of activations set to zero at random in training, against overfitting.", ge=0, le=0.95
    )
    optimizer_type: Literal["AdamW", "Adam", "SGD"] = _setting(
        "AdamW", "The rule that turns gradients into steps. SGD runs with momentum 0.9."
    )
    lr_schedule: Literal["constant", "one_cycle"] = _setting(
        "constant",
        "constant: the same rate throughout. one_cycle: cosine up from 4 % of the rate over the first fifth of "
        "the steps, then cosine down to zero.",
    )
    weight_decay: float = _setting(1e-5, "How strongly weights are pulled towards zero.", ge=0, le=1)
    early_stopping_patience: int = _setting(
        10, "Stop after this many epochs in a row without a lower validation loss.", ge=1, le=10_000
    )
    validation_split: float = _setting(
        0.2, "Share of the windows that is held out to measure the model.", ge=0.01, le=0.9
    )
    split_by: Literal["windows", "blocks", "chromosomes"] = _setting(
        "windows",
        "What is held out. windows: drawn at random. blocks: stretches of a chromosome, with a gap to the windows "
        "that train. chromosomes: whole ones. Neighbouring windows resemble each other, so windows flatters most.",
    )
    test_split: float = _setting(
        0.0,
        "Share of the windows that is sealed: neither trained on nor looked at, until the test is opened, once.",
        ge=0,
        le=0.9,
    )
    seed: int = _setting(0, "Fixes the split, the initial weights and the order of the windows.", ge=0, le=2**31 - 1)
    device: Literal["auto", "cpu", "cuda", "mps"] = _setting(
        "auto", "Where to train. auto: a GPU if this machine has one that torch can use, else the CPU."
    )
    threads: OptionalThreads = _setting(
        None,
        "CPU threads for this run. Empty: all cores. With norm layer each takes a share of every batch, so another "
        "count gives slightly other results.",
    )
    shard_size: OptionalWindows = _setting(
        None,
        "Windows of a batch that batch norm takes its statistics of, on a CPU: a thread trains on so many at a time, "
        f"and results do not depend on the number of threads. {SHARD_SIZE} with norm batch unless another is given; "
        "none: each thread's share of the batch.",
    )

    if not TYPE_CHECKING:  # type checkers know the constructor by its fields

        def __init__(self, /, **values: Any) -> None:
            try:
                super().__init__(**values)
            except ValidationError as error:
                parts = [part for problem in error.errors() for part in ("; ", *_explain(problem))]
                raise SettingsError(*parts[1:]) from None

    @property
    def first_kernel(self) -> int:
        """Width of the first convolution in bases."""
        return self.kernel_size if self.first_kernel_size is None else self.first_kernel_size


ARCHITECTURE = ("norm", "first_kernel", "kernel_size", "num_res_blocks", "num_channels")

PRESETS: dict[str, TrainConfig] = {
    "seed": TrainConfig(),
    "recommended": TrainConfig(
        norm="batch",
        num_res_blocks=2,
        kernel_size=5,
        first_kernel_size=15,
        dropout_rate=0.0,
        learning_rate=0.02,
        lr_schedule="one_cycle",
        num_epochs=4,
        shard_size=SHARD_SIZE,
    ),
    "quick": TrainConfig(
        norm="batch",
        num_res_blocks=1,
        num_channels=24,
        kernel_size=5,
        first_kernel_size=15,
        dropout_rate=0.0,
        learning_rate=0.02,
        lr_schedule="one_cycle",
        num_epochs=3,
        shard_size=SHARD_SIZE,
    ),
}


def parse_config(values: Mapping[str, Any], base: TrainConfig | None = None) -> TrainConfig:
    """Parse a configuration.

    Args:
        values: numbers or text by field.
        base: the values of all other fields; None for the defaults.

    Raises:
        SettingsError: one line that names the field, the value given and what is allowed.
    """
    implied = {"shard_size": SHARD_SIZE} if values.get("norm") == "batch" else {}
    return TrainConfig(**{**(base or TrainConfig()).model_dump(), **implied, **values})


def check_continuation(config: TrainConfig, parent: TrainConfig) -> None:
    """Refuse a configuration that cannot start from the weights of a run made with `parent`.

    Raises:
        ValueError: the architecture differs, or the split does: the parent has learnt from windows that would be held
            out now.
    """
    for field in (*ARCHITECTURE, "seed", "validation_split", "split_by", "test_split"):
        ours, theirs = getattr(config, field), getattr(parent, field)
        if ours != theirs:
            raise ValueError(f"{field}: {ours} differs from {theirs}, that of the run whose weights are to be used")


def _explain(problem: Any) -> tuple[str | Setting, str]:
    field = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        return field, f": no such hyperparameter; known: {', '.join(TrainConfig.model_fields)}"
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ").partition(", unable to parse")[0]
    value = problem["input"]
    if isinstance(value, str) and _DECIMAL_COMMA.fullmatch(value):
        message += f", with a point: {value.replace(',', '.')}"
    return Setting(field, field), f": {value!r} {message}"


def flag(field: str) -> str:
    """The command-line flag of a field: `learning_rate` -> `--learning-rate`."""
    return "--" + field.replace("_", "-")


def flags(config: TrainConfig, base: TrainConfig | None = None) -> list[str]:
    """The command-line arguments for a configuration: the data set, and each field that differs from `base`, which
    is the defaults where it is None."""
    words = [flag("dataset"), config.dataset]
    base = base or TrainConfig()
    implied = base if config.norm == base.norm else parse_config({"norm": config.norm}, base)
    for field in TrainConfig.model_fields:
        value = getattr(config, field)
        if field != "dataset" and value != getattr(base if field == "norm" else implied, field):
            words += [flag(field), "none" if value is None else str(value)]
    return words


def shard_count(config: TrainConfig, windows: int) -> int:
    """The number of shards of a batch, each of which a thread takes through the network.

    Args:
        config: with device and threads resolved.
        windows: of the batch.

    Returns:
        With batch norm, one for each `shard_size` windows; else one per thread, unless they would become too small.
        On another device than a CPU 1.
    """
    if config.device != "cpu":
        return 1
    if config.norm == "batch" and config.shard_size:
        return -(-windows // config.shard_size)
    return max(1, min(config.threads or 1, config.batch_size // SMALLEST_SHARD, windows))


def choices(field: str) -> tuple[str, ...]:
    """The allowed values of a field with a fixed choice of words, else ()."""
    annotation = TrainConfig.model_fields[field].annotation
    return tuple(word for word in get_args(annotation) if isinstance(word, str))


def receptive_field(config: TrainConfig) -> int:
    """The receptive field of the convolutions in bases, the position itself included."""
    return config.first_kernel + 2 * config.num_res_blocks * (config.kernel_size - 1)


def sees(whole: bool, bases: int) -> str:
    """The receptive field in words.

    Args:
        whole: the model normalises over the window, so that a score depends on all of it.
        bases: the receptive field of the convolutions.
    """
    return f"the whole window ({bases} bases by convolutions)" if whole else f"{bases} bases"


def parameter_count(config: TrainConfig, length: int) -> int:
    """Trainable parameters of the model for windows of `length` bases."""
    channels, blocks = config.num_channels, config.num_res_blocks
    norm = 2 * channels * (length if config.norm == "layer" else 1)
    convolutions = 4 * channels * config.first_kernel + 2 * blocks * channels**2 * config.kernel_size
    return convolutions + (1 + 2 * blocks) * norm + channels + 1


def forward_flops(config: TrainConfig, length: int) -> int:
    """Floating-point operations of the convolutions for one window of `length` bases (a multiply-add is two)."""
    channels, blocks = config.num_channels, config.num_res_blocks
    weights = 4 * channels * config.first_kernel + 2 * blocks * channels**2 * config.kernel_size + channels
    return 2 * length * weights
