"""The command line as programs and people use it: real processes, exit codes, one line for each error."""

import json
import os
import pty
import shlex
import signal
import subprocess
import sys
import time

import pytest
from toy import toy_home

from tfbind import runs
from tfbind.config import PROJECT

TOY = ["--dataset", "toy", "--num-channels", "4", "--num-res-blocks", "1", "--num-epochs", "2", "--device", "cpu"]
SWEEP = str(PROJECT / "tfbind" / "sweeps" / "examples" / "seed_sweep.yaml")
TIMES = ("seconds", "windows_per_second")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return toy_home(tmp_path_factory.mktemp("cli"))


def tfbind(home, *words, **keywords) -> subprocess.CompletedProcess:
    environment = {**os.environ, "TFBIND_HOME": str(home)}
    command = [sys.executable, "-m", "tfbind", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, **keywords)


def answer(home, *words) -> dict:
    done = tfbind(home, *words, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout.splitlines()[-1])


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
    printed = tfbind(home, "runs", trained["id"], "--command").stdout.strip()
    assert printed.startswith("python -m tfbind train --dataset toy")
    again = answer(home, *shlex.split(printed)[3:])
    assert again["id"] != trained["id"]
    for first, second in zip(trained["rows"], again["rows"], strict=True):
        assert {key: first[key] for key in first if key not in TIMES} == {
            key: second[key] for key in second if key not in TIMES
        }


def test_a_run_for_people_is_readable(home):
    done = tfbind(home, "train", *TOY, "--name", "for people")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].endswith(": for people")
    assert lines[1].startswith("it takes one step an epoch, 2 in all (a batch of 64 holds all 40 training windows)")
    assert lines[2].startswith("epoch 1: train_loss ")
    assert lines[-1].startswith("finished; best epoch ")
    assert "for people" in tfbind(home, "runs").stdout


def test_lists_and_comparisons_go_on_past_what_is_damaged_and_name_it(tmp_path):
    home = toy_home(tmp_path)
    for id in ("sound", "torn"):
        assert tfbind(home, "train", *TOY, "--id", id).returncode == 0
    path = home / "runs" / "torn" / runs.METRICS
    path.write_text("not a row\n")
    listed = tfbind(home, "runs", "--json")
    assert [run["id"] for run in json.loads(listed.stdout)["runs"]] == ["sound"]
    assert (listed.returncode, listed.stderr) == (1, f"tfbind: {path}: a line is not JSON; the file was damaged\n")
    assert f"left out: {path}: " in tfbind(home, "compare", "sound").stderr
    asked = tfbind(home, "compare", "sound", "torn")
    assert asked.returncode == 2
    assert f"no run 'torn' here that can be read; {path}: " in asked.stderr


def test_a_terminal_gets_a_progress_bar(home):
    screen, terminal = pty.openpty()
    environment = {**os.environ, "TFBIND_HOME": str(home)}
    command = [sys.executable, "-m", "tfbind", "train", *TOY]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=terminal, env=environment, check=True)
    os.close(terminal)
    drawn = os.read(screen, 65536).decode()
    os.close(screen)
    assert "epoch 1/2" in drawn
    assert "·" in drawn
    assert b"\r" not in done.stdout


def test_a_reader_that_has_seen_enough_ends_a_list_in_silence_and_no_run(home, trained):
    def ended(*words: str) -> tuple[int, str]:
        """Exit code and errors of a command whose output nobody reads."""
        reader, writer = os.pipe()
        os.close(reader)
        environment = {**os.environ, "TFBIND_HOME": str(home)}
        command = [sys.executable, "-m", "tfbind", *words]
        with os.fdopen(writer, "w") as nobody:
            done = subprocess.run(command, stdout=nobody, stderr=subprocess.PIPE, text=True, env=environment)
        return done.returncode, done.stderr

    assert ended("runs", trained["id"]) == (1, "")
    assert ended("train", *TOY, "--id", "unread") == (1, "")
    run = runs.find(home, "unread")
    assert (runs.read_status(run).state, len(runs.read_rows(run))) == ("finished", 2)


