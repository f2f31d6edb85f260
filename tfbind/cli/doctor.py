"""`doctor`: what is wrong with this installation and this home, and how to mend it. Nothing here changes anything."""

import argparse
import json
import os
import platform
import queue
import re
import shlex
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from http.client import HTTPException, InvalidURL, responses
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, Literal, TypeVar

import psutil
from packaging.requirements import Requirement

from tfbind import __version__, runs
from tfbind.cli.output import add_command
from tfbind.config import CHECKOUT, PACKAGE, PROJECT, home_folder
from tfbind.data import BUILTIN, list_datasets, open_validated
from tfbind.runs import devices, free_disk, size
from tfbind.store import cpu_cores, format_error, is_open_to_others, nearest_existing, why_unwritable
from tfbind.sweeps import Sweep, list_sweeps, read_spec
from tfbind.tracking import BASE_URL, KEY, URL

SECONDS = 5.0
PROXY_ASKS = 407  # for a password
AnyRun = TypeVar("AnyRun", bound=runs.Run)

DISTRIBUTION = "tfbind-studio"
INSTALL = "python -m pip install"
OPTIONAL = ("requirements-login.txt", "requirements-ray.txt")
EXTRAS = ("login", "ray")
LOW_DISK_BYTES = 1_000_000_000
MARKS = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}


