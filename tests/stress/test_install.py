"""The wheel: what is in it, and that it works without the checkout. Its packages are those of this environment."""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from driving import answer_at, free_port
from toy import toy_home

from ui.widgets.chart import install_plotly

PROJECT = Path(__file__).parents[2]
PARTS = {"tfbind": "tfbind", "ui": "tfbind/webapp/ui", "pages": "tfbind/webapp/pages"}
SECONDS = 120
PAGE = """
from streamlit.testing.v1 import AppTest
app = AppTest.from_file("app.py", default_timeout=60).run()
assert not app.exception, app.exception
print(*(error.value for error in app.error), sep="\\n")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
    return next(folder.glob("tfbind_studio-*.whl"))


@pytest.fixture(scope="module")
def site(wheel: Path) -> Path:
    """The wheel, unpacked."""
    folder = wheel.parent / "site"
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


@pytest.fixture(scope="module")
def script(site: Path) -> Path:
    """The command, as an installer makes it of what the wheel declares."""
    (info,) = importlib.metadata.distributions(path=[str(site)])
    (entry,) = info.entry_points
    path = site.parent / entry.name
    path.write_text(f"from {entry.module} import {entry.attr}\n{entry.attr}()\n")
    return path


@pytest.fixture
def environ(site: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of a user who has nothing yet."""
    ours = ("TFBIND_", "WANDB_", "PYTHON", "XDG_", "STREAMLIT_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"HOME": str(tmp_path), "PYTHONPATH": str(site), "WANDB_BASE_URL": "http://127.0.0.1:9"}


def tfbind(script: Path, environ: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(script), *words],
        cwd=environ["HOME"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def test_the_wheel_holds_the_package_and_the_app_inside_it_and_nothing_else(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    asked = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *PARTS]
    listed = subprocess.run(asked, cwd=PROJECT, check=True, capture_output=True, text=True).stdout.splitlines()
    there = [Path(path) for path in listed if (PROJECT / path).is_file()]
    expected = {f"{PARTS[path.parts[0]]}/{path.relative_to(path.parts[0]).as_posix()}" for path in there}
    others = {f"tfbind/webapp/{name}" for name in ("app.py", ".streamlit/config.toml", "static/.gitkeep")}
    assert names == expected | others
    assert {"tfbind/py.typed", "tfbind/runs/__init__.pyi", "tfbind/scoring/bundle_predict.txt"} <= names
    assert any(name.endswith(".safetensors") for name in names)


def test_the_command_names_itself_in_usage_and_refusals(script: Path, environ: dict[str, str]) -> None:
    shown = tfbind(script, environ, "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("usage: tfbind [-h] COMMAND")
    refused = tfbind(script, environ, "train", "--momentum", "3")
    assert refused.returncode == 2
    assert refused.stderr == "tfbind train: unrecognized arguments: --momentum 3; see `tfbind train --help`\n"


def test_doctor_knows_what_an_installed_copy_needs(script: Path, site: Path, environ: dict[str, str]) -> None:
    found = json.loads(tfbind(script, environ, "doctor", "--json").stdout)["findings"]
    said = {finding["subject"]: finding for finding in found}
    assert said["tfbind"]["said"].endswith(f" in {site / 'tfbind'}")
    assert said["home"]["said"].startswith(environ["HOME"])
    assert (said["packages"]["state"], said["packages"]["said"][:4]) == ("ok", "all ")


def test_doctor_says_what_is_wrong_with_the_packages_of_an_installed_copy(
    script: Path, site: Path, environ: dict[str, str]
) -> None:
    metadata = next(site.glob("*.dist-info")) / "METADATA"
    whole = metadata.read_text()
    metadata.write_text(whole.replace("Requires-Dist: numpy~=2.4", "Requires-Dist: numpy~=3.0"))
    try:
        wrong = of_packages(script, environ)
    finally:
        metadata.write_text(whole)
    assert wrong["said"].startswith("numpy 2.")
    assert wrong["said"].endswith(", wanted ~=3.0")
    assert wrong["remedy"] == "python -m pip install 'numpy~=3.0'"

    aside = metadata.parent.rename(site / "aside")
    try:
        unknown = of_packages(script, environ)
    finally:
        aside.rename(metadata.parent)
    assert unknown["state"] == "note"
    assert unknown["said"] == "tfbind-studio is not installed, so nothing says which versions fit"


def of_packages(script: Path, environ: dict[str, str]) -> dict[str, str]:
    """The one finding about packages."""
    found = json.loads(tfbind(script, environ, "doctor", "--json").stdout)["findings"]
    (finding,) = [finding for finding in found if finding["subject"] == "packages"]
    return finding


def test_an_installed_copy_trains_and_keeps_it_in_the_folder_of_the_user(
    script: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    toy_home(tmp_path)
    pair = ["--sequences", str(tmp_path / "toy_sequences.txt"), "--scores", str(tmp_path / "toy_scores.txt")]
    imported = json.loads(tfbind(script, environ, "data", "import", *pair, "--name", "small", "--json").stdout)
    words = ["--dataset", "small", "--preset", "quick", "--num-epochs", "1", "--device", "cpu", "--json"]
    trained = tfbind(script, environ, "train", *words)
    assert trained.returncode == 0, trained.stderr
    home = Path(imported["path"]).parents[1]
    assert home.is_relative_to(environ["HOME"])
    assert home.name == "tfbind"
    assert len(list((home / "runs").glob("*/best.safetensors"))) == 1


@pytest.fixture
def app(script: Path, environ: dict[str, str]) -> Iterator[str]:
    """The address of the app, until the test ends."""
    port = free_port()
    with Path(environ["HOME"], "log").open("wb") as log:
        command = [sys.executable, str(script), "ui", "--port", str(port)]
        server = subprocess.Popen(command, cwd=environ["HOME"], env=environ, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def test_ui_makes_the_data_and_starts_the_app_once(
    app: str, script: Path, site: Path, environ: dict[str, str]
) -> None:
    assert answer_at(f"{app}/_stcore/health") == "ok"
    install_plotly(site / "tfbind" / "webapp" / "static")  # as the first visit does
    assert "Plotly" in answer_at(f"{app}/app/static/plotly.min.js")[:500_000]
    assert len(list(Path(environ["HOME"]).glob("**/tfbind/data/builtin/meta.json"))) == 1
    again = tfbind(script, environ, "ui", "--port", app.rpartition(":")[2])
    said = f"tfbind: port {app[-5:].lstrip(':')} is in use, perhaps by this app"
    assert (again.returncode, again.stderr.startswith(said), again.stderr.count("\n")) == (2, True, 1)
    assert "; another one: tfbind ui --port " in again.stderr


def test_pages_find_all_they_import_and_say_what_keeps_live_charts_empty(site: Path, environ: dict[str, str]) -> None:
    webapp = site / "tfbind" / "webapp"
    command = [sys.executable, "-c", PAGE]
    sound = subprocess.run(command, cwd=webapp, env=environ, capture_output=True, text=True, timeout=SECONDS)
    assert (sound.returncode, sound.stdout.strip()) == (0, ""), sound.stderr
    plotly = webapp / "static" / "plotly.min.js"
    assert plotly.is_file()

    shutil.rmtree(plotly.parent)
    plotly.parent.touch()  # no folder can be made there, not by root either
    told = subprocess.run(command, cwd=webapp, env=environ, capture_output=True, text=True, timeout=SECONDS)
    assert told.returncode == 0, told.stderr
    (line,) = told.stdout.replace("\\", "").splitlines()  # Markdown's
    assert line.startswith("Live charts stay empty. ")
    assert str(plotly.parent) in line
