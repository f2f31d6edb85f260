"""Where predictions come from, as it is said beside them: enough to train the model again, on the same windows."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from golden.make import called
from toy import toy_config, toy_home

from tfbind import runs
from tfbind.config import parse_config
from tfbind.data.dataset import open_dataset
from tfbind.data.splits import split
from tfbind.runs import launch
from tfbind.runs.worker import Worker
from tfbind.scoring import bundle
from tfbind.scoring.formats import beside
from tfbind.scoring.model import load_model


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = toy_home(tmp_path_factory.mktemp("provenance"))
    run = launch.prepare(home, toy_config(num_epochs=1, test_split=0.2, seed=4), launch.RunRequest(id="one")).create()
    assert Worker(run).work() == "finished"
    return home


def predict(home: Path, model: str, out: Path) -> dict:
    data = out.with_name("in.fa")
    data.write_text(">a\nACGTACGTACGTACGTACGTAC\n")
    code, _, err = called(home, "predict", "--model", model, "--data", str(data), "--out", str(out))
    assert (code, err) == (0, "")
    return json.loads(out.with_name(f"{out.name}.about.json").read_text())


@pytest.mark.parametrize("suffix", [".csv", ".bw"])
def test_what_lies_beside_a_file_of_predictions_repeats_the_run_that_made_them(home, tmp_path, suffix) -> None:
    about = predict(home, "one", tmp_path / f"p{suffix}")
    (member,) = about["members"]
    data = open_dataset(home, "toy")
    config = parse_config({key: value for key, value in member.items() if key in type(toy_config()).model_fields})
    assert member["dataset_hash"] == data.hash
    assert member["split_hash"] == split(data, config).hash
    assert config == runs.read_config(runs.find(home, "one"))
    assert (member["run"], member["seed"], member["trained_on"]) == ("one", 4, "cpu")
    assert {"tfbind", "python", "torch", "numpy"} <= set(member["versions"])
    assert (about["file"], about["weights"]) == (f"p{suffix}", load_model(home, "one").hash)
    assert {"tfbind", "onnxruntime"} <= set(about["versions"])


def test_of_weights_that_no_run_made_only_the_hash_is_known(home, tmp_path) -> None:
    weights = tmp_path / "mine.safetensors"
    weights.write_bytes((runs.find(home, "one").folder / runs.BEST).read_bytes())
    about = predict(home, f"{weights},one", tmp_path / "p.tsv")
    assert about["model"] == "mine.safetensors,one"
    assert about["members"][0] == {"model": "mine.safetensors", "about": "trained elsewhere"}
    assert about["members"][1]["run"] == "one"
    assert str(tmp_path) not in json.dumps(about)


def test_a_bundle_says_on_which_data_and_split_its_weights_were_trained(home, tmp_path) -> None:
    record = runs.read_record(runs.find(home, "one"))
    bundle.export_bundle(home, "one", tmp_path / "bundle")
    said = (tmp_path / "bundle" / bundle.README).read_text()
    for key in ("dataset_hash", "split_hash"):
        assert f'"{key}": "{record[key]}"' in said
    assert '"seed": 4' in said
    assert '"torch": "' in said


KILLED_BEFORE_IT_SAYS = """
import os, signal, sys
from tfbind.scoring import bundle as provenance
from tfbind.__main__ import main
provenance.write_beside = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
main(sys.argv[1:])
"""


@pytest.mark.parametrize("command", ["predict", "variants"])
def test_nothing_beside_a_file_tells_of_the_one_before_it(home, tmp_path, command) -> None:
    """The second command is killed between its output and what says where that comes from."""
    dna, calls, out = tmp_path / "in.fa", tmp_path / "in.vcf", tmp_path / "o.tsv"
    dna.write_text(">chr1\n" + "ACGTTGTTTACATTGC" * 10 + "\n")
    calls.write_text("#CHROM\tPOS\tID\tREF\tALT\nchr1\t33\t.\tA\tG\n")
    given = ["--data", dna] if command == "predict" else ["--data", calls, "--fasta", dna]
    assert called(home, command, "--model", "one", *map(str, given), "--out", str(out))[0] == 0
    assert "one" in out.read_text()
    assert beside(out).exists()
    words = [sys.executable, "-c", KILLED_BEFORE_IT_SAYS, command, "--model", "builtin", *given, "--out", out]
    assert subprocess.run(words, env={**os.environ, "TFBIND_HOME": str(home)}).returncode == -9
    assert "builtin" in out.read_text()
    assert not beside(out).exists()
