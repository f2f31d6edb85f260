"""Predicting files: the CLI's contract against torch, any input to one line, kills, and memory that does not grow."""

import gzip
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pybigtools
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scorers import FIXED, LENGTH, LOCAL, fasta, home_of_both, network, sequence

from tfbind.__main__ import main
from tfbind.dna.codes import decode, encode, one_hot
from tfbind.scoring import predict
from tfbind.scoring.checkpoint import ScoringOptions, score_batch
from tfbind.scoring.model import load_model, score
from tfbind.store.schema import read_json

CONFIGS = {"local": LOCAL, "fixed": FIXED}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return home_of_both(tmp_path_factory.mktemp("home"))


@pytest.fixture
def cli(home, tmp_path, monkeypatch, capsys):
    """Runs one command in this process; gives exit code, standard output and standard error."""
    monkeypatch.setenv("TFBIND_HOME", str(home))
    monkeypatch.chdir(tmp_path)

    def call(*words) -> tuple[int, str, str]:
        code = main(["predict", *map(str, words)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.mark.parametrize("name", ["local", "fixed"])
def test_csv_has_the_windows_in_order_with_what_torch_computes(cli, tmp_path, name):
    windows = {f"chr2_{start}_{start + LENGTH - 1}": sequence(LENGTH, start) for start in (800, 40, 1200, 0, 400)}
    rows = [f"{decode(codes)}\t{name}" for name, codes in windows.items()]
    (tmp_path / "in.txt.gz").write_bytes(gzip.compress("\n".join(["sequence\twindow_name", *rows]).encode()))
    code, out, err = cli("--model", name, "--data", "in.txt.gz", "--out", "p.csv", "--json")
    assert (code, err) == (0, "")
    answer = json.loads(out.splitlines()[-1])
    assert (answer["records"], answer["bases"], answer["out"]) == (5, 5 * LENGTH, "p.csv")
    assert answer["seconds"] > 0
    table = pd.read_csv("p.csv")
    assert table.columns.tolist() == ["window_name", *map(str, range(LENGTH))]
    assert table.window_name.tolist() == list(windows)
    with torch.inference_mode():
        expected = network(CONFIGS[name])(torch.from_numpy(one_hot(np.stack(list(windows.values()))))).numpy()
    assert np.abs(table.iloc[:, 1:].to_numpy() - expected).max() < 1e-5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.txt.gz", "p.csv", "p.csv.about.json"]


def test_strands_are_forward_unless_both_are_asked_for(cli, home, tmp_path):
    windows = {"a": sequence(LENGTH), "b": sequence(LENGTH, 1)}
    (tmp_path / "in.fa").write_text(fasta(windows))
    model = load_model(home, "fixed")
    for words, both in (([], False), (["--strand", "forward"], False), (["--strand", "both"], True)):
        assert cli("--model", "fixed", "--data", "in.fa", "--out", "p.csv", *words)[0] == 0
        found = pd.read_csv("p.csv", index_col=0)
        for name, codes in windows.items():
            assert np.abs(found.loc[name] - score(model, codes, both=both).scores).max() < 1e-5


def test_short_sequences_are_refused_unless_padding_is_asked_for(cli, home, tmp_path):
    (tmp_path / "in.fa").write_text(fasta({"long": sequence(LENGTH), "seq3": sequence(11)}))
    words = ("--model", "fixed", "--data", "in.fa", "--out", "p.tsv")
    assert cli(*words) == (2, "", "tfbind: record seq3: 11 bases; this model needs 40, or --pad to fill up with N\n")
    assert cli(*words, "--pad")[0] == 0
    table = pd.read_csv("p.tsv", sep="\t", comment="#").query("name == 'seq3'")
    assert "".join(table.base) == decode(sequence(11))
    expected = score(load_model(home, "fixed"), sequence(11), pad=True).scores
    assert np.abs(table.score.to_numpy() - expected).max() < 1e-5


def test_the_device_is_one_that_is_here_and_is_said_beside_the_file(cli, tmp_path):
    (tmp_path / "in.fa").write_text(fasta({"a": sequence(LENGTH)}))
    words = ("--model", "local", "--data", "in.fa", "--out", "p.tsv")
    assert cli(*words)[0] == 0
    assert read_json(tmp_path / "p.tsv.about.json")["device"] == "cpu"  # a small file is not worth a GPU
    refused = "tfbind: --device cuda: with --ray the nodes score, on their CPUs; expected one of the two\n"
    assert cli(*words, "--device", "cuda", "--ray", "auto") == (2, "", refused)
    if not torch.cuda.is_available():
        assert cli(*words, "--device", "cuda") == (2, "", "tfbind: --device cuda: not on this machine; here: cpu\n")


def test_standard_input_is_read_and_changes_are_told(home, tmp_path):
    environment = {**os.environ, "TFBIND_HOME": str(home)}
    command = [sys.executable, "-m", "tfbind", "predict", "--model", "local", "--data", "-", "--out"]
    done = subprocess.run(
        [*command, str(tmp_path / "p.tsv")],
        input=">a\nACGU\n>b\nAC\n",
        capture_output=True,
        text=True,
        env=environment,
    )
    assert (done.returncode, done.stderr) == (0, "read a: 1 U read as T\n")
    assert done.stdout.startswith("2 records, 6 bases in ")
    lines = (tmp_path / "p.tsv").read_text().splitlines()
    model = load_model(home, "local")
    assert lines[0].startswith(f"# tfbind; model local {model.hash}; score in the unit of data set builtin; scored")
    expected = [f"a\t{place}\t{base}" for place, base in enumerate("ACGT")] + ["b\t0\tA", "b\t1\tC"]
    assert [line.rsplit("\t", 1)[0] for line in lines[2:]] == expected


VALID = b">a\n" + b"ACGT" * 10 + b"\n>b\n" + b"TTGC" * 10 + b"\n"
REFUSED = {  # others are among those of tests/dna
    "a letter": (VALID[:50] + b"J" + VALID[50:], "in.fa: record b: letter 'J' at position 4 (1-based)"),
    "nothing": (b"", "in.fa: nothing to read"),
    "half a gzip file": (gzip.compress(os.urandom(4000))[:2000], "the gzip data stop before their end"),
    "a picture in gzip": (gzip.compress(b"\x89PNG"), "this is a picture"),
    "an endless header": (b">" + b"x" * 9_000_000, "a FASTA header of over 65536 bytes"),
    "two lengths": (b">a\nACGT\n>b\nAC\n", "record b: 2 bases; a .csv has one column for each position"),
}


@pytest.mark.parametrize("data", REFUSED)
def test_input_that_cannot_be_read_ends_in_2_and_one_line(cli, tmp_path, data):
    content, said = REFUSED[data]
    (tmp_path / "in.fa").write_bytes(content)
    code, out, err = cli("--model", "local", "--data", "in.fa", "--out", "p.csv")
    assert (code, out) == (2, "")
    assert said in err
    assert err.endswith("\n")
    assert err[:-1].isprintable()
    assert [path.name for path in tmp_path.iterdir()] == ["in.fa"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", "none.fa"], "none.fa: no such file"),
        (["--data", "."], ".: a folder; expected a file of sequences"),
        (["--out", "p.xlsx"], "no format for files that end in '.xlsx'"),
        (["--out", "p"], "no format for files that end in ''"),
        (["--out", "none/p.csv"], "none/p.csv: expected the name of a file in a folder that exists"),
        (["--model", "nobody"], "--model nobody: expected builtin"),
        (["--out", "in.fa"], "in.fa: the file that is read; expected another, since the output takes its place"),
    ],
)
def test_flags_that_lead_nowhere_end_in_2_and_one_line(cli, tmp_path, words, said):
    (tmp_path / "in.fa").write_bytes(VALID)
    code, out, err = cli("--model", "local", "--data", "in.fa", "--out", "p.csv", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert [path.name for path in tmp_path.iterdir()] == ["in.fa"]
    assert (tmp_path / "in.fa").read_bytes() == VALID


@given(st.integers(0, len(VALID) - 1), st.binary(max_size=3), st.booleans())
@settings(max_examples=60)
def test_a_damaged_file_gives_predictions_or_one_line(home, tmp_path_factory, place, put, zipped):
    damaged = VALID[:place] + put + VALID[place + 1 :]
    model = load_model(home, "local")
    folder = tmp_path_factory.mktemp("damaged")
    try:
        done = predict.predict_file(
            model, io.BytesIO(gzip.compress(damaged) if zipped else damaged), folder / "p.tsv"
        )
        lines = (folder / "p.tsv").read_text().splitlines()
        said = f"{done.bases} bases"
        assert len(lines) == 2 + done.bases
    except ValueError as error:
        said = str(error)
        assert list(folder.iterdir()) == []
    assert said.isprintable()


def test_an_existing_output_is_replaced_and_kept_when_the_input_is_wrong(cli, tmp_path):
    (tmp_path / "p.csv").write_text("mine")
    (tmp_path / "in.fa").write_bytes(b">a\nAC!")
    assert cli("--model", "local", "--data", "in.fa", "--out", "p.csv")[0] == 2
    assert (tmp_path / "p.csv").read_text() == "mine"
    (tmp_path / "in.fa").write_bytes(VALID)
    assert cli("--model", "local", "--data", "in.fa", "--out", "p.csv")[0] == 0
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 3


# Long records are scored in regions: whatever the region, the scores are those of the whole record.


@given(st.integers(1, 900), st.integers(20, 200), st.booleans(), st.sampled_from(["local", "fixed"]))
@settings(max_examples=60)
def test_the_score_of_a_long_record_does_not_depend_on_its_regions(home, tmp_path_factory, length, size, both, name):
    model = load_model(home, name)
    codes = sequence(max(length, LENGTH), length)
    path = tmp_path_factory.mktemp("codes") / "codes"
    path.write_bytes(b"\x04" * 7 + codes.tobytes() + b"\x04" * 5)
    stored = predict.StoredRecord("a", 7, len(codes))
    regions = [
        predict.region(model, path, stored, start, min(start + size, len(codes)))
        for start in range(0, len(codes), size)
    ]
    parts = [score_batch(model, ScoringOptions(both), region)[0] for region in regions]
    assert np.abs(np.concatenate(parts) - score(model, codes, both=both).scores).max() < 1e-5


def genome() -> dict[str, np.ndarray]:
    """Contigs on both sides of what is scored at a time, and short ones between them."""
    lengths = {"chr1": predict.GROUP + 12_345, "chrM": 300, "chrUn": 45, "chr2": 50_000, "chr3": 9_000}
    return {name: sequence(length, length) for name, length in lengths.items()}


def test_a_genome_becomes_a_bigwig_with_the_scores_of_its_contigs(cli, home, tmp_path):
    contigs = genome()
    (tmp_path / "g.fa.gz").write_bytes(gzip.compress(fasta(contigs).encode(), 1))
    assert cli("--model", "local", "--data", "g.fa.gz", "--out", "p.bw")[0] == 0
    bigwig = pybigtools.open("p.bw")
    assert bigwig.chroms() == {name: len(codes) for name, codes in contigs.items()}
    model = load_model(home, "local")
    for name, codes in contigs.items():
        found = np.asarray(bigwig.values(name, fillna=None))
        assert np.abs(found - score(model, codes).scores).max() < 1e-5


class Killed(Exception):
    """Stands in for a power cut."""


def killed(stage: str, after: int = 0):
    """Progress that ends a prediction in this stage, once more bases than `after` are done."""

    def cut(now: str, done: int, _total: int) -> None:
        if now == stage and done > after:
            raise Killed

    return cut


@pytest.mark.parametrize("stage", ["reading", "scoring", "writing"])
def test_a_prediction_that_was_cut_off_goes_on_and_ends_the_same(home, tmp_path, stage):
    data, out = tmp_path / "g.fa", tmp_path / "p.bedgraph"
    data.write_text(fasta(genome()))
    model = load_model(home, "local")
    predict.predict_file(model, data, tmp_path / "whole.bedgraph")
    seen: list[tuple[str, int]] = []

    with pytest.raises(Killed):
        predict.predict_file(model, data, out, on_progress=killed(stage, predict.GROUP))
    assert not out.exists()
    predict.predict_file(model, data, out, on_progress=lambda now, done, _total: seen.append((now, done)))
    stages = [now for now, _ in seen]
    assert ("reading" in stages) == (stage == "reading")
    started = next(done for now, done in seen if now == "scoring")
    assert (started > 0) == (stage != "reading")
    assert out.read_bytes() == (tmp_path / "whole.bedgraph").read_bytes()
    assert not (tmp_path / "p.bedgraph.parts").exists()


@pytest.mark.parametrize("change", ["data", "strand", "model"])
def test_parts_of_another_question_are_not_taken_up(home, tmp_path, change):
    data, out = tmp_path / "in.fa", tmp_path / "p.csv"
    data.write_bytes(VALID)
    with pytest.raises(Killed):
        predict.predict_file(load_model(home, "local"), data, out, on_progress=killed("writing"))
    if change == "data":
        data.write_bytes(VALID.replace(b"TTGC", b"TTTT"))
    model = load_model(home, "fixed" if change == "model" else "local")
    options = ScoringOptions(both=change == "strand")
    predict.predict_file(model, data, out, options)
    predict.predict_file(model, data, tmp_path / "fresh.csv", options)
    assert out.read_bytes() == (tmp_path / "fresh.csv").read_bytes()


def test_a_killed_process_is_taken_up_where_it_was(home, tmp_path):
    data = tmp_path / "g.fa"
    data.write_text(fasta({f"c{number}": sequence(predict.GROUP, number) for number in range(3)}))
    environment = {**os.environ, "TFBIND_HOME": str(home)}
    words = ["--model", "local", "--data", str(data), "--out", str(tmp_path / "p.bed")]
    process = subprocess.Popen([sys.executable, "-m", "tfbind", "predict", *words], env=environment)
    done = tmp_path / "p.bed.parts" / "done.json"
    while not done.exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = json.loads(done.read_text())["bases"]
    left, others = (tmp_path / f".{name}.{process.pid}-0a1f.bed" for name in ("p.bed", "q.bed"))
    left.touch()
    others.touch()
    seen: list[tuple[str, int]] = []
    model = load_model(home, "local")
    predict.predict_file(
        model, data, tmp_path / "p.bed", on_progress=lambda now, bases, _total: seen.append((now, bases))
    )
    assert (left.exists(), others.exists()) == (False, True)
    assert seen[0] == ("scoring", finished)
    assert finished > 0
    predict.predict_file(model, data, tmp_path / "whole.bed")
    assert (tmp_path / "p.bed").read_bytes() == (tmp_path / "whole.bed").read_bytes()


def test_a_terminal_sees_how_far_it_is(home, tmp_path):
    (tmp_path / "g.fa").write_text(fasta({f"c{number}": sequence(predict.GROUP, number) for number in range(4)}))
    words = ["--model", "local", "--data", str(tmp_path / "g.fa"), "--out", str(tmp_path / "p.bed")]
    master, slave = pty.openpty()
    environment = {**os.environ, "TFBIND_HOME": str(home)}
    command = [sys.executable, "-m", "tfbind", "predict", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=slave, env=environment)
    process.communicate(timeout=100)
    said = os.read(master, 100_000).decode()
    os.close(master)
    os.close(slave)
    assert process.returncode == 0
    assert re.search(r"scoring █+·+ [\d,]+ of 4,194,304 bases  \d+ s left", said)
    unknown = "since the lowest score of a site in the data behind the model is not known"
    assert said.endswith(f"\r\x1b[Ksites are called from 3, {unknown}\r\n")


def test_two_processes_do_not_write_one_file(home, tmp_path):
    data, out = tmp_path / "in.fa", tmp_path / "p.csv"
    data.write_bytes(VALID)
    model = load_model(home, "local")
    refusals: list[str] = []

    def meanwhile(now: str, _done: int, _total: int) -> None:
        if now == "scoring" and not refusals:
            with pytest.raises(ValueError, match="another process is writing this file") as caught:
                predict.predict_file(model, data, out)
            refusals.append(str(caught.value))

    predict.predict_file(model, data, out, on_progress=meanwhile)
    assert len(refusals) == 1
    assert len(out.read_text().splitlines()) == 3


def test_the_courses_windows_keep_their_names_order_and_scores(home, real_pair, tmp_path):
    with gzip.open(real_pair[0], "rt") as text:
        lines = [next(text).rstrip("\n") for _ in range(301)]
    (tmp_path / "in.txt").write_text("\n".join(lines))
    model = load_model(home, "local")
    predict.predict_file(model, tmp_path / "in.txt", tmp_path / "p.csv")
    found = pd.read_csv(tmp_path / "p.csv", index_col="window_name")
    letters, names = zip(*(line.split("\t") for line in lines[1:]), strict=True)
    assert found.index.tolist() == list(names)
    expected = np.stack([score(model, encode(sequence)).scores for sequence in letters])
    assert np.abs(found.to_numpy() - expected).max() < 1e-5
