"""Every JSON file of a home, whole and damaged: it is read by its model, and one line says what is wrong with it.

A file of each kind is damaged here once for all its readers; that commands and pages pass the line on is tried with
one damage of each file.
"""

import importlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from driven import APP, words
from kept_home import COMMANDS, NEEDED, SHOWN, make_home, run
from streamlit.testing.v1 import AppTest

from tfbind.config import PACKAGE
from tfbind.data.dataset import META
from tfbind.runs import folder as runs
from tfbind.scoring import jobs
from tfbind.store.schema import KEPT_FILES, DamagedFile, Facts, KeptFile
from tfbind.sweeps import sweep_folder

for module in PACKAGE.rglob("*.py"):
    if " = kept_file(" in module.read_text():
        importlib.import_module(".".join(module.relative_to(PACKAGE.parent).with_suffix("").parts))

OWNER = {"pid": 1, "process_started": 1.0, "host": "here", "heartbeat": 1.0}
MATCH = {"name": "FOXA1", "matrix_id": "MA0148.5", "e_value": 0.001, "strand": "+"}
PULLED = {"id": "p1", "name": "theirs", "state": "finished", "config": {"lr": 0.1}, "summary": {}, "tags": ["t"]}
PULLED |= {"sweep": None, "group": "", "created": None, "note": ""}
EXAMPLES: dict[str, dict[str, Any]] = {
    runs.CONFIG: {"created": "2026", "dataset": "toy", "from": None, "versions": {"torch": "2"}, "seed": 3},
    runs.STATE: {**OWNER, "state": "failed", "error": "no room", "reason": "disk full"},
    runs.LABELS: {"name": "first", "tags": ["a"], "note": ""},
    runs.PROGRESS: {
        "epoch": 2, "num_epochs": 3, "batches": 4, "batches_per_epoch": 5, "windows_per_second": 9.5,
        "seconds_left": None,
    },
    runs.TEST: {
        "opened": "2026", "windows": 40, "test_loss": 0.5, "test_pearsonr": None, "test_pearsonr_window": 0.9,
        "test_windows_undefined": 3, "split_hash": "0",
    },
    runs.FILTERS: {
        "filters": [
            {"number": 1, "words": 9, "windows": 4, "motif": [[0.1, 0.9]] * 4, "matches": [MATCH], "behind": 0.5}
        ],
        "windows": 40, "behind": None,
    },
    runs.WANDB: {
        **OWNER, "asked": "online", "mode": "online", "state": "finished", "base_url": "u", "id": "x", "project": "p",
    },
    sweep_folder.SETTINGS: {"name": "s", "base": {"seed": 1}, "parallel": None, "wandb": "off", "created": "2026"},
    META: {
        "format": 1, "created": "2026", "windows": 3, "length": 6, "hash": "0", "origin": {"kind": "pair"},
        "letters": dict.fromkeys("ACGTN", 1), "scored": 0.5, "coordinates": None, "notes": [],
    },
    "card.json": {
        "name": "mine", "source": "w.pt", "sha256": "0", "parameters": 5, "receptive_field": 15, "length": None,
        "imported": "2026",
    },
    "baselines/*.json": {
        "baselines": [{"key": "mean", "name": "Mean", "about": "", "val_loss": 0.5}],
        "leaks": {"windows": 50, "unplaced": 1, "pairs": []},
    },
    jobs.JOB: {
        "file": "dna.fa", "model": "builtin", "suffix": ".csv", "strand": "forward", "threshold": 3.0, "pad": False,
    },
    jobs.PROCESS: {"owner": OWNER, "printed": 0, "done": 0, "started": 1.0},
    jobs.FAILURE_NAME: {"place": "input", "detail": "no DNA"},
    "about.json": {"identity": {"model": "0"}, "records": [["a", 5, []]], "codes": 1, "crc32": 2},
    "done.json": {"bases": 3, "crc32": {"scores.f32": 1}},
    "project.json": {"path": "p", "base_url": "", "source": "offline", "scopes": {"": "2"}, "runs": {"p1": PULLED}},
    "names.json": {"lr": "learning_rate"},
    "histories/*.json": {"count": 2, "sampled": False, "columns": {"val_loss": [0.5, None], "grad": [1, "NaN"]}},
}  # fmt: skip
OPTIONAL = {"seed", "error", "reason", "val_loss"}
FILES = pytest.mark.parametrize("name", EXAMPLES)


@pytest.fixture
def path(tmp_path: Path, name: str) -> Path:
    """A whole file of this name."""
    path = tmp_path / name.replace("*", "0123")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(EXAMPLES[name]))
    return path


