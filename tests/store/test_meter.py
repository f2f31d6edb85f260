"""What a process takes of its machine, held against what it is made to take."""

import ctypes
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from driven import app
from stand_in import make_run, report_progress

from tfbind import runs
from tfbind.runs.devices import cuda_count
from tfbind.store.process import GpuMeter, ProcessMeter
from tfbind.store.schema import read_json, write_json
from ui.widgets.session import plain


def test_a_process_that_sleeps_takes_no_core_and_one_that_counts_takes_one() -> None:
    meter = ProcessMeter()
    time.sleep(0.3)
    assert meter.read()["cores"] < 0.3

    def now() -> tuple[float, float]:
        return time.monotonic(), time.process_time()

    # A busy machine gives less than a whole core, and may do so between two lines.
    began = now()
    meter.read()
    first = now()
    while time.process_time() - first[1] < 0.3:
        sum(range(1000))
    last = now()
    cores = meter.read()["cores"]
    ended = now()
    least, most = (last[1] - first[1]) / (ended[0] - began[0]), (ended[1] - began[1]) / (last[0] - first[0])
    assert least - 0.01 < cores < most + 0.01


def test_memory_is_that_of_the_process() -> None:
    code = (
        "import numpy as np; from tfbind.store.process import ProcessMeter\n"
        "meter = ProcessMeter(); before = meter.read()['memory']\n"
        "held = np.ones(40_000_000); print(meter.read()['memory'] - before)"
    )
    grown = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert 300e6 < grown < 360e6  # 320 MB of numbers


ADDRESSES = (b"0000:C1:00.0", b"0000:41:00.0")  # of the GPUs in the order of CUDA
HANDLES = {b"0000:41:00.0": 0x7F00_1234_5678, b"0000:C1:00.0": 0x7F00_9ABC_DEF0}  # of NVML, wider than an int


class Nvidia:
    """The driver of two GPUs, with the functions of its C interface; `busy` in percent by handle, or an error."""

    def __init__(self) -> None:
        self.busy = dict.fromkeys(HANDLES.values(), 0)
        self.broken: str | None = None
        out, integer, text, pointer = ctypes.POINTER, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p
        self.cuda = self.library(
            cuInit=(self.start, ctypes.c_uint),
            cuDeviceGet=(self.get, out(integer), integer),
            cuDeviceGetPCIBusId=(self.address, out(ctypes.c_char), integer, integer),
        )
        self.nvml = self.library(
            nvmlInit_v2=(self.start,),
            nvmlDeviceGetHandleByPciBusId_v2=(self.handle, text, out(pointer)),
            nvmlDeviceGetUtilizationRates=(self.rates, pointer, out(ctypes.c_uint)),
        )

    def library(self, **functions: tuple[Any, ...]) -> SimpleNamespace:
        """Functions at an address, of which a caller knows as little as of those in a library that it has opened."""
        bare = type(ctypes.CDLL(None).abs)
        made = {}
        for name, (function, *types) in functions.items():
            made[name] = ctypes.CFUNCTYPE(ctypes.c_int, *types)(self.unless_broken(name, function))
        self.kept = [*getattr(self, "kept", []), *made.values()]
        addresses = {name: ctypes.cast(function, ctypes.c_void_p).value for name, function in made.items()}
        return SimpleNamespace(**{name: bare(address) for name, address in addresses.items()})

    def unless_broken(self, name: str, function: Callable[..., int]) -> Callable[..., int]:
        return lambda *given: 3 if self.broken == name else function(*given)

    def load(self, name: str) -> SimpleNamespace:
        return {"libcuda.so.1": self.cuda, "libnvidia-ml.so.1": self.nvml}[name]

    def start(self, *_: int) -> int:
        return 0

    def get(self, device: Any, ordinal: int) -> int:
        device[0] = ordinal + 10
        return 0

    def address(self, text: Any, length: int, device: int) -> int:
        written = ADDRESSES[device - 10] + b"\0"
        assert len(written) <= length
        ctypes.memmove(text, written, len(written))
        return 0

    def handle(self, address: bytes, handle: Any) -> int:
        handle[0] = HANDLES[address]
        return 0

    def rates(self, handle: int, used: Any) -> int:
        used[0], used[1] = self.busy[handle], 7
        return 0


