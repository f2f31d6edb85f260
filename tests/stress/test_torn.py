"""Torn and corrupted files of every kind that a home holds: whatever meets one says in one line which it is and what
is wrong with it, pages go on, and no other file changes."""

import io
import random
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml
from driven import APP, words
from life import SEED, as_read, contents, wait_until
from mutation import mutant, other_values
from streamlit.testing.v1 import AppTest
from toy import toy_config, toy_home

from tfbind import runs
from tfbind.__main__ import main
from tfbind.runs import launch
from tfbind.runs.worker import Worker
from tfbind.scoring import jobs, predict
from tfbind.scoring.model import load_model
from tfbind.store.process import this_process
from tfbind.store.schema import write_json
from tfbind.sweeps import sweep_folder
from tfbind.tracking import cache
from tfbind.tracking.logger import Logged
from ui.widgets import url_state

MUTANTS, PAGE_MUTANTS, FLIPS = 8, 3, 5
DNA = ">one\nACGTACGTACGTTGTTTACACGTT\n>two\nGGGTAAACAGGGTTTACGTACGTT\n"
JOB = "20260101-000000-00000"
QUERY = "0123456789abcdef"
CLOSED = "http://127.0.0.1:9"  # a port that nobody listens on

# What nobody can take for a file of its kind.
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda _: b"",
    "cut": lambda data: data[: len(data) // 2],
    "zeros": lambda data: bytes(len(data)),
    "swapped": lambda data: data[len(data) // 2 :] + data[: len(data) // 2],
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a file of every kind, each written by what writes it."""
    folder = tmp_path_factory.mktemp("whole")
    home = toy_home(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFBIND_HOME", str(home))
        tested = toy_config(num_epochs=4, test_split=0.2)
        done = launch.prepare(home, tested, launch.Order(id="whole")).create()
        assert Worker(done).work() == "finished"
        for command in (("test", "whole"), ("baselines", "--dataset", "toy", "--test-split", "0.2")):
            assert main(command) == 0
        write_json(done.folder / runs.FILTERS, {"filters": [], "windows": 10, "behind": None})
        stop = launch.prepare(home, tested, launch.Order(id="torn", parent=done)).create()
        Worker(stop, on_row=lambda row: row["epoch"] == 2 and runs.request_stop(stop)).work()
        logged = Logged(
            **asdict(this_process()), asked="online", mode="online", state="incomplete", base_url=CLOSED,
            id="torn", project="p", rows=1, error="the server does not answer",
        )  # fmt: skip
        write_json(stop.folder / runs.WANDB, asdict(logged))
        fixed = {name: {"value": value} for name, value in toy_config().model_dump(exclude_none=True).items()}
        spec = folder / "spec.yaml"
        spec.write_text(yaml.safe_dump({"method": "grid", "parameters": fixed | {"seed": {"values": [1, 2]}}}))
        assert main(["sweep", str(spec), "--id", "race"]) == 0
        assert main(["model", "import", str(done.folder / runs.BEST), "--name", "mine"]) == 0
        cache.keep_offline(cache.offline_project(home, "pulled"), dict(PULLED), list(PULLED_ROWS))
        cache.save_names(cache.offline_project(home, "pulled"), {"lr": "learning_rate"})
        (home / url_state.FOLDER).mkdir()
        (home / url_state.FOLDER / f"{QUERY}.txt").write_text(DNA)
        order = jobs.Order("dna.fa", "whole", ".csv", "forward", 3.0, True)
        job = jobs.submit(home, order, io.BytesIO(DNA.encode()), JOB)
        wait_until(lambda: jobs.read_status(job).state == "finished", 60)
    return home


PULLED = {
    "id": "p1",
    "project": "pulled",
    "name": "theirs",
    "state": "finished",
    "config": {"lr": 0.01, "batch_size": 8},
    "summary": {"val_loss": 0.5},
    "sweep": None,
    "group": "",
    "tags": ["t"],
    "note": "",
    "created": "2026-01-01T00:00:00Z",
}
PULLED_ROWS = [{"epoch": 1, "val_loss": 0.9}, {"epoch": 2, "val_loss": 0.5}]

COMMANDS = {
    "runs": "runs",
    "run": "runs torn",
    "repeat": "runs torn --command",
    "stop": "stop torn",
    "predict": "predict --model torn --data OUT/dna.fa --out OUT/p.csv --pad",
    "mine": "predict --model mine --data OUT/dna.fa --out OUT/q.csv --pad",
    "compare": "compare torn whole --out OUT/report.html",
    "pulled": "compare p1 whole",
    "export": "data export toy --to OUT",
    "motif": "data motif toy",
    "data": "data list",
    "leaks": "leaks --dataset toy",
    "test": "test whole",
    "baselines": "baselines --dataset toy --test-split 0.2",
    "sweeps": "sweep --list",
    "models": "model list",
    "disk": "disk",
    "doctor": "doctor",
}
WRITERS = {
    "resume": ("resume torn", "runs/torn/"),
    # A changed file may ask for another run, of the built-in data if it names none.
    "again": ("sweep --resume race", "sweeps/race/", "runs/2", "data/builtin/", "data/.lock", "baselines/"),
    "train": (f"train --dataset toy --id fresh {' '.join(launch.flags(toy_config(num_epochs=1)))}", "runs/fresh/"),
}
# Who cannot do without a file, and has to say so.
NEEDED = {
    f"runs/torn/{runs.CONFIG}": "runs run repeat predict compare resume doctor",
    f"runs/torn/{runs.STATE}": "run doctor",
    f"runs/torn/{runs.LABELS}": "runs run compare doctor",
    f"runs/torn/{runs.METRICS}": "",
    f"runs/torn/{runs.CHECKPOINT}": "resume",
    f"runs/torn/{runs.BEST}": "predict",
    f"runs/torn/{runs.VALIDATION}": "",
    f"runs/torn/{runs.INITIAL}": "resume",
    f"runs/torn/{runs.PROGRESS}": "",
    f"runs/torn/{runs.WANDB}": "run",
    f"runs/torn/{runs.LOG}": "",
    f"runs/whole/{runs.GRAPH}": "",
    f"runs/whole/{runs.TEST}": "test",
    f"runs/whole/{runs.FILTERS}": "",
    f"sweeps/race/{sweep_folder.SPEC}": "sweeps again doctor",
    f"sweeps/race/{sweep_folder.SETTINGS}": "sweeps again doctor",
    f"sweeps/race/{runs.STATE}": "doctor",
    "data/toy/meta.json": "export motif leaks baselines train resume doctor",
    "data/toy/names.npy": "export motif leaks baselines train resume doctor",
    "data/toy/codes.npy": "export motif leaks baselines train resume doctor",
    "data/toy/scores.npy": "export motif leaks baselines train resume doctor",
    "models/mine/card.json": "models",
    "models/mine/weights.safetensors": "mine",
    f"queries/{QUERY}.txt": "",
    f"jobs/{JOB}/job.json": "",
    f"jobs/{JOB}/process.json": "",
    f"jobs/{JOB}/printed.txt": "",
    "wandb/projects/*/project.json": "pulled",
    "wandb/projects/*/names.json": "pulled",
    "wandb/projects/*/histories/*.json": "pulled",
    "baselines/*.json": "baselines",
}


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


def run(command: str, out: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code of a command, and what it said."""
    shutil.rmtree(out)
    out.mkdir()
    (out / "dna.fa").write_text(DNA)
    capsys.readouterr()
    code = main([word.replace("OUT", str(out)) for word in command.split()])
    said = capsys.readouterr()
    assert len(said.err.splitlines()) <= 1 or not said.err.count("tfbind:"), f"{command}: {said.err}"
    return code, said.out + said.err


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
    name, valid = path.relative_to(home), path.read_bytes()
    commands = {**{key: (command,) for key, command in COMMANDS.items()}, **WRITERS}
    sound = {key: run(command, out, capsys)[0] for key, (command, *_) in commands.items()}
    damaged = {what: damage(valid) for what, damage in DAMAGES.items()}
    damaged |= {f"mutant {number}": mutant([valid], SEED, number) for number in range(MUTANTS)}
    wrong = []
    for number, (what, content) in enumerate(damaged.items(), 1):
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
    assert not wrong, "\n".join(wrong)


# The page on which a file is looked at, with what its address says; True where it has to name the file.
SHOWN = {
    f"runs/torn/{runs.CONFIG}": ("train", "run=torn", True),
    f"runs/torn/{runs.STATE}": ("train", "run=torn", True),
    f"runs/torn/{runs.LABELS}": ("train", "run=torn", True),
    f"runs/torn/{runs.METRICS}": ("train", "run=torn", False),
    f"runs/torn/{runs.PROGRESS}": ("train", "run=torn", False),
    f"runs/torn/{runs.BEST}": ("predict", "model=torn", False),
    f"runs/torn/{runs.VALIDATION}": ("train", "run=torn", True),
    f"runs/torn/{runs.WANDB}": ("train", "run=torn", True),
    f"runs/torn/{runs.LOG}": ("train", "run=torn", False),
    f"runs/whole/{runs.TEST}": ("train", "run=whole", True),
    f"runs/whole/{runs.FILTERS}": ("train", "run=whole", True),
    f"sweeps/race/{sweep_folder.SPEC}": ("sweep", "sweep=race", True),
    f"sweeps/race/{sweep_folder.SETTINGS}": ("sweep", "sweep=race", True),
    f"sweeps/race/{runs.STATE}": ("sweep", "sweep=race", True),
    "data/toy/meta.json": ("data", "data=toy", False),
    "data/toy/names.npy": ("data", "data=toy", True),
    "data/toy/codes.npy": ("data", "data=toy", True),
    "data/toy/scores.npy": ("data", "data=toy", True),
    "models/mine/card.json": ("predict", "", False),
    "models/mine/weights.safetensors": ("predict", "", False),
    f"queries/{QUERY}.txt": ("predict", f"q={QUERY}", False),
    f"jobs/{JOB}/job.json": ("predict", "", True),
    f"jobs/{JOB}/process.json": ("predict", "", True),
    f"jobs/{JOB}/printed.txt": ("predict", "", False),
    "wandb/projects/*/project.json": ("compare", "", True),
    "wandb/projects/*/names.json": ("compare", "", True),
    "wandb/projects/*/histories/*.json": ("compare", "", True),
    "baselines/*.json": ("train", "run=whole", True),
}


@pytest.mark.timeout(1200)
@pytest.mark.filterwarnings("ignore:Reading .* required additional header parsing")
@pytest.mark.parametrize("file", SHOWN)
def test_a_page_on_a_damaged_file_says_so_and_goes_on(
    file: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, address, named = SHOWN[file]
    (path,) = whole.glob(file)
    valid = path.read_bytes()
    damaged = {what: damage(valid) for what, damage in DAMAGES.items()}
    damaged |= {f"mutant {number}": mutant([valid], SEED, number) for number in range(PAGE_MUTANTS)}
    damaged |= dict(other_values(valid)) if path.suffix in (".json", ".jsonl") else {}
    wrong = []
    for number, (what, content) in enumerate(damaged.items()):
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
