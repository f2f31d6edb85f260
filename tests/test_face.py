"""What `import tfbind as tf` offers: light to import, documented name by name, its examples and its notebook run."""

import ast
import doctest
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfbind as tf
from tfbind import api
from tfbind.__main__ import main
from tfbind.runs import folder
from tfbind.sweeps import sweep_folder

DNA = "GGCA" * 8 + "TGTAAACA" + "GGCA" * 8
HEAVY = ("numpy", "pandas", "plotly", "pydantic", "streamlit", "torch")
SECONDS = 0.1
STUB = Path(tf.__file__).with_suffix(".pyi")
PROJECT = Path(tf.__file__).parents[1]
DOCS = PROJECT / "docs"


def exported() -> set[str]:
    """The names in the stub."""
    nodes = ast.parse(STUB.read_text()).body
    return {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}


def notebook_cells() -> list[str]:
    """The code of the notebook, cell by cell."""
    cells = json.loads((DOCS / "notebook.ipynb").read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the notebook's cells leave in their namespace, and the CPU seconds they took; the home has its runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFBIND_HOME", str(tmp_path_factory.mktemp("notebook") / "home"))
        names: dict[str, Any] = {}
        begun = sum(os.times()[:4])
        for cell in notebook_cells():
            exec(compile(cell, "notebook.ipynb", "exec"), names)
        yield names | {"seconds": sum(os.times()[:4]) - begun}


def test_import_is_light() -> None:
    code = f"import sys, time, tfbind\nprint(time.process_time(), *(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    seconds, *loaded = done.stdout.split()
    assert loaded == []
    assert float(seconds) < SECONDS


def test_every_name_is_there_and_says_what_it_is() -> None:
    assert set(tf.__all__) == exported()
    for name in exported() - {"PRESETS"}:
        assert getattr(tf, name).__doc__, name
    assert tf.__version__


def test_every_function_has_arguments_returns_and_an_example() -> None:
    functions = [
        getattr(api, node.name)
        for node in ast.parse(Path(api.__file__).read_text()).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]
    assert {function.__name__ for function in functions} < exported()
    for function in functions:
        said = function.__doc__
        assert {"Args:", "Returns:", ">>> "} <= set(re.findall(r"Args:|Returns:|>>> ", said)), function.__name__


def test_the_page_has_the_names_of_the_stub() -> None:
    rows = re.findall(r"^\| `(\w+)[`(]", (DOCS / "python.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(exported())


def test_packages_are_still_packages() -> None:
    code = "from tfbind import compare, data, runs, scoring; print(runs.__path__ and compare.judge and data.split)"
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=PROJECT, check=True, capture_output=True)


def test_the_notebook_runs(worked: dict[str, Any]) -> None:
    assert worked["seconds"] < 60
    assert [run.state for run in worked["runs"]] == ["finished"] * 4
    assert len(worked["result"].rankings) == 2
    assert worked["track"].shape == (len(DNA),)
    assert worked["effect"].shape == (4, len(DNA))
    assert worked["figure"].data


def test_the_notebook_has_no_outputs() -> None:
    cells = json.loads((DOCS / "notebook.ipynb").read_text())["cells"]
    assert all(not cell.get("outputs") for cell in cells)


@pytest.mark.parametrize(("found", "module"), [(api, api), (folder.Run, folder), (sweep_folder.Sweep, sweep_folder)])
@pytest.mark.usefixtures("worked")
def test_the_examples_hold(found: Any, module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for example in doctest.DocTestFinder().find(found, module=module, extraglobs={"tf": tf, "Path": Path}):
        runner.run(example)
    assert runner.tries
    assert runner.failures == 0


def test_a_verdict_reads_as_words_as_a_table_and_as_html(worked: dict[str, Any]) -> None:
    result = worked["result"]
    frame = result.to_frame()
    assert frame["setting"].tolist() == [one.setting.label for one in result.rankings]
    assert frame["mean"].is_monotonic_increasing
    assert frame["difference"].tolist() == [0.0, pytest.approx(frame["mean"][0] - frame["mean"][1])]
    test = result.comparisons[0].test
    assert (frame["p"][1], frame["low"][1]) == (test.p, result.comparisons[0].interval[0])
    assert sum(map(len, frame["runs"])) == 4
    assert str(result).splitlines()[1].startswith("Judged by validation loss (lower is better)")
    html = result._repr_html_()
    assert html.count("<tr>") == 3
    assert result.best.setting.label in html
    assert "| setting |" in result._repr_markdown_()


def test_text_in_a_verdict_is_escaped(worked: dict[str, Any]) -> None:
    run = worked["runs"][0]
    name = folder.read_labels(run)["name"]
    folder.rename(run, "<b>bold</b>")
    try:
        result = tf.compare_runs([run])
        assert "&lt;b&gt;bold" in result._repr_html_()
        assert "<b>bold" not in result._repr_html_()
    finally:
        folder.rename(run, name)


def test_runs_are_compared_by_id_at_an_epoch_and_from_another_home(
    worked: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = worked["runs"]
    by_id = tf.compare_runs([run.id for run in runs], "train_loss", at=1)
    assert (by_id.rank_by.epoch, len(by_id.rankings)) == (1, 2)
    with pytest.raises(ValueError, match=r"run 'nobody': no such run"):
        tf.compare_runs(["nobody"])
    with pytest.raises(ValueError, match=r"metric 'fun': not recorded; there are: val_pearsonr, val_loss"):
        tf.compare_runs(runs, "fun")
    with pytest.raises(ValueError, match=r"at 'first': expected best, last, or the number of an epoch"):
        tf.compare_runs(runs, at="first")
    monkeypatch.setenv("TFBIND_HOME", str(tmp_path))
    assert tf.list_runs() == []
    assert set(runs) <= set(tf.list_runs(home=str(runs[0].home)))
    assert len(tf.compare_runs(runs, "val_loss").rankings) == 2
    assert tf.load_model(runs).name == ",".join(run.id for run in runs)


@pytest.mark.usefixtures("worked")
def test_what_a_run_fails_of_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    config = tf.TrainConfig(dataset="notebook", num_epochs=1)
    with pytest.raises(ValueError, match=r"data set 'nowhere': not found"):
        tf.train(config, "nowhere")
    failing = ["-c", "import sys; sys.exit('no torch here')"]
    monkeypatch.setattr("tfbind.runs.launch.command", lambda *_: [sys.executable, *failing])
    with pytest.raises(ValueError, match=r"run \S+ crashed: the worker ended with exit code 1 before it began"):
        tf.train(config)


def test_an_interrupt_stops_the_run(worked: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object, __: object) -> None:
        raise KeyboardInterrupt

    before = {run.id for run in tf.list_runs()}
    monkeypatch.setattr("tfbind.runs.watch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tf.train(tf.TrainConfig(num_epochs=10_000), worked["data"])
    (run,) = [run for run in tf.list_runs() if run.id not in before]
    assert run.wait(60) == "killed"


def test_waiting_for_a_run_has_an_end(home: Path) -> None:
    run = folder.create(home, tf.TrainConfig())
    with pytest.raises(TimeoutError, match=f"run {run.id} is pending after 0.1 seconds"):
        run.wait(0.1)
    assert run.rows().columns[0] == "epoch"
    assert len(run.rows()) == 0


def test_a_bar_is_drawn_where_it_is_asked_for_alone(
    worked: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    api.folders.watch(worked["runs"][0])
    assert capfd.readouterr() == ("", "")
    api.folders.watch(worked["runs"][0], show_bar=True)
    assert f"run {worked['runs'][0].id}: finished" in capfd.readouterr().err


def test_a_bar_says_how_far_a_run_is(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = folder.create(home, tf.TrainConfig())
    pace = {"windows_per_second": 100.0, "seconds_left": 12.3}
    progress = {"epoch": 2, "num_epochs": 5, "batches": 3, "batches_per_epoch": 6, **pace}
    (run.folder / folder.PROGRESS).write_text(json.dumps(progress))
    timer = threading.Timer(1.0, run.set_state, ("finished",))
    timer.start()
    api.folders.watch(run, show_bar=True)
    timer.join()
    said = capfd.readouterr().err
    assert f"epoch 2/5 {'█' * 12}{'·' * 12}  12 s left" in said
    assert said.endswith(f"run {run.id}: finished\n")


def test_an_interrupt_stops_a_sweep_and_its_runs(home: Path, tmp_path: Path) -> None:
    tf.simulate_dataset("small", windows=50)
    path = tmp_path / "sweep.yaml"
    path.write_text("method: grid\nparameters: {seed: {values: [0, 1]}, num_epochs: {value: 10000}}")
    sweep = tf.Sweep.from_yaml(path, base=tf.TrainConfig(dataset="small"), parallel=1)
    timer = threading.Thread(target=_interrupt_once_it_trains, args=(sweep,))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        sweep.run()
    timer.join()
    assert sweep.state == "killed"
    assert [run.wait(30) for run in sweep.runs()] == ["killed"]
    assert list(sweep.rows())[:2] == ["run", "epoch"]
    assert sweep.home == home


def _interrupt_once_it_trains(sweep: tf.Sweep) -> None:
    while not sweep.runs():
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)


def test_dna_comes_as_text_codes_or_several_of_either() -> None:
    model = tf.load_model()
    alone = tf.score(model, DNA)
    codes = np.array(["ACGT".index(base) for base in DNA], np.int64)
    assert alone.dtype == np.float32
    assert np.array_equal(tf.score(model, codes), alone)
    assert np.array_equal(tf.score(model, DNA.lower()), alone)
    first, second = tf.score(model, [DNA, DNA[:40]])
    np.testing.assert_allclose(first, alone, atol=1e-5)
    np.testing.assert_allclose(second, tf.score(model, DNA[:40]), atol=1e-5)
    several = tf.score(model, np.stack([codes, codes]))
    assert several.shape == (2, len(DNA))
    np.testing.assert_allclose(several[1], alone, atol=1e-5)
    assert tf.score(model, []) == []
    assert tf.score(model, codes[:0].reshape(0, 9)).shape == (0, 9)
    reverse = tf.score(model, (3 - codes)[::-1], both=True)[::-1]
    np.testing.assert_allclose(tf.score(model, DNA, both=True), reverse, atol=1e-5)


def test_mutagenesis_is_the_change_of_the_summed_score() -> None:
    model = tf.load_model()
    effect = tf.mutagenesis(model, DNA, 33, 35)
    for base, letter in enumerate("ACGT"):
        changed = DNA[:34] + letter + DNA[35:]
        gain = tf.score(model, changed).sum() - tf.score(model, DNA).sum()
        assert effect[base, 1] == pytest.approx(gain, abs=1e-2)


@pytest.mark.parametrize(
    ("dna", "said"),
    [
        ("ACXG", "letter 'X' at position 3 (1-based); allowed: A C G T N"),
        (["ACGT", "AC-G"], "sequence 2: letter '-' at position 3 (1-based); allowed: A C G T N"),
        ("", "the sequence is empty"),
        (["ACGT", ""], "sequence 2: the sequence is empty"),
        (np.array([0, 7]), "codes from 0 to 7; expected 0 to 4: A C G T N"),
        (np.array([0.5]), "expected a string, or codes (L,) that are whole numbers"),
    ],
)
def test_what_is_no_dna_is_refused(dna: Any, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        tf.score(tf.load_model(), dna)


def test_one_sequence_is_asked_for_where_one_is_taken() -> None:
    for function in (tf.call_sites, tf.mutagenesis, tf.plot_profile):
        with pytest.raises(ValueError, match="several sequences; expected one"):
            function(tf.load_model(), [DNA, DNA])


def test_variants_come_as_the_command_line_writes_them(home: Path, tmp_path: Path) -> None:
    fasta, vcf, table = tmp_path / "genome.fa", tmp_path / "calls.vcf", tmp_path / "effects.tsv"
    fasta.write_text(f">chr1\n{DNA}\n")
    lines = ["#CHROM POS ID REF ALT QUAL FILTER INFO", "chr1 37 rs1 A C . . .", *["chr1 1 . A T . . ."] * 10]
    vcf.write_text("##fileformat=VCF\n" + "\n".join(line.replace(" ", "\t") for line in lines) + "\n")
    with pytest.raises(ValueError, match=r"calls.vcf: 10 of 11 variants do not fit the FASTA: another assembly\?"):
        tf.score_variants(tf.load_model(), vcf, fasta)
    found = tf.score_variants(tf.load_model(), vcf, fasta, strict=False)
    files = ["--data", str(vcf), "--fasta", str(fasta), "--out", str(table)]
    assert main(["variants", "--model", "builtin", *files, "--keep-going"]) == 0
    header, *rows = [line.split("\t") for line in table.read_text().splitlines() if not line.startswith("#")]
    assert found.columns.tolist() == header
    assert found["id"].tolist() == ["rs1", *"." * 10]
    assert f"{found['effect'][0]:.6g}" == rows[0][header.index("effect")]
    assert found["effect"].isna().tolist() == [False] + [True] * 10
    assert found["skipped"].tolist() == [""] + [rows[1][-1]] * 10
    with pytest.raises(ValueError, match=r"none.vcf: no such file"):
        tf.score_variants(tf.load_model(), tmp_path / "none.vcf", fasta)
    assert (home / "cache").is_dir()


def test_a_simulated_data_set_is_not_another(home: Path) -> None:
    first = tf.simulate_dataset("small", windows=20)
    assert tf.simulate_dataset("small", windows=20).hash == first.hash
    with pytest.raises(ValueError, match=r"data set 'small': exists already, and is another one"):
        tf.simulate_dataset("small", windows=21)
    with pytest.raises(ValueError, match=r"windows 0: expected 1 or more"):
        tf.simulate_dataset("none", windows=0)
    assert [entry["name"] for entry in tf.list_datasets(home=home)] == ["small"]


def test_models_of_two_homes_are_not_averaged(tmp_path: Path) -> None:
    runs = [folder.create(tmp_path / name, tf.TrainConfig()) for name in ("one", "two")]
    with pytest.raises(ValueError, match=r"runs of 2 homes: .*one, .*two; expected those of one"):
        tf.load_model(runs)
    with pytest.raises(ValueError, match=r"a,b.pt: a comma in the name"):
        tf.load_model(Path("a,b.pt"))


def test_what_is_refused_is_named_as_in_python_in_one_line() -> None:
    with pytest.raises(ValueError, match=r"^learning_rate: -1 should be greater than 0; seed: 'a' [^\n]*$"):
        tf.TrainConfig(learning_rate=-1, seed="a")
    with pytest.raises(ValueError, match=r"^source nobody: expected builtin, the id of a run"):
        tf.load_model("nobody")