def refusal(name: str, path: Path) -> str:
    """What its reader says against a damaged file, behind its path."""
    with pytest.raises(DamagedFile) as caught:
        KEPT_FILES[name].read(path)
    said = str(caught.value)
    assert said.startswith(f"{path}: ")
    assert said.isprintable()
    assert len(said) < 1000
    return said.removeprefix(f"{path}: ")


def grow(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


NO_FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (lambda _: None, "the file is missing"),
    "folder": (Path.mkdir, "a folder; expected a file"),
    "FIFO": (os.mkfifo, "a FIFO, a socket or a device; expected a file"),
    "1 TB": (grow, "1,099,511,627,776 bytes; expected at most 268,435,456"),
    "empty": (Path.touch, "not JSON; the file was damaged"),
    "of another type": (lambda path: path.write_text("[1]") and None, "expected a JSON object"),
    "too deep": (lambda path: path.write_text("[" * 10**5) and None, "not JSON; the file was damaged"),
    "no number": (lambda path: path.write_text('{"a": NaN}') and None, "not JSON; the file was damaged"),
    "no text": (lambda path: path.write_bytes(b"\xff") and None, "not text in UTF-8; the file was damaged"),
}


def test_every_kept_file_has_an_example() -> None:
    assert set(EXAMPLES) == set(KEPT_FILES)


@FILES
def test_what_is_written_is_read(name: str, path: Path) -> None:
    file: KeptFile[Any] = KEPT_FILES[name]
    value = file.read(path)
    for write in (file.write, file.put):
        write(path, value)
        assert file.read(path) == value


@pytest.mark.timeout(60)  # a FIFO that is opened has its reader wait for good
@FILES
def test_what_is_no_json_object_is_said_in_one_line(name: str, path: Path) -> None:
    for make, said in NO_FILES.values():
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
        make(path)
        assert refusal(name, path) == said
    path.unlink()
    path.write_text(json.dumps(EXAMPLES[name])[:-3])
    assert refusal(name, path) == "not JSON; the file was damaged"


@FILES
def test_a_value_that_is_missing_or_of_another_kind_is_named(name: str, path: Path) -> None:
    for key, value in EXAMPLES[name].items():
        another: Any = 3 if isinstance(value, str) else "another"
        others: list[Any] = [[[1]], {"": []}, *([] if value is None else [another])]
        damaged = [{**EXAMPLES[name], key: other} for other in others if not isinstance(other, type(value))]
        if key not in OPTIONAL and name != "names.json":
            damaged.append({other: value for other, value in EXAMPLES[name].items() if other != key})
        for content in damaged if key != "seed" else []:
            path.write_text(json.dumps(content))
            expected = "not a data set of format 1" if key == "format" else f"{key} missing or of another kind"
            assert refusal(name, path).startswith(expected), content


@FILES
def test_a_key_that_is_not_known_is_named_or_passed_over(name: str, path: Path) -> None:
    content = {**EXAMPLES[name], "of_a_later_version": "x"}
    path.write_text(json.dumps(content))
    if issubclass(KEPT_FILES[name].model, Facts):
        assert KEPT_FILES[name].read(path) == content
    else:
        assert refusal(name, path) == "of_a_later_version missing or of another kind; the file was damaged"


def test_columns_of_one_curve_are_of_one_length(tmp_path: Path) -> None:
    path = tmp_path / "0123.json"
    path.write_text('{"count": 2, "sampled": false, "columns": {"a": [1], "b": [1, 2]}}')
    assert refusal("histories/*.json", path) == "columns of different lengths; the file was damaged"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def damaged(whole: Path, file: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file, cut, in a home that is whole again at the end."""
    monkeypatch.setenv("TFBIND_HOME", str(whole))
    (path,) = whole.glob(file)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    yield path
    path.write_bytes(content)


@pytest.mark.parametrize("file", [file for file in NEEDED if file.endswith(".json")])
def test_every_command_that_needs_a_file_says_what_is_wrong_with_it(
    file: str, damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for key in NEEDED[file].split():
        if key in COMMANDS:
            _, said = run(COMMANDS[key], tmp_path / "out", capsys)
            assert damaged.name in said, key


@pytest.mark.parametrize("file", [file for file, (_, _, named) in SHOWN.items() if named and file.endswith(".json")])
def test_every_page_that_shows_a_file_says_what_is_wrong_with_it(file: str, damaged: Path) -> None:
    page, address, _ = SHOWN[file]
    shown = AppTest.from_file(APP, default_timeout=60)
    key, _, value = address.partition("=")
    if key:
        shown.query_params[key] = value
    shown.switch_page(f"pages/{page}.py").run()
    assert [error.message for error in shown.exception] == []
    assert damaged.name in words(shown).replace("\\", "")
