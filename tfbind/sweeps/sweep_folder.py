"""The sweep folder: create it, read it, list all of them, and find the runs that belong to one.

A sweep is `<home>/sweeps/<id>/`. It keeps what it was asked for; what it has done is in the folders of its runs, each
of which names its sweep.
"""

import contextlib
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tfbind import runs
from tfbind.config import TrainConfig, home_folder, parse_config
from tfbind.data import check_learnable, content_hashes, open_dataset, resolve_name, split
from tfbind.errors import Setting, SettingsError
from tfbind.runs import Run, RunRecord, Stamp, Status, StopReason, devices, record as history
from tfbind.store import DamagedFile, Facts, KeptFile, atomic, kept_file, rename_exclusive, scratch, write_bytes
from tfbind.sweeps.search import Spec
from tfbind.sweeps.spec import parse_spec

if TYPE_CHECKING:
    import pandas as pd

SPEC = "spec.yaml"  # as the user wrote it; an earlier one that was replaced is spec-1.yaml, and so on
SETTINGS = "sweep.json"  # name, settings to start from, how many runs at once, W&B, Ray; never rewritten
EXAMPLE = Path(__file__).parent / "examples" / "seed_sweep.yaml"

RecordCache = dict[Path, tuple[Stamp, RunRecord]]


class _Settings(Facts):
    name: str
    base: dict[str, Any]
    parallel: int | None
    wandb: str
    created: str
    ray: str | None = None


SETTINGS_FILE: KeptFile[dict[str, Any]] = kept_file(SETTINGS, _Settings)


class Sweep(Run):
    """One sweep folder. Its process, state, log and stop are kept as those of a run, by the same functions."""

    @classmethod
    def from_yaml(
        cls,
        path: str | Path,
        *,
        base: TrainConfig | None = None,
        name: str = "",
        parallel: int | None = None,
        wandb: str = "off",
        home: str | Path | None = None,
    ) -> "Sweep":
        """A new sweep from a sweep file, in the format of Weights & Biases; `run` trains its runs.

        Args:
            path: the file.
            base: the settings of which the file says nothing; None for those of the published experiment.
            name: what it is called.
            parallel: how many runs at once; None for as many as the machine has room for.
            wandb: whether its runs are logged: `off`, `offline` or `online`.
            home: where sweeps are kept; None for the default home.

        Raises:
            ValueError: the file, the name or a data set cannot be used.

        >>> data = tf.simulate_dataset("tiny", windows=200)
        >>> text = "method: grid\\nparameters: {learning_rate: {values: [0.001, 0.01]}, num_epochs: {value: 1}}"
        >>> written = Path("sweep.yaml").write_text(text)
        >>> tf.Sweep.from_yaml("sweep.yaml", base=tf.TrainConfig(dataset="tiny")).run().state
        'finished'
        """
        home_path = home_folder() if home is None else Path(home).expanduser().resolve()
        spec = parse_spec(atomic.read_text(Path(path)), base or TrainConfig())
        return create(home_path, spec, name=name, parallel=parallel, wandb=wandb)

    def run(self) -> "Sweep":
        """Train what is left of its runs, and wait until all have ended; an interrupt stops them.

        Returns:
            The sweep itself, `finished`, or `killed` where somebody else stopped it.

        Raises:
            ValueError: it is active already, or has failed.
            KeyboardInterrupt: it was interrupted; `run` goes on with it.
        """
        from tfbind.sweeps import controller  # which is built on this module

        if self.state != "pending":
            self.check_idle()
            self.clear_stop()
        state = controller.Controller(self).work()
        if state == "failed":
            raise ValueError(f"sweep {self.id} failed: {self.status().error}")
        if state == "killed" and not self.stop_requested():
            raise KeyboardInterrupt
        return self

    def runs(self) -> list[Run]:
        """Its runs, oldest first."""
        return sweep_runs(self)

    def rows(self) -> "pd.DataFrame":
        """The finished epochs of all its runs, as `Run.rows` has them, with the id of the `run` in front."""
        import pandas as pd

        frames = {run.id: run.rows() for run in sweep_runs(self)} or {"": super().rows()}
        return pd.concat(frames, names=["run"]).reset_index(level="run").reset_index(drop=True)


