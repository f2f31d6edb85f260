"""Models from elsewhere, through the command line: another author's weights score as in his own class."""

import gzip
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from tfbind.__main__ import main
from tfbind.config import PRESETS, TrainConfig
from tfbind.dna.codes import encode, one_hot
from tfbind.nn import weight_files, weights as convert
from tfbind.nn.model import build_model
from tfbind.nn.weights import pack_weights
from tfbind.runs import folder
from tfbind.scoring.model import load_model

WINDOWS = 40


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("imported") / "home"


@pytest.fixture
def cli(home, tmp_path, monkeypatch, capfd):
    """Runs one command in this process, whose children are real; gives exit code, standard output and error."""
    monkeypatch.setenv("TFBIND_HOME", str(home))
    monkeypatch.chdir(tmp_path)

    def call(*words) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        said = capfd.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def theirs(seed_experiment):
    """A network of the published experiment's own class, with weights as another author might have trained."""
    code = seed_experiment[seed_experiment.index("class ResidualBlock") : seed_experiment.index("## 3. Wandb")]
    scope = {"torch": torch, "nn": torch.nn}
    exec(code, scope)
    model = scope["BindingPredictorCNN"](12, 2, 5, 0.3).eval()
    random = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=random)
    return model


@pytest.mark.slow
def test_another_authors_weights_score_as_in_his_class_without_being_told_the_architecture(
    cli, theirs, real_pair, tmp_path
):
    torch.save(theirs.state_dict(), tmp_path / "Their best.v2.pt")
    with gzip.open(real_pair[0], "rt") as text:
        lines = [next(text).rstrip("\n") for _ in range(WINDOWS + 1)]
    (tmp_path / "chr22_sequences.txt").write_text("\n".join(lines) + "\n")
    letters, names = zip(*(line.split("\t") for line in lines[1:]), strict=True)
    with torch.inference_mode():
        expected = theirs(torch.from_numpy(one_hot(np.stack([encode(sequence) for sequence in letters])))).numpy()

    code, out, err = cli("model", "import", "Their best.v2.pt", "--json")
    assert (code, err) == (0, "")
    card = json.loads(out)
    assert (card["name"], card["source"], card["length"]) == ("their-best", "Their best.v2.pt", 300)
    assert card["parameters"] == sum(parameter.numel() for parameter in theirs.parameters())
    assert card["receptive_field"] == 1 + 4 + 2 * 2 * 4
    for model in ("their-best", "Their best.v2.pt"):
        code, _, err = cli("predict", "--model", model, "--data", "chr22_sequences.txt", "--out", "p.csv")
        assert (code, err) == (0, "")
        table = pd.read_csv("p.csv", index_col="window_name")
        assert table.index.tolist() == list(names)
        assert np.abs(table.to_numpy() - expected).max() < 1e-5


@pytest.fixture(scope="module")
def local(home):
    """An imported model beside a run and a file of the same architecture."""
    run = folder.create(home, PRESETS["quick"], id="a-run")
    (run.folder / folder.BEST).write_bytes(pack_weights(build_model(PRESETS["quick"], 40).eval(), {"run": "a-run"}))
    other = build_model(PRESETS["quick"].model_copy(update={"seed": 1}), 40)
    source = home.parent / "Other_Model.safetensors"
    save_file({f"module.{name}": tensor.bfloat16() for name, tensor in other.state_dict().items()}, source)
    return weight_files.import_model(home, source)


def test_imported_models_are_listed_and_score_any_length(cli, home, local, tmp_path):
    assert local.name == "other-model"
    listed = {model["name"]: model for model in json.loads(cli("model", "list", "--json")[1])["models"]}
    assert listed["other-model"]["length"] is None
    (tmp_path / "in.fa").write_text(">a\nACGTTGCATCA\n>b\nGG\n")
    assert cli("predict", "--model", "other-model, a-run", "--data", "in.fa", "--out", "p.bed")[0] == 0
    assert load_model(home, "other-model").hash != load_model(home, "a-run").hash


