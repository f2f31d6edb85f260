"""The Makefile where it can be tried without a network: a copy of it in an empty folder, with no requirement or one.

The child processes see no package index, so a pip that is called for a package fails.
"""

import os
import shutil
import socket
import subprocess
import sys
import tomllib
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.requirements import Requirement

PROJECT = Path(__file__).parents[1]


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`make WORDS` in a folder, as if nobody above had called make."""
    ours = ("MAKE", "MFLAGS", "PIP_", "VENV", "PORT", "PYTHON", "TORCH_INDEX")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    offline = {"PIP_INDEX_URL": f"file://{folder}/no-index", "PIP_CONFIG_FILE": os.devnull}
    return subprocess.run(
        ["make", *words], cwd=folder, env=environ | offline, capture_output=True, text=True, timeout=120
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(PROJECT / "Makefile", tmp_path)
    (tmp_path / "requirements.txt").write_text("# nothing\n")
    (tmp_path / "requirements-dev.txt").write_text("# nothing\n")
    return tmp_path


def publish(index: Path, name: str, *versions: str) -> None:
    """A package index of one empty package, laid out as pip reads it from a folder."""
    (index / name).mkdir(parents=True)
    files = [f"{name}-{version}-py3-none-any.whl" for version in versions]
    (index / name / "index.html").write_text("".join(f'<a href="{file}">{file}</a>' for file in files))
    for version, file in zip(versions, files, strict=True):
        info = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(index / name / file, "w") as archive:
            archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(
                f"{info}/RECORD", "".join(f"{info}/{part},,\n" for part in ("METADATA", "WHEEL", "RECORD"))
            )


def test_make_alone_lists_the_commands(folder: Path) -> None:
    shown = make(folder)
    assert shown.returncode == 0
    assert [line.split()[:2] for line in shown.stdout.splitlines()] == [
        ["make", name] for name in ("help", "setup", "run", "lint", "test", "audit", "stress")
    ]


def test_run_builds_the_data_and_then_starts_the_app_on_the_port(folder: Path) -> None:
    commands = make(folder, "-n", "run", "PORT=9123").stdout.splitlines()
    assert commands[-2].endswith("-m tfbind data build builtin")
    assert commands[-1].endswith("-m streamlit run app.py --server.port 9123 --browser.serverAddress localhost")


def test_test_checks_the_code_beside_the_tests(folder: Path) -> None:
    lint = make(folder, "-n", "lint").stdout.splitlines()
    assert [command.partition("bin/")[2] for command in lint[-5:]] == [
        "ruff check",
        "ruff format --check",
        "mypy",
        "bandit --quiet --configfile pyproject.toml --recursive tfbind ui pages app.py",
        "lint-imports",
    ]
    commands = make(folder, "-n", "test").stdout
    assert " lint > .venv/lint.log" in commands
    assert "python -m pytest -n 3 --dist worksteal" in commands


def test_what_is_locked_is_all_that_is_declared_and_torch_is_one_version_for_every_machine() -> None:
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = declared["optional-dependencies"]
    assert {"ray", "login", "dev"} == set(extras)
    for file, packages in {"": declared["dependencies"], **{f"-{extra}": extras[extra] for extra in extras}}.items():
        lines = (PROJECT / f"requirements{file}.txt").read_text().splitlines()
        pins = [Requirement(line.partition("#")[0]) for line in lines if line.partition("#")[0].strip()]
        versions = {pin.name.lower(): str(pin.specifier).removeprefix("==") for pin in pins}
        for package in map(Requirement, packages):
            assert package.specifier.contains(versions[package.name.lower()]), (file, package)
        assert [str(pin) for pin in pins if pin.name == "torch"] == ["torch==2.13.0"] * (not file)
        assert not [pin.name for pin in pins if pin.name.startswith(("nvidia", "cuda", "triton"))]


def test_lock_writes_every_file(folder: Path) -> None:
    commands = make(folder, "-n", "lock").stdout
    assert "--output-file requirements.txt" in commands
    assert "for extra in login ray dev; do" in commands


def test_audit_reads_every_file_that_a_user_may_install(folder: Path) -> None:
    words = make(folder, "-n", "audit").stdout.splitlines()[-1].split()
    read = {file for flag, file in pairwise(words) if flag == "--requirement"}
    assert read == {path.name for path in PROJECT.glob("requirements*.txt")} - {"requirements-dev.txt"}


def test_a_busy_port_is_one_line_that_says_what_to_type_and_nothing_is_installed(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        refused = make(folder, "run", f"PORT={port}")
    said, of_make = refused.stderr.splitlines()
    assert refused.returncode != 0
    assert f"Port {port} is in use" in said
    assert "make run PORT=" in said
    assert of_make.startswith("make: ***")
    assert not (folder / ".venv").exists()


@pytest.mark.parametrize("port", ["http", "80", "65536", "-1", ""])
def test_a_port_that_cannot_be_is_refused_in_one_line(folder: Path, port: str) -> None:
    refused = make(folder, "run", f"PORT={port}")
    said, _ = refused.stderr.splitlines()
    assert refused.returncode != 0
    assert said.startswith(f"PORT={port}: expected a number")


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 10, 20), (3, 14, 1)])
def test_a_python_for_which_there_are_no_packages_is_refused_in_one_line(
    folder: Path, version: tuple[int, int, int]
) -> None:
    other = folder / "other-python"
    other.write_text(f'#!/bin/sh\nexec {sys.executable} -c "import sys; sys.version_info = {version}; $2"\n')
    other.chmod(0o755)
    refused = make(folder, "setup", f"PYTHON={other}")
    said, _ = refused.stderr.splitlines()
    assert refused.returncode != 0
    assert said.startswith("Python 3.11, 3.12 or 3.13 is needed")
    assert not (folder / ".venv").exists()


@pytest.mark.slow
def test_pip_runs_when_the_requirements_changed_and_a_broken_install_starts_afresh(folder: Path) -> None:
    first = make(folder, "setup")
    assert first.returncode == 0, first.stderr
    assert "Installing requirements.txt" in first.stdout
    assert make(folder, "setup").stdout == ""

    (folder / "requirements.txt").write_text("no-such-package==1\n")
    failed = make(folder, "setup")
    assert failed.returncode != 0
    assert "no-such-package==1" in failed.stderr

    # As after a power cut: a file of the environment is torn, and the requirements can be met again.
    (folder / ".venv" / "bin" / "pip").unlink()
    shutil.rmtree(next(folder.glob(".venv/lib/python3*/site-packages/pip")))
    (folder / "requirements.txt").write_text("# nothing\n")
    assert make(folder, "setup").returncode == 0
    assert (folder / ".venv" / "bin" / "pip").exists()


def test_torch_comes_from_its_own_index_now_and_later(folder: Path) -> None:
    publish(folder / "cpu", "torch", "2.13.0+cpu", "2.14.0+cpu")
    (folder / "requirements.txt").write_text("torch==2.13.0  # a reason\n")
    installed = make(folder, "setup", f"TORCH_INDEX=file://{folder}/cpu")
    assert installed.returncode == 0, installed.stderr
    assert list(folder.glob(".venv/lib/python3*/site-packages/torch-2.13.0+cpu.dist-info"))

    (folder / "requirements.txt").write_text("torch==2.14.0\n")
    updated = make(folder, "setup")
    assert updated.returncode == 0, updated.stderr
    assert "Making" not in updated.stdout
    assert list(folder.glob(".venv/lib/python3*/site-packages/torch-2.14.0+cpu.dist-info"))
