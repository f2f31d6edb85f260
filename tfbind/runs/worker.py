"""The worker of a run: waits for a device, trains, writes the run folder, and sets the final state.

At the end of an epoch the best weights are written first, then the checkpoint, then the row. Wherever the process
dies, resuming from the checkpoint repeats at most the unfinished epoch and leaves each finished one exactly once.
"""

import contextlib
import ctypes
import importlib
import io
import logging
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfbind.config import TrainConfig
from tfbind.data import Split, Windows, check_content, open_training_data
from tfbind.errors import Reason, reason_of
from tfbind.metrics import calibrate, lowest_label
from tfbind.nn import BANDS, LOWEST_LABEL, build_graph, read_tensors
from tfbind.runs import devices, folder, log as run_log
from tfbind.runs.files import Row, State
from tfbind.runs.folder import Run
from tfbind.runs.record import pack_validation
from tfbind.store import (
    DAMAGED,
    HANDOVER_SECONDS,
    HEARTBEAT_SECONDS,
    DamagedFile,
    GpuMeter,
    ProcessMeter,
    format_error,
    handle_signals,
    remove_drafts,
    write_bytes,
)
from tfbind.text import figure

if TYPE_CHECKING:
    from tfbind.nn import Data, Training

QUEUE_SECONDS = 0.5
PROGRESS_SECONDS = 0.5
LOGGED = ("epoch", "train_loss", "val_loss", "val_pearsonr", "seconds")  # of a row, the rest is in its file

log = logging.getLogger("tfbind")


class RunStopped(Exception):
    """A stop of the run was requested."""


def _ignore(_: Any) -> None:
    pass


@dataclass
class Worker:
    """Trains a run in this process. `on_progress` and `on_row` are called on the way, `on_start` before training.

    `data` and `split` are given where they are open in this process; else the record of the run names them.
    """

    run: Run
    on_progress: Callable[[dict[str, Any]], None] = _ignore
    on_row: Callable[[Row], None] = _ignore
    on_start: Callable[[Run], None] = _ignore
    data: "Data | None" = None
    split: Split | None = None
    clock: Callable[[], float] = time.monotonic
    _signalled: bool = field(default=False, init=False)
    _meter: ProcessMeter = field(default_factory=ProcessMeter, init=False)
    _gpu: GpuMeter | None = field(default=None, init=False)
    _reported: float = field(default=0.0, init=False)
    _beaten: float = field(default=0.0, init=False)
    _lowest: float | None = field(default=None, init=False)

    def work(self) -> State:
        """Run to the end and return the final state: `finished`, `failed` or `killed`.

        Raises:
            ValueError: another process is working on this run.
            OSError: the folder of the run was moved or deleted.
        """
        with self.run.lock(HANDOVER_SECONDS), handle_signals(self._note_signal), _log_to(self.run):
            remove_drafts(self.run.folder)
            run_log.trim(self.run)
            try:
                self._work()
                return self._end("finished")
            except RunStopped:
                return self._end("killed")
            except Exception as error:
                self._check_folder()
                log.exception("failed")
                return self._end("failed", _one_line(error), reason_of(error))

    def _end(self, state: State, error: str | None = None, reason: Reason | None = None) -> State:
        message = state if error is None else f"{state}: {error}"
        log.info("%s", message, extra={"facts": {"state": state, "error": error}})
        self.run.set_state(state, ended=time.time(), error=error, reason=reason)
        return state

    def _work(self) -> None:
        self.run.set_state("pending")
        config = folder.read_config(self.run)
        with self._wait_for_slots(config) as slots:
            self.run.set_state("running", started=time.time(), device=config.device)
            self.on_start(self.run)
            self._train(config, f"cuda:{slots[0]}" if config.device == "cuda" else config.device)

    @contextlib.contextmanager
    def _wait_for_slots(self, config: TrainConfig) -> Iterator[list[int]]:
        device, threads = config.device, config.threads
        if device == "auto" or threads is None:
            raise DamagedFile(self.run.folder / folder.CONFIG, f"device and threads are not resolved; {DAMAGED}")
        while True:
            self._check_stop()
            if not folder.waiting_before(self.run, device):
                with devices.slots(self.run.home, device, threads) as slots:
                    if slots is not None:
                        facts = {"device": device, "threads": threads}
                        log.info("runs on %s", devices.describe_device(device, threads), extra={"facts": facts})
                        yield slots
                        return
                importlib.import_module("torch")  # takes seconds: while another run has the device, not after it
            self._beat("pending")
            time.sleep(QUEUE_SECONDS)

    def _train(self, config: TrainConfig, device: str) -> None:
        _keep_freed_memory()
        if device.startswith("cuda"):
            self._gpu = GpuMeter(int(device.removeprefix("cuda:")))
        import torch

        from tfbind.nn import Training, build_model, read_weights

        torch.set_num_threads(1)  # others would turn round and round on the cores that the shares of a batch need
        data = self._open_data()
        lowest = lowest_label(data.scores)
        self._lowest = lowest
        model = build_model(config, data.codes.shape[1])
        initial = self.run.folder / folder.INITIAL
        if initial.exists():
            with _damaged_if_unfit(initial):
                model.load_state_dict(read_weights(initial))
        training = Training(model.to(device), data, config, parts=self.split, on_batch=self._after_batch)
        if (self.run.folder / folder.CHECKPOINT).exists():
            self._restore(training, device)
            folder.complete_rows(self.run, training.rows)
        sizes = {"windows": len(training.train_windows), "held_out": len(training.validation_windows)}
        log.info("%(windows)d windows to train on, %(held_out)d held out", sizes, extra={"facts": sizes})
        self._report(training)
        for row in training:
            self._save_epoch(training)
            facts = {key: row[key] for key in LOGGED}
            losses = [f"{name} {figure(row[name])}" for name in ("train_loss", "val_loss")]
            log.info("epoch %d: %s", row["epoch"], ", ".join(losses), extra={"facts": facts})
            self.on_row(row)
        write_bytes(self.run.folder / folder.GRAPH, build_graph(read_tensors(self.run.folder / folder.BEST)))

    def _open_data(self) -> "Data":
        try:
            if self.data is None:
                return open_training_data(self.run.home, folder.read_record(self.run))
            if isinstance(self.data, Windows):
                check_content(self.data)
            return self.data
        except ValueError as error:
            raise ValueError(f"{error}; {self.run.folder / folder.CONFIG} names these data") from None

    def _restore(self, training: "Training", device: str) -> None:
        import torch

        path = self.run.folder / folder.CHECKPOINT
        with _damaged_if_unfit(path):
            _check_crc(path)
            training.restore(torch.load(path, map_location=device, weights_only=True))

    def _save_epoch(self, training: "Training") -> None:
        import torch

        from tfbind.nn import pack_weights

        if training.improved:
            assert training.validation is not None
            validation, lowest = training.validation, self._lowest
            bands = calibrate(
                validation.predictions, training.validation_scores, None if lowest is None else lowest / 2
            )
            facts = {"run": self.run.id, "epoch": str(training.rows[-1]["epoch"]), BANDS: bands.as_json()}
            facts |= {} if lowest is None else {LOWEST_LABEL: repr(lowest)}
            write_bytes(self.run.folder / folder.BEST, pack_weights(training.model, facts))
            content = pack_validation(validation.windows, validation.predictions, validation.loss, validation.pearson)
            write_bytes(self.run.folder / folder.VALIDATION, content)
        buffer = io.BytesIO()
        torch.save(training.checkpoint(), buffer)
        write_bytes(self.run.folder / folder.CHECKPOINT, buffer.getvalue())
        folder.append_row(self.run, training.rows[-1])

    def _after_batch(self, training: "Training") -> None:
        self._check_stop()
        if self.clock() - self._reported >= PROGRESS_SECONDS:
            self._report(training)
        self._beat("running")

    def _report(self, training: "Training") -> None:
        self._reported = self.clock()
        progress = training.progress() | self._meter.read() | _gpu_use(self._gpu)
        folder.PROGRESS_FILE.write(self.run.folder / folder.PROGRESS, progress)
        self.on_progress(progress)

    def _beat(self, state: State) -> None:
        if self.clock() - self._beaten >= HEARTBEAT_SECONDS:
            self._beaten = self.clock()
            self.run.set_state(state)
            with contextlib.suppress(OSError):  # as in _LogFile
                run_log.trim(self.run)

    def _check_folder(self) -> None:
        """Check that the run folder is still in its place.

        Of a moved one nothing is left; in a deleted one, files that were just written.
        """
        if not (self.run.folder / folder.CONFIG).exists():
            message = f"{self.run.folder}: {folder.MOVED}"
            log.error("%s", message)
            raise OSError(message)

    def _check_stop(self) -> None:
        self._check_folder()
        if self._signalled or self.run.stop_requested():
            raise RunStopped

    def _note_signal(self) -> None:
        self._signalled = True