@pytest.mark.usefixtures("local")
def test_the_hash_is_that_of_the_weights_whatever_file_they_are_in(home, tmp_path):
    copy = tmp_path / "copy.safetensors"
    save_file(build_model(PRESETS["quick"], 40).state_dict(), copy)
    assert load_model(home, str(copy)).hash == load_model(home, "a-run").hash


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("other-model", "exists already and is not overwritten; choose another name"),
        ("a-run", "'a-run': that is a run; choose another one"),
        ("builtin", "that is the model that ships"),
        ("", "expected 1 to 64 of a-z 0-9 _ -"),
        ("../x", "expected 1 to 64 of a-z 0-9 _ -"),
        ("a,b", "expected 1 to 64 of a-z 0-9 _ -"),
        ("x.pt", "expected 1 to 64 of a-z 0-9 _ -"),
        ("x" * 65, "expected 1 to 64 of a-z 0-9 _ -"),
    ],
)
@pytest.mark.usefixtures("local")
def test_a_name_that_is_taken_ambiguous_or_no_name_is_refused(cli, name, said, tmp_path):
    (tmp_path / "w.pt").write_bytes(b"never read")
    code, out, err = cli("model", "import", "w.pt", "--name", name)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err


class Payload:
    def __reduce__(self):
        return (print, ("code in a weights file was run",))


@pytest.mark.slow
def test_a_file_that_is_no_model_is_refused_in_one_line_and_leaves_nothing(cli, home, tmp_path):
    torch.save(Payload(), tmp_path / "w.pt")
    (tmp_path / "torn.safetensors").write_bytes(pack_weights(build_model(PRESETS["quick"], 40), {})[:1000])
    for words, said in (
        (
            ("model", "import", "w.pt"),
            "w.pt: a pickle of more than tensors, which could run code; expected the weights alone",
        ),
        (
            ("model", "import", "torn.safetensors"),
            "torn.safetensors: not readable as weights; expected",
        ),
        (("model", "import", "none.pt"), "none.pt: no such file"),
        (("predict", "--data", "x.fa", "--out", "p.csv", "--model", "none.pt"), "none.pt: no such file"),
    ):
        code, out, err = cli(*words)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert said in err
        assert "was run" not in err
    assert not list(home.glob("models/.*"))


def test_a_conversion_refuses_weights_that_are_not_finite_and_says_so_in_one_line(tmp_path, capsys):
    weights = build_model(TrainConfig(num_channels=2), 20).state_dict()
    torch.save(weights | {"final_conv.bias": torch.tensor([torch.nan])}, tmp_path / "w.pt")
    assert convert.main([str(tmp_path / "w.pt"), str(tmp_path / "w.safetensors")]) == 2
    assert "w.pt: weights that are not finite" in capsys.readouterr().err
    assert not (tmp_path / "w.safetensors").exists()


def test_a_run_goes_before_an_imported_model_of_its_name(home, local):
    weights = folder.create(home, PRESETS["quick"], id=local.name).folder / folder.BEST
    before = load_model(home, local.name).hash
    weights.write_bytes((home / "runs" / "a-run" / folder.BEST).read_bytes())
    assert before != load_model(home, local.name).hash == load_model(home, "a-run").hash


def test_a_deleted_model_lies_in_the_trash_and_its_name_is_free(cli, home, local):
    kept = home / "models" / local.name
    for _ in range(2):
        shutil.copytree(kept, home / "models" / "gone")
        code, out, _ = cli("model", "delete", "gone", "--json")
        assert (code, json.loads(out)["name"]) == (0, "gone")
    assert len(list((home / "trash").glob("model-gone*/weights.safetensors"))) == 2
    assert cli("model", "delete", "gone")[0] == 2
    assert cli("predict", "--model", "gone", "--data", "x", "--out", "p.csv")[0] == 2
