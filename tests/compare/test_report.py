"""What is taken away: one HTML file that asks the network for nothing, Markdown, CSV, and the command for them."""

import csv
import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from golden.make import called
from past_runs import past, replicates
from stand_in import CONFIG, make_rows, make_run

from tfbind.compare.plots import importance_bars
from tfbind.compare.report import (
    Report,
    csv_table,
    facts,
    html_report,
    markdown_report,
    ranking_table,
    setting_columns,
)
from tfbind.compare.runs import choose, table
from tfbind.compare.significance import setting_importance
from tfbind.compare.verdict import judge
from tfbind.evaluation.baselines import BaselineComparison
from tfbind.runs import folder, record as history

PROJECT = Path(__file__).parents[2]
PEARSON = choose("val_pearsonr")
HOSTILE = '</script><img src=x onerror="alert(1)"> **B** =1+1'


def report() -> Report:
    runs_of_it = [*replicates(0.01, [0.883, 0.887, 0.879]), *replicates(0.0001, [0.69, 0.70, 0.71])]
    runs_of_it.append(past("odd", None, state="failed", name=HOSTILE, learning_rate=0.5, seed=0, added=HOSTILE))
    return Report(runs_of_it, judge(runs_of_it, PEARSON), "python -m tfbind compare x", "2026-11-23 12:00 UTC")


def test_html_says_the_verdict_the_rule_and_the_commands() -> None:
    text = html_report(report())
    for said in (
        "learning_rate 0.01 wins",
        "95 % interval",
        "The rule behind the verdict",
        "python -m tfbind compare x",
        "python -m tfbind train --dataset chr22 --learning-rate 0.0001 --seed 2",
        "SHA-256 ab",
        "<td>batch_size</td><td>64</td>",
    ):
        assert said in text, said


def test_html_refers_to_nothing_outside_and_holds_plotly_once() -> None:
    text = html_report(report())
    body = text[text.rindex("</head>") :]
    assert not re.search(r"<[^>]*(src|href|@import|url\()", body)
    assert "http" not in body
    assert text.count("plotly.js v") == 1
    assert body.count("Plotly.newPlot") == 4


def test_what_a_user_wrote_is_never_markup() -> None:
    text = html_report(report())
    body = text[text.rindex("</head>") :]
    assert "<img" not in body
    assert "&lt;img src=x" in body
    assert "<img" not in re.sub(r"\\<", "", markdown_report(report()))


def test_csv_has_a_row_for_each_run_and_no_formula() -> None:
    made = report()
    rows = list(csv.DictReader(io.StringIO(csv_table(made.records, PEARSON))))
    assert [row["val_pearsonr"] for row in rows][:2] == ["0.883", "0.887"]
    assert rows[-1]["val_pearsonr"] == ""
    assert [rows[0][name] for name in ("val_loss", "train_loss")] == ["0.2", "0.2"]  # at the epoch of the figure
    danger = [past("a", 0.5, name="=1+1"), past("b", 0.5, name="@x")]
    assert [row["name"] for row in csv.DictReader(io.StringIO(csv_table(danger, PEARSON)))] == ["'=1+1", "'@x"]
    assert csv_table([], PEARSON) == ""


def test_baselines_are_rows_of_it_and_one_that_does_as_well_is_said() -> None:
    words = BaselineComparison("words", "table of 10-mers", "for each word its score", [0.88, 0.89])
    made = replace(report(), baselines=[words])
    rows = ranking_table(made.verdict, made.baselines)
    assert [row["setting"] for row in rows] == [
        "learning_rate 0.01",
        "learning_rate 0.0001",
        "baseline: table of 10-mers",
    ]
    assert (rows[-1]["mean Pearson r"], rows[-1]["seeds"]) == ("0.8850", 2)
    for text in (html_report(made), markdown_report(made)):
        assert "baseline: table of 10-mers" in text
        assert "table of 10-mers: for each word its score" in text


