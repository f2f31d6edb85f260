"""What others wrote, printed by commands and put into reports: it steers no terminal and turns no line around."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from stand_in import make_run
from toy import toy_home
from wandb_server import ENTITY, StoredRun, WandbServer

from tfbind import runs
from tfbind.__main__ import main
from tfbind.cli.output import CLEARED, draw_status
from tfbind.store.schema import read_json, write_json
from tfbind.text import Visible, visible, visible_output

# Sets the clipboard, turns the line around, ends it, goes back to its begin, halves of a character and more.
HOSTILE = "a\x1b]52;c;aGk=\x07\x9b31m\u202eb\u2066\u200f\u061c\u2028\x7f\x85c\rd\x08"
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u061c\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
SPELLED = r"a\x1b]52;c;aGk=\x07\u009b31m\u202eb\u2066\u200f\u061c\u2028\u007f\u0085c\x0dd\x08"


class Told:
    """A command, in this process: its exit code and what it printed, all of which was looked at."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *words: str) -> str:
        try:
            self.code = main(words)
        except SystemExit as ended:
            self.code = int(str(ended.code))
        said = self.capsys.readouterr()
        text = said.out + said.err
        assert not STEERING.search(text), ascii(text)
        return text


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str], no_wandb: pytest.MonkeyPatch) -> Told:
    no_wandb.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody
    return Told(capsys)


def test_what_steers_is_spelled_out_and_the_rest_stays() -> None:
    assert visible(HOSTILE) == SPELLED
    assert visible("ä\n\tβ 🧬 \u200d") == "ä\n\tβ 🧬 \u200d"
    assert visible("\ud800\udcff") == r"\ud800\udcff"
    assert json.loads(visible(json.dumps(HOSTILE))) == HOSTILE


def test_the_programs_own_way_to_steer_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr("sys.stderr", terminal)
    with visible_output():
        draw_status(f"1 of 2 {CLEARED}")
    assert terminal.getvalue() == rf"{CLEARED}1 of 2 \x0d\x1b[K"


def test_bytes_of_a_path_go_to_a_pipe_as_they_are() -> None:
    behind = io.BytesIO()
    stream = io.TextIOWrapper(behind, "utf-8", errors="surrogateescape")
    print("\udcff\x1b", file=Visible(stream), flush=True)
    assert behind.getvalue() == b"\xff\\x1b\n"


def test_labels_errors_and_log_lines_of_a_run(home: Path, tell: Told) -> None:
    run = make_run(home, "failed", id="odd", error=HOSTILE)
    write_json(run.folder / runs.LABELS, {"name": HOSTILE, "tags": [HOSTILE], "note": HOSTILE})
    entry = {"time": "2026-05-01T10:00:00+00:00", "level": "ERROR", "message": HOSTILE, "exception": HOSTILE}
    (run.folder / runs.LOG).write_text(f"{json.dumps(entry)}\n{HOSTILE}\n", encoding="utf-8")
    assert SPELLED in tell("runs")
    shown = tell("runs", "odd")
    assert shown.count(r"\x1b]52;c;aGk=\x07") >= 4
    assert json.loads(tell("runs", "odd", "--json"))["name"] == HOSTILE
    tell("stop", "odd")
    tell("doctor")
    state = read_json(run.folder / runs.CONFIG)
    write_json(run.folder / runs.CONFIG, {**state, HOSTILE: 1, "learning_rate": HOSTILE})
    tell("runs", "odd")
    tell("compare", "odd")
    tell("resume", "odd")


@pytest.mark.usefixtures("home")
def test_names_in_pulled_runs_and_the_reports_on_them(
    tmp_path: Path, server: WandbServer, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        run = StoredRun(ENTITY, "odd", f"r{number}", f"{HOSTILE}{number}", {HOSTILE: {"value": number}})
        run.config["other"] = {"value": f"{HOSTILE}{number % 2}"}
        run.history = [{"epoch": 1, "val_loss": 1.0, "val_pearsonr": 0.5, HOSTILE: 1.0}]
        run.summary, run.state, run.tags, run.group = run.history[0], "finished", [HOSTILE], HOSTILE
        server.add(run)
    tell = Told(capsys)
    assert SPELLED in tell("pull", f"{ENTITY}/odd")
    keys = [one["id"] for one in json.loads(tell("pull", f"{ENTITY}/odd", "--json"))["runs"]]
    assert r"\x1b]52" in tell("compare", *keys)
    for suffix in ("html", "md", "csv"):
        out = tmp_path / f"report.{suffix}"
        assert tell("compare", *keys, "--out", str(out))
        assert tell.code == 0
        text = out.read_text(encoding="utf-8")
        text = text[text.index("<body>") :] if suffix == "html" else text
        assert not STEERING.search(text)
        assert r"\u202eb\u2066" in text
    table = list(csv.DictReader((tmp_path / "report.csv").read_text(encoding="utf-8").splitlines()))
    assert {row["name"][: len(SPELLED)] for row in table} == {SPELLED}
    assert tell("compare", "--table", str(tmp_path / "report.csv"))
    assert tell.code == 0
    tell("compare", *keys, "--metric", HOSTILE)
    tell("pull", f"{ENTITY}/{HOSTILE}")
    tell("pull", f"{ENTITY}/odd", "--map", f"{HOSTILE}={HOSTILE}")


def test_names_in_files_and_of_folders(home: Path, tmp_path: Path, tell: Told) -> None:
    toy_home(tmp_path)
    weights = tmp_path / f"{HOSTILE}.safetensors"
    save_file({HOSTILE: np.zeros(3, np.float32)}, weights)
    assert r"\x1b]52" in tell("model", "import", str(weights))
    assert tell.code == 2
    spec = tmp_path / "sweep.yaml"
    spec.write_text(json.dumps({"method": "grid", HOSTILE: 1, "parameters": {HOSTILE: {"values": [1]}}}))
    assert r"\x1b]52" in tell("sweep", str(spec))
    assert tell.code == 2
    offline = tmp_path / f"offline-run-{HOSTILE}"
    offline.mkdir()
    (offline / f"run-{HOSTILE}.wandb").write_bytes(b"no log")
    assert r"\x1b]52" in tell("pull", "--offline", str(offline))
    assert tell.code
    (home / "data" / HOSTILE).mkdir()
    tell("data", "list")
    assert r"\x1b]52" in tell("doctor")
    fasta = tmp_path / f"{HOSTILE}.fa"
    fasta.write_text(f">{HOSTILE}\nACGT\u202e\n")
    tell("predict", "--model", "builtin", "--data", str(fasta), "--out", str(tmp_path / f"{HOSTILE}.csv"))


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "words",
    [
        [HOSTILE],
        ["runs", f"--{HOSTILE}"],
        ["runs", HOSTILE],
        ["train", "--learning-rate", HOSTILE],
        ["train", "--preset", HOSTILE],
        ["train", "--name", HOSTILE],
        ["compare", HOSTILE, "--at", HOSTILE],
        ["compare", HOSTILE, "--out", HOSTILE],
        ["data", "delete", HOSTILE],
        ["predict", "--model", HOSTILE, "--data", HOSTILE, "--out", "x.csv"],
        ["pull", HOSTILE],
        ["sweep", HOSTILE],
    ],
    ids=lambda words: words[0] if words[0] != HOSTILE else "command",
)
def test_words_that_were_typed(words: list[str], tell: Told) -> None:
    said = tell(*words)
    assert tell.code == 2
    assert r"\x1b" in said