def _check_crc(path: Path) -> None:
    """Check the CRC-32 of a checkpoint, which torch does not."""
    with zipfile.ZipFile(path) as archive:
        if damaged := archive.testzip():
            raise ValueError(f"{damaged} does not have its checksum")


@contextlib.contextmanager
def _damaged_if_unfit(path: Path) -> Iterator[None]:
    """Turn the errors of torch on a file that is damaged, or of another network, into a ValueError."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - torch raises what it likes
        log.warning("%s: %s", path.name, error)
        detail = f"damaged, or not of the network in {folder.CONFIG}"
        raise ValueError(f"{path}: {detail}; `train --from` starts anew from the best weights") from None


class _LogFile(logging.FileHandler):
    """The log of a run. A full disk, on which it takes no more lines, is no error: the run's state says why."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name that logging calls
        pass

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()


@contextlib.contextmanager
def _log_to(run: Run) -> Iterator[None]:
    with contextlib.suppress(OSError):  # as in _LogFile
        run_log.append(run, b"")
    handler = _LogFile(run.folder / folder.LOG)
    handler.setFormatter(run_log.Lines(run))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()


def _one_line(error: Exception) -> str:
    text = format_error(error)
    return text if isinstance(error, ValueError | ArithmeticError | OSError) else f"{type(error).__name__}: {text}"


def _gpu_use(gpu: GpuMeter | None) -> dict[str, int]:
    if gpu is None:
        return {}
    import torch

    return {"gpu_memory": int(torch.cuda.memory_reserved(gpu.ordinal))} | gpu.read()


def _keep_freed_memory() -> None:
    """Have glibc keep the memory of freed tensors, instead of allocating it anew from the kernel at every step."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        trim_threshold, mmap_threshold, never = -1, -3, 2**30
        libc.mallopt(mmap_threshold, never)
        libc.mallopt(trim_threshold, never)
