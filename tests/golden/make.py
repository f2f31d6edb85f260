"""What the command line says today, to be held against what it says later. `python tests/golden/make.py` renews it.

What differs from call to call, and from machine to machine, is left out: of answers only names and kinds are kept.
"""

import argparse
import contextlib
import io
import json
import os
import re
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from tfbind import runs
from tfbind.__main__ import COMMANDS, _parser, main
from tfbind.config import TrainConfig
from tfbind.runs.launch import RunRequest, prepare
from tfbind.runs.worker import Worker
from tfbind.scoring import jobs

HERE = Path(__file__).parent
KEPT_HOME = HERE.parent / "corpus" / "home-0.1"  # made by version 0.1, and not to be renewed by a later one
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"  # argparse words its help and its refusals by version
WIDTH = "100"
TINY = {
    "dataset": "toy",
    "num_channels": 4,
    "num_res_blocks": 1,
    "batch_size": 8,
    "num_epochs": 4,
    "seed": 5,
    "device": "cpu",
    "threads": 1,
}
FLAGS = [word for field, value in TINY.items() for word in (f"--{field.replace('_', '-')}", str(value))]
SWEEP = "method: grid\nparameters:\n  learning_rate:\n    values: [0.01, 0.02]\n" + "".join(
    f"  {field}:\n    value: {value}\n" for field, value in (TINY | {"num_epochs": 2}).items()
)
HALF = 2  # epochs after which the run of the kept home was stopped
VCF = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\n"
DNA = "GCATCCGTAGCGCTCAGCTCGGATCCGATTGCACGGTGTTTACTTAGGATCTCAGGCTATCGCAGGCTCCATGCGCTACCGG"


def called(home: Path, *words: str) -> tuple[int, str, str]:
    """The exit code, standard output and standard error of a command, in this process."""
    out, error = io.StringIO(), io.StringIO()
    before = {name: os.environ.get(name) for name in ("TFBIND_HOME", "COLUMNS", "WANDB_SWEEP_ID")}
    os.environ.update({"TFBIND_HOME": str(home), "COLUMNS": WIDTH})
    os.environ.pop("WANDB_SWEEP_ID", None)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            try:
                code = main(words)
            except SystemExit as end:
                code = int(end.code or 0)
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
    return code, out.getvalue(), error.getvalue()