def test_a_column_that_no_run_fills_is_not_in_the_report() -> None:
    made = report()
    for text in (html_report(made), markdown_report(made)):
        heads = re.findall(r"<th>(\w+)</th>", text) or text.replace("\\", "").split("| ")
        assert {"tags", "note", "group"}.isdisjoint(word.strip() for word in heads)
    noted = replace(made, records=[replace(made.records[0], note="the one"), *made.records[1:]])
    assert "<th>note</th>" in html_report(noted)
    heads = re.findall(r"<th>(\w+)</th>", html_report(made)[html_report(made).index("<h2>Runs</h2>") :])
    assert heads[:6] == ["id", "name", "state", "best_epoch", "val_pearsonr", "learning_rate"]


def test_settings_that_most_runs_state_come_first() -> None:
    here = [past(str(seed), 0.5 + seed / 10, seed=seed, kernel_size=3 + seed) for seed in (0, 2)]
    there = [past(f"w{place}", 0.5, learning_rate=place / 10, kernel_size=None, zeta=place) for place in range(1, 6)]
    runs_of_it = [*here, *there]
    assert setting_columns(table(runs_of_it, PEARSON), runs_of_it, PEARSON) == [
        "learning_rate",
        "zeta",
        "kernel_size",
    ]


def test_report_and_table_say_data_split_device_and_versions() -> None:
    facts = {"dataset_hash": "ab" * 32, "split_hash": "cd" * 32, "device": "cuda", "threads": 3, "seed": 5}
    known = [past("a", 0.9, versions={"torch": "2.13"}, **facts), past("b", 0.8, learning_rate=0.1)]
    text = markdown_report(Report(known, judge(known, PEARSON), "x", "now"))
    assert f"a: split SHA-256 {'cd' * 32}, seed 5, device cuda, 3 threads" in text
    rows = list(csv.DictReader(io.StringIO(csv_table(known, PEARSON))))
    assert [rows[0][key] for key in ("split_hash", "device", "threads")] == ["cd" * 32, "cuda", "3"]
    assert json.loads(rows[0]["versions"]) == {"torch": "2.13"}
    assert rows[1]["split_hash"] == ""


def test_facts_are_plain_json() -> None:
    found = json.loads(json.dumps(facts(report().verdict), allow_nan=False))
    assert found["best"] == "learning_rate 0.01"
    assert found["settled"] is True
    assert found["comparisons"][0]["call"] == "worse"


def test_of_runs_without_curves_no_curves_are_drawn() -> None:
    ended = [
        replace(past(name, 0.9, epochs=1, learning_rate=rate), last_only=True) for name, rate in (("a", 1), ("b", 2))
    ]
    text = html_report(Report(ended, judge(ended, PEARSON), "x", "now"))
    assert "figure-curves" not in text
    assert "Only the last values of these runs are known." in text
    assert "best_epoch" not in text[text.rindex("</head>") :]


def test_a_refusal_is_a_report_too() -> None:
    mixed = [past("a", 0.9), past("b", 0.8, dataset_hash="cd")]
    text = html_report(Report(mixed, judge(mixed, PEARSON), "x", "now"))
    assert "2 different data sets" in text
    made = Report(
        mixed, judge(mixed, PEARSON), "x", "now", [BaselineComparison("mean", "mean", "everywhere", [0.25], "chr22")]
    )
    assert "<td>chr22</td><td>mean</td><td>0.2500</td><td>everywhere</td>" in html_report(made)
    assert "| chr22 | mean | 0.2500 | everywhere |" in markdown_report(made)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for rate, state in ((0.01, "finished"), (0.001, "finished"), (0.1, "failed")):
        config = CONFIG.model_copy(update={"learning_rate": rate})
        facts = {"facts": {"sweep": "s1", "dataset_hash": "ab"}}
        run = folder.create(tmp_path, config, id=f"r{rate}".replace(".", "-"), **facts)
        folder.append_row(run, make_rows(1)[0] | {"val_loss": rate, "val_pearsonr": 1 - rate, "seconds": 1.0})
        run.set_state(state, started=0.0, ended=1.0, device="cpu")
    return tmp_path


