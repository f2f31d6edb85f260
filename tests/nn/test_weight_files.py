"""Files of weights, whole and damaged, and what meets damaged ones."""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from driven import APP, words
from hypothesis import given, strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load, save_file
from safetensors.torch import save_file as save_torch
from streamlit.testing.v1 import AppTest
from toy import toy_config, toy_home

from tfbind import runs
from tfbind.__main__ import main
from tfbind.nn.weight_files import HASH, pack, read_tensors
from tfbind.nn.weights import read_weights
from tfbind.runs import launch
from tfbind.runs.folder import Run
from tfbind.runs.worker import Worker
from tfbind.scoring.model import BUILTIN_FOLDER, load_weights
from ui.widgets.session import plain

TENSORS = {"first": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4), "counted": np.array(7)}
PACKED = pack(TENSORS, {"run": "x"})
DAMAGED = "other weights than were written; the file was damaged"


def by_torch(path: Path) -> dict[str, NDArray[Any]]:
    return {name: tensor.numpy() for name, tensor in read_weights(path).items()}


READERS = [read_tensors, by_torch]
Reader = Callable[[Path], dict[str, NDArray[Any]]]


def same(found: Mapping[str, NDArray[Any]]) -> bool:
    return found.keys() == TENSORS.keys() and all(
        (found[name].dtype, found[name].shape, found[name].tobytes()) == (one.dtype, one.shape, one.tobytes())
        for name, one in TENSORS.items()
    )


