"""Bundles: a program of its own that predicts what the command line predicts."""

import gzip
import importlib.util
import signal
import subprocess
import sys
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import torch
from deeplift import calls_of_relus, contributions
from scorers import LENGTH, keep, network
from stand_in import make_rows

from tfbind import runs
from tfbind.__main__ import main
from tfbind.config import PRESETS, TrainConfig
from tfbind.scoring import bundle
from tfbind.scoring.model import load_model

CONFIGS = {
    "layer": TrainConfig(num_channels=6, num_res_blocks=2),
    "batch": PRESETS["quick"].model_copy(update={"num_channels": 6}),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("bundled") / "home"
    for name, config in CONFIGS.items():
        run = keep(home, name, config)
        runs.append_row(run, make_rows(1)[0])
    return home


@pytest.fixture(scope="module")
def bundles(home):
    """The bundles of both runs, each beside the home."""
    return {name: bundle.export_bundle(home, name, home.parent / name) for name in CONFIGS}


@pytest.mark.slow
def test_the_program_predicts_the_table_that_the_command_line_writes(home, bundles, tmp_path, monkeypatch):
    monkeypatch.setenv("TFBIND_HOME", str(home))
    rng = np.random.default_rng(3)
    rows = [f"chr22_{i}\t{''.join(rng.choice(list('ACGTNacgt'), LENGTH))}\t{i}\n" for i in (30, 10, 20)]
    data = tmp_path / "chr22_sequences.txt.gz"
    data.write_bytes(gzip.compress("".join(["window_name\tsequence\tx\n", *rows]).encode()))
    program = [sys.executable, "-I", str(bundles["layer"].out / "predict.py")]
    done = subprocess.run([*program, "--data", str(data)], cwd=tmp_path, env={}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    theirs = pd.read_csv(tmp_path / "predictions.csv", index_col="window_name")
    assert main(["predict", "--model", "layer", "--data", str(data), "--out", str(tmp_path / "p.csv")]) == 0
    ours = pd.read_csv(tmp_path / "p.csv", index_col="window_name")
    assert theirs.index.tolist() == ours.index.tolist() == ["chr22_30", "chr22_10", "chr22_20"]
    assert theirs.columns.tolist() == ours.columns.tolist()
    assert np.abs(theirs.to_numpy() - ours.to_numpy()).max() < 1e-5


def test_whoever_imports_the_weights_of_a_bundle_has_the_same_model(home, bundles):
    assert load_model(home, str(bundles["batch"].out / "model_weights.pt")).hash == bundles["batch"].hash


@pytest.mark.parametrize("name", CONFIGS)
def test_a_bundle_holds_weights_program_and_readme(home, bundles, name):
    made = bundles[name]
    assert sorted(path.name for path in made.out.iterdir()) == ["README.md", "model_weights.pt", "predict.py"]
    assert made.difference < 1e-5
    assert made.hash == load_model(home, name).hash
    weights = torch.load(made.out / "model_weights.pt", weights_only=True)
    assert all(torch.equal(weights[key], value) for key, value in network(CONFIGS[name]).state_dict().items())
    readme = (made.out / "README.md").read_text()
    paragraphs = readme.split("\n\n")
    assert len(set(paragraphs)) == len(paragraphs)
    assert '"val_pearsonr": 0.3' in readme
    assert ("attribute does not add up" if name == "layer" else "adds up to the difference of two scores") in readme
    assert "tfbind" not in (made.out / "predict.py").read_text()
    rules = ["--isolated", "--line-length", "118"]
    for words in (["check", *rules, "--select", "E,F,W,I,N"], ["format", "--check", *rules]):
        done = subprocess.run([sys.executable, "-m", "ruff", *words, made.out / "predict.py"], capture_output=True)
        assert done.returncode == 0, done.stdout


def test_a_program_that_predicts_something_else_is_not_handed_out(home, bundles):
    keep(home, "other", CONFIGS["layer"], seed=1)
    with pytest.raises(OSError, match=r"differs by .* from our scores; allowed:"):
        bundle.check(bundles["layer"].out / "predict.py", load_model(home, "other"))


def program_of(made: bundle.Bundle) -> ModuleType:
    """The program of a bundle, as who imports it has it."""
    spec = importlib.util.spec_from_file_location("handed_out", made.out / "predict.py")
    assert spec is not None
    assert spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    return program


@pytest.mark.parametrize("name", CONFIGS)
def test_tools_that_hook_activations_find_each_once_in_the_program(bundles, name):
    program = program_of(bundles[name])
    model = program.BindingPredictorCNN()
    model.load_state_dict(torch.load(program.WEIGHTS, weights_only=True))
    model.eval()
    random = torch.Generator().manual_seed(1)
    letters = torch.randint(0, 4, (2, 3, LENGTH), generator=random)
    X, baseline = torch.nn.functional.one_hot(letters, 4).mT.float()
    assert calls_of_relus(model, X) == [1] * (1 + 2 * CONFIGS[name].num_res_blocks)
    if name == "batch":  # a norm over the window has slopes of its own
        with torch.inference_mode():
            difference = (model(X) - model(baseline))[:, LENGTH // 2]
        assert difference.abs().min() > 0.01
        found = contributions(model, X, baseline, LENGTH // 2).sum(1)
        assert torch.allclose(found, difference, atol=1e-5)


def test_the_program_says_what_is_wrong_with_a_table(bundles, tmp_path):
    program = program_of(bundles["layer"])
    (tmp_path / "names.txt").write_text("window_name\na\n")
    with pytest.raises(ValueError, match="no column sequence"):
        program.read_windows(tmp_path / "names.txt")
    for sequences, said in (
        ([], "no windows"),
        (["A" * 39], "window a: 39 letters; expected 40"),
        (["A" * 39 + "J"], "window a: letter 'J'; allowed: A C G T N"),
    ):
        with pytest.raises(ValueError, match=said):
            program.check(["a"] * len(sequences), sequences)


def test_what_cannot_be_bundled_or_is_there_already_ends_in_one_line(home, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TFBIND_HOME", str(home))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    before = sorted(tmp_path.rglob("*"))
    for words, said in (
        (["batch", "--out", tmp_path / "full"], "exists already and is not overwritten"),
        (["batch", "--out", tmp_path / "full" / "mine"], "exists already and is not overwritten"),
        (["batch", "--out", tmp_path / "none" / "b"], "expected a folder inside one that exists"),
        (["builtin", "--out", tmp_path / "b"], "an average of several networks"),
        (["batch,layer", "--out", tmp_path / "b"], "an average of several networks"),
        (["nobody", "--out", tmp_path / "b"], "expected builtin, the id of a run"),
    ):
        assert main(["bundle", *map(str, words)]) == 2
        said_so = capsys.readouterr()
        assert (said_so.out, said_so.err.count("\n")) == ("", 1)
        assert said in said_so.err
    assert sorted(tmp_path.rglob("*")) == before


KILLED_IN_THE_CHECK = """
import os, pathlib, signal, sys
from tfbind.scoring import bundle
bundle.score_windows = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
bundle.export_bundle(pathlib.Path(sys.argv[1]), "batch", pathlib.Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_what_a_killed_bundle_left_goes_with_the_next_one(home, tmp_path):
    killed = subprocess.run([sys.executable, "-c", KILLED_IN_THE_CHECK, home, tmp_path / "b"])
    assert killed.returncode == -signal.SIGKILL
    assert list(tmp_path.glob(".b.*")) != []
    bundle.export_bundle(home, "batch", tmp_path / "b")
    assert list(tmp_path.iterdir()) == [tmp_path / "b"]