def test_how_busy_a_gpu_is_comes_from_the_driver_and_is_of_the_gpu_that_cuda_means() -> None:
    driver = Nvidia()
    meters = [GpuMeter(ordinal, driver.load) for ordinal in (0, 1)]
    driver.busy = {HANDLES[ADDRESSES[0]]: 31, HANDLES[ADDRESSES[1]]: 87}
    assert [meter.read() for meter in meters] == [{"gpu_busy": 31}, {"gpu_busy": 87}]
    driver.busy[HANDLES[ADDRESSES[1]]] = 0
    assert meters[1].read() == {"gpu_busy": 0}


@pytest.mark.parametrize("broken", [*vars(Nvidia().cuda), *vars(Nvidia().nvml)])
def test_a_driver_that_does_not_tell_leaves_it_open(broken: str) -> None:
    driver = Nvidia()
    driver.broken = broken
    assert GpuMeter(0, driver.load).read() == {}


def test_an_old_driver_or_none_leaves_it_open() -> None:
    driver = Nvidia()
    del driver.nvml.nvmlInit_v2
    assert GpuMeter(0, driver.load).read() == {}
    assert GpuMeter(0, lambda name: ctypes.CDLL(f"no-{name}")).read() == {}


@pytest.mark.gpu
@pytest.mark.skipif(not cuda_count(), reason="needs an NVIDIA GPU")
def test_a_gpu_that_computes_is_busy() -> None:
    code = (
        "import time, torch; from tfbind.store.process import GpuMeter; meter = GpuMeter(0)\n"
        "square = torch.ones(4096, 4096, device='cuda'); end = time.monotonic() + 3\n"
        "while time.monotonic() < end: square @ square; torch.cuda.synchronize()\n"
        "print(meter.read()['gpu_busy'])"
    )
    busy = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert 50 < busy <= 100


@pytest.mark.parametrize(
    ("taken", "said"),
    [
        ({}, None),
        ({"cores": 1.94, "memory": 650_000_000}, "This run takes now: CPU 1.9 cores · memory 0.65 GB"),
        (
            {"cores": 1.0, "memory": 2_100_000_000, "gpu_memory": 1_200_000_000},
            "This run takes now: CPU 1.0 cores · memory 2.10 GB · GPU memory 1.20 GB",
        ),
        (
            {"cores": 1.0, "memory": 2_100_000_000, "gpu_memory": 1_200_000_000, "gpu_busy": 0},
            "This run takes now: CPU 1.0 cores · memory 2.10 GB · GPU memory 1.20 GB · GPU 0 % busy",
        ),
    ],
)
def test_what_a_running_job_takes_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: dict[str, float], said: str | None
) -> None:
    monkeypatch.setenv("TFBIND_HOME", str(tmp_path))
    run = make_run(tmp_path, "running", 2)
    report_progress(run, 3, 37)
    write_json(run.folder / runs.PROGRESS, read_json(run.folder / runs.PROGRESS) | taken)
    captions = [caption.value for caption in app(run.id).caption if "takes now" in caption.value]
    assert captions == ([said] if said else [])


def test_a_page_on_damaged_progress_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFBIND_HOME", str(tmp_path))
    run = make_run(tmp_path, "running", 2)
    report_progress(run, 3, 37)
    write_json(run.folder / runs.PROGRESS, read_json(run.folder / runs.PROGRESS) | {"num_epochs": 0})
    (error,) = app(run.id).error
    said = f"{run.folder / runs.PROGRESS}: num_epochs missing or of another kind; the file was damaged"
    assert error.value == plain(said)