@pytest.mark.parametrize("read", READERS)
@given(place=st.integers(0, len(PACKED) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_is_told_wherever_it_lies(
    read: Reader, place: int, bit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One in what says who wrote the file, or in the name of the hash, leaves the tensors as they are."""
    path = tmp_path_factory.mktemp("flipped") / "w.safetensors"
    path.write_bytes(flipped(PACKED, place, bit))
    try:
        assert same(read(path))
        assert place < PACKED.index(b"}}")
    except ValueError as error:
        assert str(error).startswith(f"{path}: ")  # noqa: PT017 - it may also be read


def flipped(content: bytes, place: int, bit: int = 3) -> bytes:
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


@pytest.mark.parametrize("read", READERS)
def test_each_bit_of_the_tensors_counts(read: Reader, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(PACKED)
    assert same(read(path))
    for place in range(len(PACKED) - sum(one.nbytes for one in TENSORS.values()), len(PACKED)):
        path.write_bytes(flipped(PACKED, place))
        with pytest.raises(ValueError, match=f"^{path}: {DAMAGED}$"):
            read(path)


@pytest.mark.parametrize("read", READERS)
def test_files_from_elsewhere_are_taken_as_they_are(read: Reader, tmp_path: Path) -> None:
    for facts in (None, {}, {"format": "pt"}):
        save_file(TENSORS, tmp_path / "w.safetensors", facts)
        assert same(read(tmp_path / "w.safetensors"))


@pytest.mark.parametrize("cut", [0, 4, 40])
def test_what_is_no_such_file_is_one_line(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "best.safetensors"
    path.write_bytes(PACKED[:cut])
    with pytest.raises(ValueError, match=f"^{path}: not a safetensors file "):
        read_tensors(path)
    path.unlink()
    with pytest.raises(ValueError, match=f"^{path}: no such file$"):
        read_tensors(path)


def test_tensors_that_only_torch_knows_are_named(tmp_path: Path) -> None:
    save_torch({"first": torch.ones(3, dtype=torch.bfloat16)}, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"w\.safetensors: tensors of the type BF16; expected F32$"):
        read_tensors(tmp_path / "w.safetensors")


@pytest.mark.parametrize("norm", [(0, 10**12), (0,), (1, 0)], ids=["no channels", "local", "no bases"])
def test_weights_of_no_channels_or_no_bases_are_none(norm: tuple[int, ...], tmp_path: Path) -> None:
    """A shape of zeros takes no room in a file, whatever else it claims."""
    names = ("weight", "bias", "running_mean", "running_var")[: 4 if len(norm) == 1 else 2]
    tensors = {f"initial_norm.{name}": np.zeros(norm, np.float32) for name in names}
    tensors |= {"initial_conv.weight": np.zeros((norm[0], 4, 15), np.float32)}
    tensors |= {
        "final_conv.weight": np.zeros((1, norm[0], 1), np.float32),
        "final_conv.bias": np.zeros(1, np.float32),
    }
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"w\.safetensors: initial_norm\.weight has the shape \("):
        load_weights(tmp_path / "w.safetensors")


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors", "ignore:Sparse CSR tensor support")
@pytest.mark.parametrize("kind", ["nested", "csr", "complex"])
def test_tensors_that_are_no_arrays_of_numbers_are_refused(kind: str, tmp_path: Path) -> None:
    odd = {
        "nested": lambda: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
        "csr": lambda: torch.zeros(4, 20).to_sparse_csr(),
        "complex": lambda: torch.zeros(4, 20, dtype=torch.complex64),
    }
    torch.save({"initial_norm.weight": odd[kind]()}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"w\.pt: holds something else than named tensors; expected"):
        read_weights(tmp_path / "w.pt")


def test_the_shipped_weights_have_their_hash() -> None:
    assert [HASH.encode() in path.read_bytes()[:500] for path in BUILTIN_FOLDER.glob("*.safetensors")] == [True] * 3


# What meets weights with one bit flipped: a run that has finished, and one that was stopped after it went on from it.


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    home = toy_home(tmp_path_factory.mktemp("trained"))
    run = launch.prepare(home, toy_config(test_split=0.2), launch.RunRequest(id="whole")).create()
    assert Worker(run).work() == "finished"
    further = launch.prepare(home, toy_config(test_split=0.2), launch.RunRequest(id="further", parent=run)).create()
    Worker(further, on_row=lambda _: further.request_stop()).work()
    further.clear_stop()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFBIND_HOME", str(home))
        assert main(["model", "import", str(run.folder / runs.BEST), "--name", "mine"]) == 0
    (home / "dna.fa").write_text(">a\nACGTACGTACGTACGTACGTACGT\n")
    return run


COMMANDS = {
    "predict": (f"runs/whole/{runs.BEST}", "predict --model whole --data HOME/dna.fa --out HOME/p.bed"),
    "average": (f"runs/whole/{runs.BEST}", "predict --model further,whole --data HOME/dna.fa --out HOME/p.bed"),
    "imported": ("models/mine/weights.safetensors", "predict --model mine --data HOME/dna.fa --out HOME/p.bed"),
    "test": (f"runs/whole/{runs.BEST}", "test whole"),
    "filters": (f"runs/whole/{runs.BEST}", "filters whole"),
    "bundle": (f"runs/whole/{runs.BEST}", "bundle whole --out HOME/bundle"),
    "import": (f"runs/whole/{runs.BEST}", f"model import HOME/runs/whole/{runs.BEST} --name again"),
    "continue": (f"runs/whole/{runs.BEST}", "train --from whole --num-epochs 1"),
    "resume": (f"runs/further/{runs.INITIAL}", "resume further"),
}


@pytest.mark.parametrize("what", COMMANDS)
def test_a_command_on_weights_with_a_flipped_bit_says_so(
    what: str, trained: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = trained.home
    name, command = COMMANDS[what]
    monkeypatch.setenv("TFBIND_HOME", str(home))
    path, before = home / name, sorted(home.rglob("*"))
    content = path.read_bytes()
    path.write_bytes(flipped(content, len(content) // 2))
    try:
        assert main([word.replace("HOME", str(home)) for word in command.split()]) in (1, 2)
    finally:
        path.write_bytes(content)
    (said,) = capsys.readouterr().err.splitlines()
    assert f"{path}: " in said
    assert "damaged" in said
    assert sorted(home.rglob("*")) == before


def test_a_checkpoint_with_a_flipped_bit_is_refused(trained: Run) -> None:
    """Wherever it lies: in the weights, the state of the optimizer, the random generators, the rows."""
    run = runs.find(trained.home, "further")
    path = run.folder / runs.CHECKPOINT
    content, rows = path.read_bytes(), runs.read_rows(run)
    with zipfile.ZipFile(path) as archive:
        kept = {member.filename: (member.header_offset, archive.read(member)) for member in archive.infolist()}
    assert len(kept) > 20
    for name, (begin, part) in kept.items():
        path.write_bytes(flipped(content, content.index(part, begin) + len(part) // 2))
        assert Worker(run).work() == "failed", name
        assert str(run.status().error).startswith(f"{path}: damaged, or not of the network"), name
    assert runs.read_rows(run) == rows
    path.write_bytes(content)
    assert Worker(run).work() == "finished"


def test_a_run_whose_best_weights_were_damaged_while_it_ran_says_so_at_its_end(trained: Run) -> None:
    """Its graph is made of them."""
    run = launch.prepare(trained.home, toy_config(), launch.RunRequest(id="while-it-ran")).create()
    best = run.folder / runs.BEST

    def damage(row: runs.Row) -> None:
        content = best.read_bytes()
        if row["epoch"] == 3:
            best.write_bytes(flipped(content, len(content) // 2))

    assert Worker(run, on_row=damage).work() == "failed"
    assert run.status().error == f"{best}: {DAMAGED}"
    assert not (run.folder / runs.GRAPH).exists()


def test_the_predict_page_says_so(trained: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFBIND_HOME", str(trained.home))
    weights = trained.home / "models" / "mine" / "weights.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(flipped(content, len(content) // 2))
    try:
        page = AppTest.from_file(APP, default_timeout=60)
        page.query_params["model"] = "mine"
        page.switch_page("pages/predict.py").run()
        page.text_area[0].set_value(">x\nACGTTGTTTACATTGCACGTTGTT\n").run()
    finally:
        weights.write_bytes(content)
    assert not page.exception
    assert plain(f"{weights}: {DAMAGED}") in words(page)


def test_equal_weights_with_equal_facts_are_equal_bytes() -> None:
    tensors = {"b": np.ones((2, 3), np.float32), "a": np.zeros(1, np.float32)}
    facts = {f"fact {number}": f"é{number}" for number in range(6)}
    packed = pack(tensors, facts)
    assert {pack(tensors, dict(reversed(facts.items()))) for _ in range(20)} == {packed}
    assert load(packed).keys() == tensors.keys()