def create(
    home: Path,
    spec: Spec,
    *,
    id: str | None = None,
    name: str = "",
    parallel: int | None = None,
    wandb: str = "off",
    ray: str = "",
) -> Sweep:
    """A new `pending` sweep that this process owns until a controller takes it over.

    Args:
        home: the home folder.
        spec: what it is to do, as `parse_spec` returns it.
        id: what its folder is called; None for a new id.
        name: what it is called; "" for the name in the file, else one made from `spec`.
        parallel: how many runs at once; as many as the machine has room for if None.
        wandb: whether its runs are logged: `off`, `offline` or `online`.
        ray: the address of the Ray cluster that trains its runs, "" for this machine.

    Returns:
        The sweep.

    Raises:
        ValueError: the name, the id or a data set cannot be used, or the id is taken.
    """
    check_data(home, spec, local=not ray)
    sweep = Sweep(home / "sweeps" / runs.checked_id(id or runs.new_id()))
    settings = {
        "name": runs.checked_name(name or spec.name or default_name(spec)),
        "base": spec.defaults.model_dump(),
        "parallel": parallel,
        "wandb": wandb,
        "ray": ray,
        "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
    with scratch(sweep.folder.parent, sweep.id) as draft:
        write_bytes(draft / SPEC, spec.text.encode())
        SETTINGS_FILE.write(draft / SETTINGS, settings)
        runs.STATE_FILE.write(draft / runs.STATE, runs.owned_status("pending"))
        if not rename_exclusive(draft, sweep.folder):
            raise ValueError(f"--id {sweep.id}: that sweep exists already")
    return sweep


def check_data(home: Path, spec: Spec, local: bool = True) -> None:
    """Refuse a sweep whose data sets are not here, too small for what is held out, or the same under two names, or
    that trains `local` on a device that is not here.

    Raises:
        ValueError: as it says.
    """
    if local:
        devices.resolve_device(spec.base)
    fields = ("validation_split", "test_split", "split_by")
    names: dict[str, str] = {}
    for dataset in _possible(spec, "dataset"):
        data = open_dataset(home, dataset_now(home, spec, dataset))
        if (same := names.setdefault(data.hash, dataset)) != dataset:
            message = f": {same} and {dataset} are the same data; a sweep takes them once"
            raise SettingsError(Setting("dataset", "dataset"), message)
        for values in itertools.product(*(_ends(_possible(spec, field)) for field in fields)):
            parts = split(data, spec.base.model_copy(update=dict(zip(fields, values, strict=True))))
            check_learnable(data, parts.train)


def dataset_now(home: Path, spec: Spec, name: str) -> str:
    """The name by which a data set of the sweep is found now.

    Raises:
        ValueError: no data set of the home has the content that runs of the sweep learnt from under that name.
    """
    return resolve_name(home, {"dataset": name, "dataset_hash": spec.contents.get(name)})


def _possible(spec: Spec, field: str) -> tuple[Any, ...]:
    parameter = next((candidate for candidate in spec.parameters if candidate.field == field), None)
    if parameter is None:
        return (getattr(spec.base, field),)
    return parameter.values or (parameter.at(0.0), parameter.at(1.0))


def _ends(possible: tuple[Any, ...]) -> set[Any]:
    """Of shares the least, the least that is not 0, and the largest: those between leave no part emptier."""
    if any(isinstance(value, str) for value in possible):
        return set(possible)
    return {min(possible), min(filter(None, possible), default=0.0), max(possible)}


def default_name(spec: Spec) -> str:
    """What a sweep is called when nobody named it."""
    return f"{spec.method} over {', '.join(spec.varied) or 'one configuration'}"[: runs.NAME_LENGTH]


def is_sweep(home: Path, id: str) -> bool:
    """Whether a home has a sweep with this id.

    Args:
        home: the home folder.
        id: any text.

    Returns:
        Whether its folder is there.
    """
    return bool(runs.RUN_ID.fullmatch(id)) and (home / "sweeps" / id / SETTINGS).exists()


def find(home: Path, id: str) -> Sweep:
    """The sweep with this id.

    Args:
        home: the home folder.
        id: the id of the sweep.

    Returns:
        The sweep.

    Raises:
        ValueError: there is none.
    """
    if not is_sweep(home, id):
        raise ValueError(f"no sweep {id!r} in {home}; `python -m tfbind sweep --list` lists them")
    return Sweep(home / "sweeps" / id)


def list_sweeps(home: Path) -> list[Sweep]:
    """All sweeps of a home, oldest first."""
    folders = sorted((home / "sweeps").iterdir()) if (home / "sweeps").is_dir() else []
    return [Sweep(folder) for folder in folders if is_sweep(home, folder.name)]


def read_settings(sweep: Sweep) -> dict[str, Any]:
    """Name, settings to start from, runs at once, W&B, time of creation.

    Raises:
        ValueError: the file is damaged.
    """
    return SETTINGS_FILE.read(sweep.folder / SETTINGS)


def sweep_name(sweep: Sweep) -> str:
    """What the sweep is called; its id where its settings cannot be read."""
    try:
        return str(read_settings(sweep)["name"])
    except ValueError:
        return sweep.id


def read_text(sweep: Sweep) -> str:
    """The sweep file, as the user wrote it.

    Raises:
        ValueError: it is missing or damaged.
    """
    return atomic.read_text(sweep.folder / SPEC)


def read_spec(sweep: Sweep) -> Spec:
    """What the sweep is to do.

    Raises:
        ValueError: a file of the sweep is damaged.
    """
    text, base = read_text(sweep), _base(sweep)
    try:
        return replace(parse_spec(text, base), contents=_contents(sweep))
    except ValueError as error:
        raise DamagedFile(sweep.folder / SPEC, str(error)) from None


def judged_by(home: Path, id: str) -> tuple[str, Literal["min", "max"]] | None:
    """By which metric, and which way, a sweep is judged.

    Args:
        home: the home folder.
        id: the id of the sweep.

    Returns:
        The metric and its goal; None if this home has no such sweep.

    Raises:
        ValueError: a file of the sweep is damaged.
    """
    if not is_sweep(home, id):
        return None
    spec = read_spec(find(home, id))
    return spec.metric, "min" if spec.goal == "minimize" else "max"


def _base(sweep: Sweep) -> TrainConfig:
    settings = read_settings(sweep)
    try:
        return parse_config(settings["base"])
    except ValueError as error:
        raise DamagedFile(sweep.folder / SETTINGS, f"{error!s:.300}") from None


def extend(sweep: Sweep, text: str) -> Spec:
    """Give a sweep another sweep file: what it has run stays, what is new in it will be run.

    Args:
        sweep: the sweep.
        text: the file, YAML or JSON.

    Returns:
        The sweep as it is now.

    Raises:
        ValueError: the file, or a data set in it, cannot be used.
    """
    spec = replace(parse_spec(text, _base(sweep)), contents=_contents(sweep))
    check_data(sweep.home, spec, local=not read_settings(sweep).get("ray"))
    if text != read_text(sweep):
        before = (sweep.folder / SPEC).read_bytes()
        earlier = [path.read_bytes() for path in sweep.folder.glob("spec-*.yaml")]
        if before not in earlier:  # else by an extension that was killed after that
            write_bytes(sweep.folder / f"spec-{len(earlier) + 1}.yaml", before)
        write_bytes(sweep.folder / SPEC, text.encode())
    return spec


def _contents(sweep: Sweep) -> dict[str, str]:
    """The hashes of data sets by name. A name stands for what the first run of the sweep under it learnt from,
    whatever is called so now."""
    learnt = {origin.dataset: origin.hash for run in reversed(sweep_runs(sweep)) if (origin := _origin(run.folder))}
    return content_hashes(sweep.home) | {name: hash for name, hash in learnt.items() if hash}


@dataclass(frozen=True)
class _Origin:
    """The sweep that a run belongs to, and what its data set was called; `hash` is that of its content."""

    sweep: str | None
    dataset: str
    hash: str | None


@lru_cache(maxsize=100_000)
def _origin(folder: Path) -> _Origin | None:
    """Where a run comes from, None if its record is damaged. That file is never rewritten, so it is read once."""
    try:
        record = runs.read_record(Run(folder))
    except ValueError:
        return None
    return _Origin(record.get("sweep"), record["dataset"], record.get("dataset_hash"))


def sweep_runs(sweep: Sweep) -> list[Run]:
    """The runs of a sweep, oldest first."""
    origins = ((run, _origin(run.folder)) for run in runs.list_runs(sweep.home))
    return [run for run, origin in origins if origin and origin.sweep == sweep.id]


def sweep_sizes(home: Path) -> Counter[str]:
    """How many runs each sweep of a home has, by its id."""
    origins = (_origin(run.folder) for run in runs.list_runs(home))
    return Counter(origin.sweep for origin in origins if origin and origin.sweep)


def run_records(sweep: Sweep, cache: RecordCache | None = None) -> list[RunRecord]:
    """The records of all runs of a sweep, oldest first; one that was stopped early is `pruned`.

    Args:
        sweep: the sweep.
        cache: kept between calls, it spares reading runs that have ended.

    Returns:
        One record for each run.
    """
    return [_run_record(run, {} if cache is None else cache) for run in sweep_runs(sweep)]


def _run_record(run: Run, cache: RecordCache) -> RunRecord:
    stamp = history.stamp(run)
    cached = cache.get(run.folder)
    if cached and cached[0] == stamp:
        return cached[1]
    try:
        record = history.read_run_record(run)
    except ValueError as error:  # its configuration was run all the same
        config = runs.read_record(run)
        record = RunRecord(run.id, run.id, run.id, "crashed", "local", config["sweep"], config, [], error=str(error))
    stop = run.read_stop()
    if record.state == "killed" and stop and str(stop):
        record = replace(record, state="pruned" if stop.reason is StopReason.PRUNED else "killed", error=str(stop))
    if record.state not in runs.ACTIVE:
        cache[run.folder] = (stamp, record)
    return record


def to_continue(sweep: Sweep) -> list[Run]:
    """The runs that were stopped with their sweep, or are to be tried again."""
    stopped = ((run, run.read_stop()) for run in sweep_runs(sweep))
    with_sweep = [run for run, stop in stopped if stop and stop.reason is StopReason.WITH_SWEEP]
    return [run for run in with_sweep if run.state in ("killed", "crashed", "failed")]


def active_sweeps(home: Path) -> Iterator[tuple[Sweep, Status]]:
    """The sweeps whose controller is at work, oldest first."""
    for sweep in list_sweeps(home):
        with contextlib.suppress(ValueError):
            status = sweep.status()
            if status.active:
                yield sweep, status