def test_a_terminal_that_is_closed_ends_no_training_that_was_taken_off_it(home):
    """As after `disown`: no signal says so, but nothing can be written there any more."""
    screen, terminal = pty.openpty()
    environment = {**os.environ, "TFBIND_HOME": str(home)}
    command = [sys.executable, "-m", "tfbind", "train", *TOY, "--num-epochs", "40", "--id", "left"]
    with subprocess.Popen(command, stdout=terminal, stderr=terminal, env=environment, start_new_session=True):
        os.close(terminal)
        while b"epoch 1" not in os.read(screen, 65536):
            pass
        os.close(screen)
    run = runs.find(home, "left")
    assert (runs.read_status(run).state, len(runs.read_rows(run))) == ("finished", 40)


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
    environment = {**os.environ, "TFBIND_HOME": str(home)}
    command = [sys.executable, "-m", "tfbind", *words, "--id", f"early-{words[0]}"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as child:
        while not (made := list(home.glob(f"*/early-{words[0]}/{runs.STATE}"))):
            time.sleep(0.001)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)
    assert (child.returncode, runs.read_status(runs.Run(made[0].parent)).state) == (130, "killed")
    assert said in ("", "tfbind: interrupted\n")


def test_control_c_keeps_the_finished_epochs_and_says_how_to_go_on(home):
    environment = {**os.environ, "TFBIND_HOME": str(home)}
    command = [sys.executable, "-m", "tfbind", "train", *TOY, "--num-epochs", "10000", "--id", "interrupted"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    while not (home / "runs" / "interrupted" / runs.METRICS).exists():
        assert child.poll() is None
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (130, "")
    assert out.splitlines()[-1].endswith("`python -m tfbind resume interrupted` goes on")
    assert answer(home, "runs", "interrupted")["state"] == "killed"
    assert answer(home, "runs", "interrupted")["rows"]


def test_stop_ends_a_run_of_another_process(home):
    environment = {**os.environ, "TFBIND_HOME": str(home)}
    command = [sys.executable, "-m", "tfbind", "train", *TOY, "--num-epochs", "10000", "--id", "stopped", "--json"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    while not (home / "runs" / "stopped" / runs.METRICS).exists():
        assert child.poll() is None
        time.sleep(0.05)
    assert answer(home, "stop", "stopped") == {"id": "stopped", "state": "killed"}
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 130
    assert json.loads(out)["state"] == "killed"


def test_diverging_is_a_failure_with_one_line(home):
    done = tfbind(
        home,
        "train",
        *TOY,
        "--optimizer-type",
        "SGD",
        "--learning-rate",
        "10",
        "--norm",
        "batch",
        "--num-epochs",
        "90",
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "the steps were too large; try a learning_rate 3 to 10 times below 10" in done.stderr
    assert "resume would only repeat it" in done.stdout
    assert "with a lower --learning-rate" in done.stdout
    assert "goes on" not in done.stdout


def test_a_file_that_is_not_there_or_is_a_folder_is_named(home, tmp_path):
    here = home.parent / "toy_scores.txt"
    for given, why in [(tmp_path / "none.txt", "no such file or folder"), (tmp_path, "a folder; expected a file")]:
        done = tfbind(home, "data", "import", "--sequences", given, "--scores", here, "--name", "x")
        assert (done.returncode, done.stderr) == (2, f"tfbind: {given}: {why}\n")


def test_data_commands(home, tmp_path):
    folder = home.parent
    pair = ["--sequences", folder / "toy_sequences.txt", "--scores", folder / "toy_scores.txt"]
    assert [data["name"] for data in answer(home, "data", "list")["datasets"]] == ["toy"]
    assert set(answer(home, "data", "list")["datasets"][0]) == {"name", "windows", "length", "path"}
    assert answer(home, "data", "check", *pair)["windows"] == 50
    assert answer(tmp_path, "data", "list") == {"datasets": []}
    imported = answer(tmp_path, "data", "import", *pair, "--name", "copy")
    assert (imported["name"], imported["windows"], imported["length"]) == ("copy", 50, 20)
    assert [data["name"] for data in answer(tmp_path, "data", "list")["datasets"]] == ["copy"]


ERRORS = {
    "": "the following arguments are required: COMMAND",
    "tain": "invalid choice: 'tain'",
    "train --learning-rate fast": "learning_rate: 'fast' should be a valid number",
    "train --learning-rate": "expected one argument",
    "train --momentum 3": "unrecognized arguments: --momentum 3; see `python -m tfbind train --help`",
    "data list all": "unrecognized arguments: all; see `python -m tfbind data list --help`",
    "train --kernel-size 4": "kernel_size: '4' must be odd",
    "train --dataset nowhere": "data set 'nowhere': not found; there are: builtin, toy",
    "train --preset best": "invalid choice: 'best'",
    "predict --data x.fa --out x.bed --threshold nan": "argument --threshold: invalid number value: 'nan'",
    "train --from nobody": "no run 'nobody'",
    "train --dataset toy --id ../x": "run id '../x': expected",
    "train --dataset toy --id trained": "--id trained: that run exists already",
    "train --dataset toy --validation-split 0.01": "validation_split",
    "train --learn 0.1": "unrecognized arguments: --learn",
    "runs nobody": "no run 'nobody'",
    "runs --command": "--command: name the run",
    "stop nobody": "no run 'nobody'",
    "resume nobody": "no run 'nobody'",
    "data": "the following arguments are required: ACTION",
    "data import --sequences /nowhere --scores /nowhere --name x": "/nowhere",
    "data import --sequences /nowhere --name x": "--scores",
    "data build other": "expected `builtin`, or --genome FILE with --motif FILE|ID",
}


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("words", list(ERRORS))
def test_wrong_input_is_exit_code_2_and_one_line(home, words):
    before = runs.list_runs(home)
    done = tfbind(home, *shlex.split(words))
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert ERRORS[words] in done.stderr
    assert runs.list_runs(home) == before


def test_a_home_that_cannot_be_written_is_exit_code_1(tmp_path):
    (tmp_path / "file").write_text("")
    done = tfbind(tmp_path / "file", "data", "build", "builtin")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(("words", "of"), [("runs", "runs"), ("sweep --list", "sweeps"), ("data list", "data sets")])
def test_an_empty_list_says_so_and_of_which_home(tmp_path, words, of):
    done = tfbind(tmp_path, *words.split())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"no {of} in {tmp_path}")


def test_help_shows_every_hyperparameter_with_its_default(home):
    text = tfbind(home, "train", "--help").stdout
    assert "--first-kernel-size" in text
    assert "Default: 0.01." in text
    assert "4 % of the rate" in " ".join(text.split())


@pytest.mark.parametrize("words", [["runs"], ["stop", "trained"]])
@pytest.mark.usefixtures("trained")
def test_listing_and_stopping_do_not_load_torch(home, words):
    code = f"import sys; from tfbind.__main__ import main; main({words}); sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "TFBIND_HOME": str(home)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.DEVNULL)
    assert done.returncode == 0


def test_a_cluster_without_ray_installed_is_one_line_that_names_what_installs_it(home):
    code = "import sys; sys.modules['ray'] = None; from tfbind.__main__ import main; sys.exit(main(sys.argv[1:]))"
    for words in (["train", *TOY], ["predict", "--model", "builtin", "--data", "-", "--out", "p.csv"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *words, "--ray", "auto"],
            capture_output=True,
            text=True,
            input="ACGT\n",
            env={**os.environ, "TFBIND_HOME": str(home)},
            timeout=120,
        )
        said = "tfbind: --ray auto: Ray is not installed here; `pip install -r requirements-ray.txt` installs it\n"
        assert (done.returncode, done.stderr) == (2, said)