def unreachable(url: str, seconds: float = SECONDS) -> str:
    """Why nobody answers at an address within so many seconds, "" if somebody does, if only to refuse."""
    if not re.match(r"https?://", url):
        return "no web address; expected one such as https://api.wandb.ai"
    answers: queue.SimpleQueue[str] = queue.SimpleQueue()
    # The limit of a request is for each of its steps, the name not among them: one byte a second would take minutes.
    threading.Thread(target=lambda: answers.put(_request(url, 2 * seconds)), daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except queue.Empty:
        return f"no answer within {seconds:g} s"


def _request(url: str, seconds: float) -> str:
    try:
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=seconds):  # http or https, as checked  # nosec B310
            return ""
    except urllib.error.HTTPError as error:
        down = error.code >= 500 or error.code == PROXY_ASKS
        return f"the answer is {error.code} {responses.get(error.code, '')}" if down else ""
    except (OSError, ValueError, InvalidURL) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        return format_error(reason if isinstance(reason, Exception) else Exception(reason))
    except HTTPException:
        return "the answer is not that of a web server"  # and may hold anything


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `remedy` says what to do where it is not `ok`."""

    subject: str
    state: Literal["ok", "note", "wrong"]
    said: str
    remedy: str = ""


def examine(home: Path) -> Iterator[Finding]:
    """Look at everything, one finding after the other. The last ones ask the network and may take seconds."""
    checks: list[Callable[[Path], Iterator[Finding]]] = [
        _program,
        _packages,
        _devices,
        _home,
        _disk,
        _runs,
        _sweeps,
        _data,
        _wandb,
    ]
    for check in checks:
        yield from check(home)


def _program(_home: Path) -> Iterator[Finding]:
    yield Finding("tfbind", "ok", f"{__version__} in {PROJECT if CHECKOUT else PACKAGE}")
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.platform(terse=True)}")


def _packages(_home: Path) -> Iterator[Finding]:
    try:
        needed, optional = _pinned() if CHECKOUT else _declared()
    except PackageNotFoundError:
        remedy = f"`{INSTALL} FOLDER` installs it from the folder of a checkout"
        yield Finding(
            "packages", "note", f"{DISTRIBUTION} is not installed, so nothing says which versions fit", remedy
        )
        return
    names = {package.name for package in needed}
    wrong = {"": _unfit(needed)}
    for key, packages in optional.items():
        wrong[key] = _unfit(package for package in packages if package.name not in names and _installed(package))
    for key, packages in wrong.items():
        if packages:
            yield Finding("packages", "wrong", "; ".join(map(_as_words, packages)), _remedy(key, packages))
    if not any(wrong.values()):
        yield Finding("packages", "ok", f"all {len(needed)} {'as pinned' if CHECKOUT else 'fit'}")


def _pinned() -> tuple[list[Requirement], dict[str, list[Requirement]]]:
    """The packages that a checkout needs, and those that it may have, by the file that pins them."""
    return _pins("requirements.txt"), {file: _pins(file) for file in OPTIONAL}


def _pins(file: str) -> list[Requirement]:
    lines = [line.partition("#")[0].strip() for line in (PROJECT / file).read_text().splitlines()]
    return [package for package in map(Requirement, filter(None, lines)) if _applies(package)]


def _declared() -> tuple[list[Requirement], dict[str, list[Requirement]]]:
    """The packages that an installed copy needs, and those that it may have, by the extra that names them."""
    packages = list(map(Requirement, requires(DISTRIBUTION) or []))
    needed = [package for package in packages if _applies(package)]
    rest = [package for package in packages if package not in needed]
    return needed, {extra: [package for package in rest if _applies(package, extra)] for extra in EXTRAS}


def _applies(package: Requirement, extra: str = "") -> bool:
    """Whether a requirement is one for this Python and machine, with this extra."""
    return package.marker is None or package.marker.evaluate({"extra": extra})


def _installed(package: Requirement) -> str:
    """The version that is there, "" if there is none."""
    try:
        return version(package.name)
    except PackageNotFoundError:
        return ""


def _unfit(packages: Iterable[Requirement]) -> list[Requirement]:
    return [package for package in packages if not _fits(package, _installed(package))]


def _fits(package: Requirement, installed: str) -> bool:
    return bool(installed) and package.specifier.contains(installed, prereleases=True)


def _as_words(package: Requirement) -> str:
    return f"{package.name} {_installed(package) or 'missing'}, wanted {str(package.specifier).removeprefix('==')}"


def _remedy(key: str, packages: list[Requirement]) -> str:
    """What brings the packages that are wrong, found in the file or extra `key`, to what is wanted."""
    if not CHECKOUT:
        return shlex.join([*INSTALL.split(), *(f"{package.name}{package.specifier}" for package in packages)])
    return f".venv/bin/pip install -r {key}" if key else "make setup"


def _devices(_home: Path) -> Iterator[Finding]:
    names = devices.available_devices()
    memory = psutil.virtual_memory().total
    message = f"{', '.join(names)}; {cpu_cores()} CPU cores, {size(memory)} of memory"
    yield Finding("devices", "ok", message)
    yield from unused_gpus(devices.torch_has_cuda(), *devices.driver_gpu_count())


def unused_gpus(with_cuda: bool, gpus: int, reason: str) -> Iterator[Finding]:
    """Why torch, built `with_cuda` or without, uses no GPU: the driver shows `gpus` of them, or none for `reason`."""
    if with_cuda and not gpus:
        remedy = "nothing to do where the CPU is to train; a GPU has to be listed by `nvidia-smi`, for this account"
        yield Finding("devices", "note", f"torch could use a GPU, but {reason}", remedy)
    elif gpus and not with_cuda:
        message = f"NVIDIA's driver shows {gpus} GPU{'s' if gpus > 1 else ''}, but torch is built without CUDA"
        command = "make setup TORCH_INDEX=" if CHECKOUT else f"{INSTALL} --force-reinstall torch --index-url "
        remedy = f"`{command}https://pypi.org/simple` takes a build with it"
        yield Finding("devices", "note", message, remedy)


def _home(home: Path) -> Iterator[Finding]:
    reason = why_unwritable(home)
    if reason:
        yield Finding("home", "wrong", reason, "set TFBIND_HOME to a folder that you may write to")
    else:
        yield Finding("home", "ok", f"{home}" if home.exists() else f"{home}: made at the first start")
    if is_open_to_others(home):
        message = f"{home}: other accounts of this machine may look into it, as into one that an older version made"
        yield Finding("home", "note", message, shlex.join(["chmod", "-R", "go=", str(home)]))


def _disk(home: Path) -> Iterator[Finding]:
    free = free_disk(home)
    low = free < LOW_DISK_BYTES
    remedy = "`python -m tfbind disk` shows what takes room here; `--empty-trash` and `--drop-checkpoints` make some"
    yield Finding("disk", "wrong" if low else "ok", f"{size(free)} free", remedy if low else "")
    entries = os.statvfs(nearest_existing(home))
    if entries.f_files and not entries.f_favail:  # some file systems have no such limit, and say 0 of 0
        message = "all inodes are taken: no more files can be made, and commands call the disk full whatever is free"
        yield Finding("disk", "wrong", message, remedy)


def _runs(home: Path) -> Iterator[Finding]:
    remedy = f"`resume` mends {runs.STATE} and {runs.METRICS}; restore the rest from a copy, or delete the folder"
    yield from _job_findings("runs", runs.list_runs(home), lambda run: runs.summary(run)["state"], "resume", remedy)


def _sweeps(home: Path) -> Iterator[Finding]:
    def state(sweep: Sweep) -> str:
        read_spec(sweep)
        return sweep.state

    remedy = f"`sweep --resume` mends {runs.STATE}; restore the rest from a copy, or delete the folder: the runs stay"
    yield from _job_findings("sweeps", list_sweeps(home), state, "sweep --resume", remedy)


def _job_findings(
    subject: str, jobs: Sequence[AnyRun], state: Callable[[AnyRun], str], resume: str, remedy: str
) -> Iterator[Finding]:
    states: dict[str, list[str]] = {}
    damaged = []
    for job in jobs:
        try:
            job.read_state()
            states.setdefault(state(job), []).append(job.id)
        except (ValueError, KeyError, OSError) as error:
            damaged.append(f"{job.id} ({format_error(error)})")
    counts = ", ".join(f"{len(ids)} {state}" for state, ids in sorted(states.items()))
    yield Finding(subject, "ok", counts or "none")
    if states.get("crashed"):
        ids = states["crashed"]
        yield Finding(subject, "note", f"crashed: {_first_three(ids)}", f"python -m tfbind {resume} {ids[0]}")
    if damaged:
        yield Finding(subject, "wrong", f"damaged: {_first_three(damaged)}", remedy)


def _data(home: Path) -> Iterator[Finding]:
    folder = home / "data"
    damaged = {}
    for path in filter(Path.is_dir, sorted(folder.glob("[!.]*")) if folder.is_dir() else ()):
        try:
            open_validated(home, path.name)
        except (ValueError, OSError) as error:
            damaged[path.name] = format_error(error)
    sound = ", ".join(entry["name"] for entry in list_datasets(home) if entry["name"] not in damaged)
    yield Finding("data sets", "ok", sound or f"none; `{BUILTIN}` is made when needed")
    for name, message in damaged.items():
        remedy = f"restore {folder / name} from a copy, or delete it and import or build the data again"
        yield Finding("data sets", "wrong", message, remedy)


def _first_three(words: list[str]) -> str:
    more = f" and {len(words) - 3} more" if len(words) > 3 else ""
    return "; ".join(words[:3]) + more


def _wandb(_home: Path) -> Iterator[Finding]:
    url = os.environ.get(URL) or BASE_URL
    reason = unreachable(url)
    if reason:
        remedy = f"only `--wandb online` and `pull` need it: look at the network, the proxy and {URL}"
        yield Finding("W&B", "note", f"{url}: {reason}", remedy)
    else:
        key = "a key in the environment" if os.environ.get(KEY) else "no key in the environment"
        yield Finding("W&B", "ok", f"{url} answers; {key}")


def add_doctor(commands: Any) -> None:
    """Add `doctor`."""
    add_command(commands, "doctor", doctor)


def doctor(options: argparse.Namespace) -> int:
    """Say what this installation and home are like, what is wrong, and how to mend it."""

    findings = []
    for finding in examine(home_folder()):
        findings.append(finding)
        if not options.json:
            print(f"{MARKS[finding.state]}  {finding.subject:10} {finding.said}", flush=True)
            if finding.remedy:
                print(f"{'':18}-> {finding.remedy}")
    if options.json:
        print(json.dumps({"findings": [asdict(finding) for finding in findings]}))
    return int(any(finding.state == "wrong" for finding in findings))
