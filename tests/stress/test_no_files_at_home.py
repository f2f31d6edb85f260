"""A FIFO in a home where a file belongs, or a file of a terabyte: no command waits for it, who needs it names it, and
pages go on. For files of JSON see tests/store/test_kept_files.py."""

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from driven import APP, words
from kept_home import COMMANDS, NEEDED, SHOWN, WRITERS, run
from life import as_read
from streamlit.testing.v1 import AppTest
from test_torn import fresh, home, whole

__all__ = ["home", "whole"]

SECONDS = 60.0


def grow(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


KINDS: dict[str, Callable[[Path], None]] = {"FIFO": os.mkfifo, "1 TB": grow}


@contextmanager
def awaited(seconds: float) -> Iterator[None]:
    """Break off what takes longer, also where it waits for a FIFO."""

    def give_up(*_: object) -> None:
        raise TimeoutError(f"not done within {seconds:.0f} s")

    before = signal.signal(signal.SIGUSR1, give_up)
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        signal.signal(signal.SIGUSR1, before)


def put(kind: str, path: Path) -> None:
    path.unlink()
    KINDS[kind](path)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("file", [file for file in NEEDED if not file.endswith(".json")])
def test_no_command_waits_for_a_fifo_and_who_needs_the_file_names_it(
    file: str,
    whole: Path,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (path,) = home.glob(file)
    name = path.relative_to(home)
    wrong = []
    commands = COMMANDS | {key: command for key, (command, *_) in WRITERS.items()}
    for number, (key, command) in enumerate(commands.items()):
        home = fresh(whole, tmp_path, number + 1, monkeypatch)
        put("FIFO", home / name)
        try:
            with awaited(SECONDS):
                code, said = run(command, tmp_path / "out", capsys)
            if key in NEEDED[file].split() and name.name not in said:
                wrong.append(f"{command}: {code} silent {said[:300]}")
        except Exception as error:  # noqa: BLE001 - that none comes is what is tested
            wrong.append(f"{command}: {error!r}")
        shutil.rmtree(home)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("file", [file for file in SHOWN if not file.endswith(".json")])
def test_a_page_goes_on(file: str, kind: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, address, _ = SHOWN[file]
    (path,) = whole.glob(file)
    home = fresh(whole, tmp_path, 0, monkeypatch)
    put(kind, home / path.relative_to(whole))
    shown = AppTest.from_file(APP, default_timeout=SECONDS)
    key, _, value = address.partition("=")
    if key:
        shown.query_params[key] = value
    shown.switch_page(f"pages/{page}.py").run()
    assert [error.message for error in shown.exception] == []
    assert as_read(words(shown))