def test_the_command_compares_a_sweep_and_writes_the_report(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    words = [sys.executable, "-m", "tfbind", "compare", "--sweep", "s1", "--out", str(out), "--json"]
    environment = {"TFBIND_HOME": str(home), "PATH": ""}
    done = subprocess.run(words, cwd=PROJECT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["headline"].startswith("One run each: cannot be told. learning_rate 0.001")
    assert found["notes"][0].startswith("Not counted: builtin lr 0.1: failed after 1 epoch")
    assert "Comparison of 3 runs" in out.read_text()


def test_the_table_that_it_saved_names_its_runs_again(home: Path, tmp_path: Path) -> None:
    saved = tmp_path / "runs.csv"
    _, first, _ = called(home, "compare", "--sweep", "s1", "--out", str(saved), "--json")
    code, again, error = called(home, "compare", "--table", str(saved), "--json")
    assert (code, error) == (0, "")
    assert {**json.loads(again), "out": str(saved)} == json.loads(first)
    saved.write_text("name\nx\n")
    assert "no CSV with a column key; expected the table that" in called(home, "compare", "--table", str(saved))[2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nope"], "no run 'nope'"),
        ([], "name runs, or --sweep ID"),
        (["--sweep", "x"], "--sweep x: no run belongs to it"),
        (["--sweep", "s1", "--metric", "foo"], "--metric foo: not recorded; there are: val_pearsonr"),
        (["--sweep", "s1", "--at", "soon"], "--at soon: expected best, last, or an epoch"),
        (["--sweep", "s1", "--out", "a.pdf"], "expected a name that ends in .html .csv .md"),
    ],
)
def test_bad_words_are_one_line_and_exit_code_2(home: Path, words: list[str], said: str) -> None:
    code, _, error = called(home, "compare", *words)
    assert (code, error.count("\n")) == (2, 1)
    assert said in error


def test_tags_and_note_are_kept_and_bad_ones_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path, "finished")
    history.annotate(run, " good, , good ,second try", " the one\nto show ")
    found = history.read_run_record(run)
    assert (found.tags, found.note) == (["good", "second try"], "the one to show")
    assert found.name == folder.read_labels(run)["name"]
    for tags, note, said in (("x" * 41, "", "at most 40 printable"), ("a\x07", "", "tag"), ("", "n" * 501, "note")):
        with pytest.raises(ValueError, match=said):
            history.annotate(run, tags, note)
    assert history.read_run_record(run).tags == ["good", "second try"]


def test_importance_finds_the_setting_that_matters() -> None:
    records = [
        {"learning_rate": 10 ** -(place % 10 / 2), "kernel_size": 3 + 2 * (place // 10), "val_pearsonr": place % 10}
        for place in range(40)
    ]
    importances = setting_importance(records, ["learning_rate", "kernel_size"], PEARSON)
    assert list(importances) == ["learning_rate"]
    assert importances["learning_rate"].share > 0.9 > importances["learning_rate"].chance
    bars, marks = importance_bars(importances).data
    assert (list(bars.y), bars.x[0] > marks.x[0]) == (["learning_rate"], True)
    assert setting_importance(records[:5], ["learning_rate"], PEARSON) == {}
    assert setting_importance([record | {"same": 1} for record in records], ["same"], PEARSON) == {}


def noise_with_importance(draws: int) -> int:
    """In how many draws of three settings that do nothing one of them is shown as important."""
    rng, columns = np.random.default_rng(5), ["learning_rate", "kernel_size", "dropout_rate"]
    drawn = (rng.uniform(0, 1, (12, 4)).tolist() for _ in range(draws))
    named = ([dict(zip([*columns, "val_pearsonr"], row, strict=True)) for row in rows] for rows in drawn)
    return sum(bool(setting_importance(rows, columns, PEARSON)) for rows in named)


def test_importance_of_noise_is_not_shown() -> None:
    assert noise_with_importance(3) == 0


@pytest.mark.slow
def test_importance_of_noise_is_shown_in_5_of_100_draws() -> None:
    assert noise_with_importance(60) <= 7
