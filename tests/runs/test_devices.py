"""Which devices there are, and slots that free themselves when their process dies."""

import ctypes
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tfbind.config import TrainConfig
from tfbind.runs import devices
from tfbind.store.process import cpu_cores

HOLD = (
    "import sys; from pathlib import Path; from tfbind.runs import devices\n"
    "with devices.slots(Path(sys.argv[1]), 'cpu', int(sys.argv[2])) as taken:\n"
    "    print(taken, flush=True); sys.stdin.read()"
)


def hold(home, threads) -> subprocess.Popen:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, home, str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() != "None\n"
    return child


def test_what_is_said_without_torch_is_what_torch_says():
    assert devices.cuda_count() == (torch.cuda.device_count() if torch.cuda.is_available() else 0)
    assert ("mps" in devices.available_devices()) == torch.backends.mps.is_available()
    assert devices.available_devices()[-1] == "cpu"


def driver(*, init: int = 0, gpus: int = 0) -> SimpleNamespace:
    """The driver of NVIDIA as a library of C."""

    def count(found: Any) -> int:
        found[0] = gpus
        return 0

    def words(_code: int, said: Any) -> int:
        said[0] = b"no CUDA-capable device is detected"
        return 0

    pointer = ctypes.POINTER
    return SimpleNamespace(
        cuInit=ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint)(lambda _: init),
        cuDeviceGetCount=ctypes.CFUNCTYPE(ctypes.c_int, pointer(ctypes.c_int))(count),
        cuGetErrorString=ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, pointer(ctypes.c_char_p))(words),
    )


def test_why_a_driver_shows_no_gpu_is_said_in_its_words():
    assert devices.driver_gpu_count(lambda _: driver(gpus=2)) == (2, "")
    assert devices.driver_gpu_count(lambda _: driver()) == (0, "NVIDIA's driver shows no GPU to this process")
    said = "NVIDIA's driver says: no CUDA-capable device is detected (CUDA error 100)"
    assert devices.driver_gpu_count(lambda _: driver(init=100, gpus=2)) == (0, said)
    missing = devices.driver_gpu_count(lambda name: ctypes.CDLL(f"no-{name}"))
    assert missing == (0, "NVIDIA's driver is not installed: there is no libcuda.so.1")


def test_auto_and_empty_become_definite():
    config = devices.resolve_device(TrainConfig())
    assert config.device == devices.available_devices()[0]
    assert config.threads == cpu_cores()
    assert devices.resolve_device(TrainConfig(device="cpu", threads=3)).threads == 3


def test_a_missing_device_is_said_not_guessed():
    missing = next(device for device in ("cuda", "mps") if device not in devices.available_devices())
    with pytest.raises(ValueError, match=f"--device {missing}: not on this machine; here: .*cpu"):
        devices.resolve_device(TrainConfig(device=missing))


def test_slots_count_threads_and_a_killed_holder_frees_them(tmp_path):
    cores = cpu_cores()
    holder = hold(tmp_path, 1)
    with devices.slots(tmp_path, "cpu", cores) as all_cores:
        assert all_cores is None
    with devices.slots(tmp_path, "cpu", 1) as one:
        assert (one is not None) == (cores > 1)
    holder.kill()
    holder.communicate()
    with devices.slots(tmp_path, "cpu", cores) as all_cores:
        assert all_cores == list(range(cores))


def test_more_threads_than_cores_take_all_cores(tmp_path):
    with devices.slots(tmp_path, "cpu", 10 * cpu_cores()) as taken:
        assert taken == list(range(cpu_cores()))


def test_a_vain_try_leaves_what_it_touched_free(tmp_path):
    holder = hold(tmp_path, 1)
    with devices.slots(tmp_path, "cpu", cpu_cores()) as taken:
        assert taken is None
    second = hold(tmp_path, 1) if cpu_cores() > 1 else None
    for child in filter(None, (holder, second)):
        child.communicate()


def test_slots_make_no_home_anew_that_was_moved(tmp_path):
    with pytest.raises(FileNotFoundError), devices.slots(tmp_path / "moved", "cpu", 1):
        pass
    assert list(tmp_path.iterdir()) == []


def test_devices_in_words():
    assert devices.describe_device("cpu", 1) == "CPU, 1 thread"
    assert devices.describe_device("cpu", 2) == "CPU, 2 threads"
    assert devices.describe_device("cuda", 2) == "CUDA"
