"""The command line as programs and people use it: exit codes, one line for each error, signals and terminals."""

import io
import json
import os
import pty
import shlex
import signal
import subprocess
import sys
import time

import pytest
from golden.make import called
from toy import toy_home

from tfbind import runs
from tfbind.config import PROJECT

TOY = ["--dataset", "toy", "--num-channels", "4", "--num-res-blocks", "1", "--num-epochs", "2", "--device", "cpu"]
SWEEP = str(PROJECT / "tfbind" / "sweeps" / "examples" / "seed_sweep.yaml")
TIMES = ("seconds", "windows_per_second")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return toy_home(tmp_path_factory.mktemp("cli"))


def process(home, *words, **keywords) -> subprocess.Popen:
    """A command in a process of its own."""
    keywords = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **keywords}
    return subprocess.Popen(
        [sys.executable, "-m", "tfbind", *words], env={**os.environ, "TFBIND_HOME": str(home)}, **keywords
    )


def answer(home, *words) -> dict:
    code, out, err = called(home, *words, "--json")
    assert (code, err) == (0, "")
    return json.loads(out.splitlines()[-1])


def wait_for_rows(home, id: str, child: subprocess.Popen) -> None:
    while not (home / "runs" / id / runs.METRICS).exists():
        assert child.poll() is None
        time.sleep(0.05)


@pytest.fixture(scope="module")
def trained(home) -> dict:
    return answer(home, "train", *TOY, "--learning_rate=0.02", "--seed", "3", "--id", "trained")


def test_train_answers_with_the_run_and_its_best_epoch(trained):
    assert set(trained) == {"id", "state", "best_epoch", "val_loss", "val_pearsonr", "rows", "seconds"}
    assert (trained["state"], len(trained["rows"])) == ("finished", 2)
    best = min(trained["rows"], key=lambda row: row["val_loss"])
    assert [trained[key] for key in ("best_epoch", "val_loss", "val_pearsonr")] == [
        best[key] for key in ("epoch", "val_loss", "val_pearsonr")
    ]
    assert trained["seconds"] == pytest.approx(sum(row["seconds"] for row in trained["rows"]))
    assert {"epoch", "train_loss", "val_loss", "val_pearsonr"} <= set(trained["rows"][0])


def test_runs_lists_all_and_shows_one_with_its_rows(home, trained):
    listed = answer(home, "runs")["runs"]
    assert [run["state"] for run in listed if run["id"] == trained["id"]] == ["finished"]
    one = answer(home, "runs", trained["id"])
    assert one["rows"] == trained["rows"]
    assert (one["config"]["learning_rate"], one["config"]["seed"]) == (0.02, 3)


def test_the_printed_command_repeats_the_run(home, trained):
    printed = called(home, "runs", trained["id"], "--command")[1].strip()
    assert printed.startswith("python -m tfbind train --dataset toy")
    again = answer(home, *shlex.split(printed)[3:])
    assert again["id"] != trained["id"]
    for first, second in zip(trained["rows"], again["rows"], strict=True):
        assert {key: first[key] for key in first if key not in TIMES} == {
            key: second[key] for key in second if key not in TIMES
        }


def test_a_run_for_people_is_readable(home):
    code, out, _ = called(home, "train", *TOY, "--name", "for people")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].endswith(": for people")
    assert lines[1].startswith("it takes one step an epoch, 2 in all (a batch of 64 holds all 40 training windows)")
    assert lines[2].startswith("epoch 1: train_loss ")
    assert lines[-1].startswith("finished; best epoch ")
    assert "for people" in called(home, "runs")[1]


def test_lists_and_comparisons_go_on_past_what_is_damaged_and_name_it(tmp_path):
    home = toy_home(tmp_path)
    for id in ("sound", "torn"):
        assert called(home, "train", *TOY, "--id", id)[0] == 0
    path = home / "runs" / "torn" / runs.METRICS
    path.write_text("not a row\n")
    code, out, err = called(home, "runs", "--json")
    assert [run["id"] for run in json.loads(out)["runs"]] == ["sound"]
    assert (code, err) == (1, f"tfbind: {path}: a line is not JSON; the file was damaged\n")
    assert f"left out: {path}: " in called(home, "compare", "sound")[2]
    code, _, err = called(home, "compare", "sound", "torn")
    assert code == 2
    assert f"no run 'torn' here that can be read; {path}: " in err