def commands() -> list[list[str]]:
    """Every command and subcommand, by its words."""

    def choices(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
        actions = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        return {name: inner for action in actions for name, inner in action.choices.items()}

    def below(parser: argparse.ArgumentParser, words: list[str]) -> Iterator[list[str]]:
        yield words
        for name, inner in choices(parser).items():
            yield from below(inner, [*words, name])

    # A command has its flags and actions in the parser that is made for it alone.
    return [[], *(words for name in COMMANDS for words in below(choices(_parser(name))[name], [name]))]


def helps() -> dict[str, str]:
    """The help of each command."""
    return {" ".join(words): called(Path(os.devnull), *words, "--help")[1] for words in commands()}


REFUSED = [
    "ui --port 80",
    "ui --port http",
    "ui --address lab",
    "train --num-epochs 0",
    "train --learning-rate fast",
    "train --device tpu",
    "train --preset none",
    "train --dataset none",
    "train --from none",
    "train --id WHOLE",
    "train --dataset toy --id whole",
    "train --wandb maybe",
    "runs none",
    "runs none --command",
    "stop none",
    "stop whole --grace soon",
    "resume none",
    "resume whole",
    "sweep",
    "sweep none.yaml",
    "sweep bad.yaml",
    "sweep good.yaml --parallel 0",
    "sweep --resume none",
    "sweep --retry none",
    "sweep --extend rates",
    "compare",
    "compare none",
    "compare --sweep none",
    "compare whole --metric none",
    "compare whole --goal up",
    "compare whole --out report.txt",
    "compare --table none.csv",
    "predict --model builtin --data none.fa --out p.csv",
    "predict --model none --data dna.fa --out p.csv",
    "predict --model builtin --data dna.fa --out p.txt",
    "predict --model builtin --data dna.fa --out p.csv --strand up",
    "predict --model builtin --data dna.fa --out p.csv --threshold high",
    "predict --model builtin --data bad.yaml --out p.csv",
    "predict --model builtin --data dna.fa --out dna.fa",
    "variants --model builtin --data none.vcf --fasta dna.fa --out e.tsv",
    "variants --model builtin --data v.vcf --fasta none.fa --out e.tsv",
    "variants --model builtin --data v.vcf --fasta dna.fa --out e.txt",
    "variants --model builtin --data dna.fa --fasta dna.fa --out e.tsv",
    "model",
    "model import none.pt",
    "model import bad.yaml",
    "model delete none",
    "bundle none --out folder",
    "bundle builtin --out folder",
    "data",
    "data import --sequences none.txt --scores none.txt --name new",
    "data check --sequences none.txt --scores none.txt",
    "data compare toy none",
    "data rename none other",
    "data delete none",
    "data export none",
    "data motif none",
    "data fetch none",
    "data build new",
    "data build new --genome none.fa --motif MA0148.5",
    "data build toy --genome dna.fa --motif none.motif",
    "disk extra",
    "doctor extra",
    "leaks --dataset none",
    "leaks --split none",
    "baselines --dataset none",
    "test none",
    "filters none",
    "filters whole extra",
    "test whole",
    "pull",
    "pull none",
    "pull --offline none",
    "nonsense",
    "",
]


def refusals(folder: Path) -> dict[str, list[Any]]:
    """The exit code and the last line on stderr of what is wrong, called in a folder of its own on the kept home."""
    home = kept_home(folder)
    asked = [line.split() for line in REFUSED] + [[*words, "--nonsense"] for words in commands() if words]
    found = {}
    with _inside(folder):
        _write_files()
        for words in asked:
            code, _, error = called(home, *words)
            found[" ".join(words)] = [code, _plain((error.splitlines() or [""])[-1], folder)]
    return found


def answers(folder: Path) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """The shape of each answer in JSON, and the files that commands have made, in a home that begins empty."""
    from toy import toy_home

    home, shapes = toy_home(folder), {}
    asked = [
        "data list",
        "data check --sequences toy_sequences.txt --scores toy_scores.txt",
        "data import --sequences toy_sequences.txt --scores toy_scores.txt --name other",
        "data rename other another",
        "data compare toy another",
        "data export another",
        "data motif toy",
        "data delete another",
        f"train --id one {' '.join(FLAGS)}",
        "sweep good.yaml --id two --parallel 2",
        "sweep --list",
        "runs",
        "runs one",
        "compare one",
        "compare --sweep two",
        "filters one",
        "leaks --dataset toy",
        "predict --model one --data dna.fa --out p.csv",
        "variants --model one --data v.vcf --fasta dna.fa --out e.tsv",
        "model import best.safetensors",
        "model list",
        "model delete best",
        "disk",
        "doctor",
    ]
    with _inside(folder):
        _write_files()
        for line in asked:
            if "best.safetensors" in line:
                shutil.copy(home / "runs" / "one" / runs.BEST, "best.safetensors")
            code, out, error = called(home, *line.split(), "--json")
            assert out, (line, error)
            shapes[line] = {"exit": code, "answer": shape(json.loads(out.splitlines()[-1]))}
        made = {"written by predict and variants": _names(folder, "[pe].*")}
    job = _predicted(home)
    places = {"run": home / "runs" / "one", "sweep": home / "sweeps" / "two", "data set": home / "data" / "toy"}
    return shapes, made | {name: _names(place) for name, place in (places | {"job": job}).items()}


def _predicted(home: Path) -> Path:
    """The folder of a finished job of the page."""
    id = "20260101-000000-00000"
    order = jobs.JobRequest("dna.fa", "one", ".csv", "forward", 3.0, False)
    os.environ["TFBIND_HOME"] = str(home)
    job = jobs.submit(home, order, io.BytesIO(f">dna\n{DNA}\n".encode()), id)
    deadline = time.monotonic() + 120
    while jobs.read_status(job).state == "running" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert jobs.read_status(job).state == "finished", jobs.read_status(job)
    return job.folder


def scored(folder: Path) -> list[float]:
    """What the whole run of the kept home makes of the first 20 bases of `DNA`."""
    home, data, out = kept_home(folder), folder / "dna.fa", folder / "p.tsv"
    data.write_text(f">dna\n{DNA[:20]}\n")
    code, _, error = called(home, "predict", "--model", "whole", "--data", str(data), "--out", str(out))
    assert not code, error
    lines = [line.split("\t") for line in out.read_text().splitlines() if not line.startswith("#")]
    return [float(line[3]) for line in lines[1:]]


def shape(value: Any) -> Any:
    """The names in an answer and the kinds of what they hold; a list is the shape of all that is in it."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in sorted(value.items())}
    if isinstance(value, list):
        return ["list of", *_distinct([shape(inner) for inner in value])]
    if isinstance(value, bool) or value is None:
        return "null" if value is None else "boolean"
    return "text" if isinstance(value, str) else "number"


def _distinct(shapes: list[Any]) -> list[Any]:
    known = {json.dumps(each, sort_keys=True): each for each in shapes}
    return [known[text] for text in sorted(known)]


def _names(folder: Path, pattern: str = "**/*") -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.glob(pattern) if path.is_file())


def _plain(line: str, folder: Path) -> str:
    """A line without what differs from call to call."""
    return re.sub(r"\d+(\.\d+)? (s|GB|MB|kB)\b", "<n> \\2", line.replace(str(folder), "<folder>"))


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    with contextlib.chdir(folder):
        yield


def _write_files() -> None:
    Path("dna.fa").write_text(f">dna\n{DNA}\n")
    Path("v.vcf").write_text(f"{VCF}dna\t41\t.\tT\tC\n")
    Path("good.yaml").write_text(SWEEP)
    Path("bad.yaml").write_text("method: guess\n")


def kept_home(folder: Path) -> Path:
    """A copy of the home that version 0.1 has left."""
    return Path(shutil.copytree(KEPT_HOME, folder / "kept"))


def make_home(folder: Path) -> None:
    """Make the kept home anew: a run, the same one stopped after `HALF` epochs, a sweep of two, and their data."""
    from toy import toy_home

    home = toy_home(folder)
    with _inside(folder):
        _write_files()
        assert called(home, "train", "--id", "whole", *FLAGS)[0] == 0
        half = prepare(home, TrainConfig(**TINY), RunRequest("half", "half", None, None, "off")).create()
        Worker(half, on_row=lambda row: half.request_stop() if row["epoch"] == HALF else None).work()
        assert called(home, "sweep", "good.yaml", "--id", "rates")[0] == 0
    shutil.rmtree(KEPT_HOME, ignore_errors=True)
    shutil.copytree(home, KEPT_HOME, ignore=shutil.ignore_patterns("cache", "*.lock", ".lock"))
    for path in [*KEPT_HOME.rglob("*.json"), *KEPT_HOME.rglob("*.txt")]:
        path.write_text(path.read_text().replace(f'"host": "{socket.gethostname()}"', '"host": "elsewhere"'))


def read(name: str) -> Any:
    """What is kept under this name."""
    return json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))


def main_of_make() -> None:
    """Renew all that is kept; the home only with `--home`, since it stands for what people have."""
    with tempfile.TemporaryDirectory() as folder:
        if "--home" in sys.argv or not KEPT_HOME.exists():
            (Path(folder) / "home").mkdir()
            make_home(Path(folder) / "home")
        for name in ("refused", "answered", "scored"):
            (Path(folder) / name).mkdir()
        shapes, files = answers(Path(folder) / "answered")
        kept = {
            "help": helps(),
            "refusals": refusals(Path(folder) / "refused"),
            "answers": shapes,
            "files": files,
            "scores": scored(Path(folder) / "scored"),
            "python": PYTHON,
        }
        for name, found in kept.items():
            text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
            (HERE / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main_of_make()
