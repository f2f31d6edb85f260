"""Torn and corrupted files of every kind that a home holds: whatever meets one says in one line which it is and what
is wrong with it, pages go on, and no other file changes.

What each JSON file may not hold, and that every command and page says so, is in tests/store/test_kept_files.py; here
a sample of values goes deeper, and so do files of other kinds.
"""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from driven import APP, words
from kept_home import CLOSED, COMMANDS, NEEDED, SHOWN, WRITERS, make_home, run
from life import SEED, as_read, contents
from mutation import mutant, other_values
from streamlit.testing.v1 import AppTest

from tfbind.scoring import predict
from tfbind.scoring.model import load_model

VALUES, MUTANTS, FLIPS = 8, 2, 5
SOUND = ("(0, 'runs', 'p1'): missing", "(0, 'runs', 'p1', 'id'): another")  # a project of W&B may have other runs

# What nobody can take for a file of its kind.
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda _: b"",
    "cut": lambda data: data[: len(data) // 2],
    "zeros": lambda data: bytes(len(data)),
    "swapped": lambda data: data[len(data) // 2 :] + data[: len(data) // 2],
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def home(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WANDB_BASE_URL", CLOSED)
    (tmp_path / "out").mkdir()
    return fresh(whole, tmp_path, 0, monkeypatch)


def fresh(whole: Path, folder: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the home, under a name of its own: what is remembered of another says nothing of it."""
    home = folder / f"home-{number}"
    shutil.copytree(whole, home)
    monkeypatch.setenv("TFBIND_HOME", str(home))
    return home


def kept(home: Path, *but: str) -> dict[str, bytes]:
    """Every file of a home but locks and what begins with one of these."""
    found = {path.relative_to(home).as_posix(): content for path, content in contents(home).items()}
    return {name: content for name, content in found.items() if not name.startswith(("locks/", "cache/", *but))}


def damages(path: Path) -> dict[str, bytes]:
    """A file of JSON with other values, a file of another kind torn, each also mutated."""
    valid = path.read_bytes()
    if path.suffix in (".json", ".jsonl"):
        values = [value for value in other_values(valid) if not value[0].startswith(SOUND)]
        found = dict(random.Random(SEED).sample(values, min(VALUES, len(values))))
    else:
        found = {what: damage(valid) for what, damage in DAMAGES.items()}
    return found | {f"mutant {number}": mutant([valid], SEED, number) for number in range(MUTANTS)}


@pytest.mark.timeout(1200)
@pytest.mark.filterwarnings("ignore:Reading .* required additional header parsing")
@pytest.mark.parametrize("file", NEEDED)
def test_a_damaged_file_is_named_and_no_other_changes(
    file: str,
    whole: Path,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    (path,) = home.glob(file)
    name = path.relative_to(home)
    every = {**{key: (command,) for key, command in COMMANDS.items()}, **WRITERS}
    needed = {"run", "doctor", *NEEDED[file].split()}
    # Those that write come last: what they start, such as a measurement of baselines, may write for a while.
    commands = {key: command for key, command in every.items() if key in needed}
    sound = {key: run(command, out, capsys)[0] for key, (command, *_) in commands.items()}
    wrong = []
    for number, (what, content) in enumerate(damages(path).items(), 1):
        home = fresh(whole, tmp_path, number, monkeypatch)
        (home / name).write_bytes(content)
        for key, (command, *own) in commands.items():
            before = kept(home, *own)
            try:
                code, said = run(command, out, capsys)
            except Exception as error:  # noqa: BLE001 - that none comes is what is tested
                wrong.append(f"{what}: {command}: {error!r}")
                continue
            if kept(home, *own) != before:
                wrong.append(f"{what}: {command}: changed")
            if code != sound[key] and name.name not in said:
                wrong.append(f"{what}: {command}: {code} not named {said[:300]}")
            if what in DAMAGES and key in NEEDED[file].split() and name.name not in said:
                wrong.append(f"{what}: {command}: {code} silent {said[:300]}")
    assert not wrong, f"seed {SEED}\n" + "\n".join(wrong)


@pytest.mark.timeout(1200)
@pytest.mark.filterwarnings("ignore:Reading .* required additional header parsing")
@pytest.mark.parametrize("file", SHOWN)
def test_a_page_on_a_damaged_file_says_so_and_goes_on(
    file: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, address, named = SHOWN[file]
    (path,) = whole.glob(file)
    wrong = []
    for number, (what, content) in enumerate(damages(path).items()):
        home = fresh(whole, tmp_path, number, monkeypatch)
        (home / path.relative_to(whole)).write_bytes(content)
        before = kept(home)
        shown = AppTest.from_file(APP, default_timeout=60)
        key, _, value = address.partition("=")
        if key:
            shown.query_params[key] = value
        shown.switch_page(f"pages/{page}.py").run()
        said = as_read(words(shown))
        wrong += [f"{what}: {error.message}" for error in shown.exception]
        wrong += [f"{what}: silent {said[:1000]}"] * (named and what in DAMAGES and path.name not in said)
        wrong += [f"{what}: changed"] * (kept(home) != before)
        shutil.rmtree(home)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("file", ["about.json", "codes.u8", "scores.f32", "changes.f32", "done.json"])
@pytest.mark.parametrize("damage", [*DAMAGES, "flipped"])
def test_damaged_parts_of_a_prediction_are_made_anew(
    file: str, damage: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prediction that was killed and whose parts were damaged then ends as one that was never disturbed."""

    def kill(stage: str, done: int, total: int) -> None:
        if stage == "scoring" and 0 < done < total:
            raise KeyboardInterrupt

    monkeypatch.setattr(predict, "GROUP", 2_000)
    model, data = load_model(whole, "whole"), tmp_path / "dna.fa"
    data.write_text("".join(f">{number}\n{'ACGTTGTTTACATTGC' * 100}\n" for number in range(4)))
    predict.predict_file(model, data, tmp_path / "whole.tsv")
    with pytest.raises(KeyboardInterrupt):
        predict.predict_file(model, data, tmp_path / "torn.tsv", on_progress=kill)
    path, killed = tmp_path / "torn.tsv.parts" / file, tmp_path / "killed"
    shutil.copytree(path.parent, killed)
    valid = path.read_bytes()
    for content in flipped(valid) if damage == "flipped" else [DAMAGES[damage](valid)]:
        shutil.copytree(killed, path.parent, dirs_exist_ok=True)
        path.write_bytes(content)
        predict.predict_file(model, data, tmp_path / "torn.tsv")
        assert (tmp_path / "torn.tsv").read_bytes() == (tmp_path / "whole.tsv").read_bytes(), f"seed {SEED}"


def flipped(content: bytes) -> list[bytes]:
    """A file with one bit flipped, at places drawn at random."""
    places = random.Random(SEED).sample(range(len(content)), FLIPS)
    return [content[:place] + bytes([content[place] ^ 8]) + content[place + 1 :] for place in places]