def test_a_terminal_gets_a_progress_bar(home):
    screen, terminal = pty.openpty()
    out, _ = process(home, "train", *TOY, stderr=terminal).communicate(timeout=120)
    os.close(terminal)
    drawn = os.read(screen, 65536).decode()
    os.close(screen)
    assert "epoch 1/2" in drawn
    assert "·" in drawn
    assert "\r" not in out


def test_a_reader_that_has_seen_enough_ends_a_list_in_silence_and_no_run(home, trained):
    def ended(*words: str) -> tuple[int, str]:
        """Exit code and errors of a command whose output nobody reads."""
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "w") as nobody, process(home, *words, stdout=nobody) as child:
            _, err = child.communicate()
        return child.returncode, err

    assert ended("runs", trained["id"]) == (1, "")
    assert ended("train", *TOY, "--id", "unread") == (1, "")
    run = runs.find(home, "unread")
    assert (run.state, len(runs.read_rows(run))) == ("finished", 2)


@pytest.mark.slow
def test_a_terminal_that_is_closed_ends_no_training_that_was_taken_off_it(home):
    """As after `disown`: no signal says so, but nothing can be written there any more."""
    screen, terminal = pty.openpty()
    words = ("train", *TOY, "--num-epochs", "40", "--id", "left")
    with process(home, *words, stdout=terminal, stderr=terminal, start_new_session=True):
        os.close(terminal)
        while b"epoch 1" not in os.read(screen, 65536):
            pass
        os.close(screen)
    run = runs.find(home, "left")
    assert (run.state, len(runs.read_rows(run))) == ("finished", 40)


def test_a_command_that_is_interrupted_while_it_is_still_loaded_says_so_in_a_line():
    command = [sys.executable, "-X", "importtime", "-m", "tfbind", "runs"]
    code, said = 0, []
    while code == 0:  # it was done before it heard
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as child:
            assert child.stderr
            for line in child.stderr:
                if "numpy" in line:  # the first part of it is there
                    break
            child.send_signal(signal.SIGINT)
            said = [line for line in child.stderr if not line.startswith("import time:")]
        code = child.returncode
    assert (code, said) == (130, ["tfbind: interrupted\n"])


@pytest.mark.parametrize("words", [("train", *TOY), ("sweep", SWEEP, "--dataset", "toy")])
def test_control_c_before_the_first_step_is_a_stop_and_no_crash(home, words):
    with process(home, *words, "--id", f"early-{words[0]}") as child:
        while not (made := list(home.glob(f"*/early-{words[0]}/{runs.STATE}"))):
            time.sleep(0.001)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)
    assert (child.returncode, runs.Run(made[0].parent).state) == (130, "killed")
    assert said in ("", "tfbind: interrupted\n")


@pytest.mark.slow
def test_control_c_keeps_the_finished_epochs_and_says_how_to_go_on(home):
    child = process(home, "train", *TOY, "--num-epochs", "10000", "--id", "interrupted")
    wait_for_rows(home, "interrupted", child)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (130, "")
    assert out.splitlines()[-1].endswith("`python -m tfbind resume interrupted` goes on")
    assert answer(home, "runs", "interrupted")["state"] == "killed"
    assert answer(home, "runs", "interrupted")["rows"]


def test_stop_ends_a_run_of_another_process(home):
    child = process(home, "train", *TOY, "--num-epochs", "10000", "--id", "stopped", "--json")
    wait_for_rows(home, "stopped", child)
    said, _ = process(home, "stop", "stopped", "--json").communicate(timeout=60)
    assert json.loads(said) == {"id": "stopped", "state": "killed"}
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 130
    assert json.loads(out)["state"] == "killed"


def test_diverging_is_a_failure_with_one_line(home):
    flags = "--optimizer-type SGD --learning-rate 10 --norm batch --num-epochs 90"
    code, out, err = called(home, "train", *TOY, *flags.split())
    assert (code, len(err.splitlines())) == (1, 1)
    assert "the steps were too large; try a learning_rate 3 to 10 times below 10" in err
    assert "resume would only repeat it" in out
    assert "with a lower --learning-rate" in out
    assert "goes on" not in out


def test_a_file_that_is_not_there_or_is_a_folder_is_named(home, tmp_path):
    scores = str(home.parent / "toy_scores.txt")
    for path, why in [(tmp_path / "none.txt", "no such file or folder"), (tmp_path, "a folder; expected a file")]:
        words = ("data", "import", "--sequences", str(path), "--scores", scores, "--name", "x")
        assert called(home, *words) == (2, "", f"tfbind: {path}: {why}\n")


def test_data_commands(home, tmp_path):
    folder = home.parent
    pair = ["--sequences", f"{folder}/toy_sequences.txt", "--scores", f"{folder}/toy_scores.txt"]
    assert [data["name"] for data in answer(home, "data", "list")["datasets"]] == ["toy"]
    assert set(answer(home, "data", "list")["datasets"][0]) == {"name", "windows", "length", "path"}
    assert answer(home, "data", "check", *pair)["windows"] == 50
    assert answer(tmp_path, "data", "list") == {"datasets": []}
    imported = answer(tmp_path, "data", "import", *pair, "--name", "copy")
    assert (imported["name"], imported["windows"], imported["length"]) == ("copy", 50, 20)
    assert [data["name"] for data in answer(tmp_path, "data", "list")["datasets"]] == ["copy"]


ERRORS = {  # others are among those of tests/golden
    "": "the following arguments are required: COMMAND",
    "train --learning-rate": "expected one argument",
    "train --momentum 3": "unrecognized arguments: --momentum 3; see `python -m tfbind train --help`",
    "train --learn 0.1": "unrecognized arguments: --learn",
    "train --kernel-size 4": "kernel_size: '4' must be odd",
    "train --dataset toy --id trained": "--id trained: that run exists already",
    "train --dataset toy --validation-split 0.01": "validation_split",
    "predict --data x.fa --out x.bed --threshold nan": "argument --threshold: invalid number value: 'nan'",
    "runs --command": "--command: name the run",
    "data import --sequences /nowhere --name x": "--scores",
}


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("words", list(ERRORS))
def test_wrong_input_is_exit_code_2_and_one_line(home, words):
    before = runs.list_runs(home)
    code, out, err = called(home, *words.split())
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert ERRORS[words] in err
    assert runs.list_runs(home) == before


def test_a_home_that_cannot_be_written_is_exit_code_1(tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = called(tmp_path / "file", "data", "build", "builtin")
    assert (code, len(err.splitlines())) == (1, 1)


@pytest.mark.parametrize(("words", "of"), [("runs", "runs"), ("sweep --list", "sweeps"), ("data list", "data sets")])
def test_an_empty_list_says_so_and_of_which_home(tmp_path, words, of):
    code, out, err = called(tmp_path, *words.split())
    assert (code, err) == (0, "")
    assert out.startswith(f"no {of} in {tmp_path}")


def test_help_shows_every_hyperparameter_with_its_default(home):
    text = called(home, "train", "--help")[1]
    assert "--first-kernel-size" in text
    assert "Default: 0.01." in text
    assert "4 % of the rate" in " ".join(text.split())


@pytest.mark.usefixtures("trained")
def test_listing_and_stopping_do_not_load_torch(home):
    code = "import sys; from tfbind.__main__ import main; main(['runs']); main(['stop', 'trained'])"
    environment = {**os.environ, "TFBIND_HOME": str(home)}
    command = [sys.executable, "-c", f"{code}; sys.exit('torch' in sys.modules)"]
    assert subprocess.run(command, env=environment, capture_output=True).returncode == 0


def test_a_cluster_without_ray_installed_is_one_line_that_names_what_installs_it(home, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"ACGT\n")))
    said = "tfbind: --ray auto: Ray is not installed here; `pip install -r requirements-ray.txt` installs it\n"
    for words in (["train", *TOY], ["predict", "--model", "builtin", "--data", "-", "--out", "p.csv"]):
        assert called(home, *words, "--ray", "auto") == (2, "", said)
