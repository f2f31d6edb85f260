"""What a W&B server may say that no table holds."""

import math
from pathlib import Path
from typing import Any

import pytest
from wandb_server import ENTITY, KEY, StoredRun, WandbServer

from tfbind.compare.plots import against, parallel
from tfbind.compare.report import Report, csv_table, html_report, markdown_report, setting_columns
from tfbind.compare.runs import choose, metrics, table
from tfbind.compare.verdict import judge
from tfbind.evaluation import compare_baselines_by_data
from tfbind.tracking.cache import new_project, save_history, save_project, stored_run_records, stored_runs
from tfbind.tracking.client import explain_error
from tfbind.tracking.pull import pull_runs


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


def test_numbers_that_no_table_holds_spoil_neither_their_run_nor_the_others(tmp_path: Path) -> None:
    """What is kept can be read again, here and by a page, whose own calls are about a hundred deep."""
    run = StoredRun(ENTITY, "big", "odd", "odd", {"lr": {"value": 10**400}, "deep": {"value": nested(900)}})
    run.history = [
        {"epoch": 1, "val_loss": 10**400, "val_pearsonr": math.nan, "train_loss": 10**25},
        {"epoch": 2, "val_loss": -(10**400), "val_pearsonr": math.inf, "train_loss": 1},
    ]
    run.summary, run.state, run.claimed = run.history[1], "finished", 10**30
    other = StoredRun(ENTITY, "big", "other", "other", history=[{"epoch": 1, "val_loss": 1}], state="finished")
    with WandbServer() as server:
        server.add(run)
        server.add(other)
        pulled = pull_runs(tmp_path, "lab/big", server.url, KEY, histories=True)
    odd, plain = sorted(pulled.records, key=lambda past: past.id)
    assert stored_runs(tmp_path) in ([odd, plain], [plain, odd])
    assert (odd.config["lr"], len(odd.rows), plain.rows) == ("Infinity", 2, other.history)
    assert max(name.count(".") for name in odd.config) < 30
    assert [row["val_loss"] for row in odd.rows] == [math.inf, -math.inf]
    assert math.isnan(odd.rows[0]["val_pearsonr"])
    assert [row["train_loss"] for row in odd.rows] == [1e25, 1]


CLAIMED = (  # by the table, by other parts of a comparison, or by a file of this home
    *("key", "id", "name", "state", "source", "tags", "note", "created", "epochs", "seconds", "best_epoch", "curve"),
    *("config.key", "config.lr", "lr", "dataset", "dataset_hash", "split_hash", "versions", "windows", "run", "seed"),
    *("learning_rate", "validation_split", "device", "a.b", "", " ", "\x1b[31m", "<b>", "=1", "epoch ", "index"),
)
VALUES = (0.5, "x", [1, 2], None, True, "../../../etc", {"_type": "table", "q": 1}, 10**20)


def test_no_name_and_no_value_of_a_project_keeps_its_runs_from_being_compared(tmp_path: Path) -> None:
    project = new_project(tmp_path, "http://127.0.0.1:9", "lab/odd")
    for number in range(4):
        config = {name: VALUES[(place + number) % len(VALUES)] for place, name in enumerate(CLAIMED)}
        summary = {name: place + number for place, name in enumerate(CLAIMED)}
        facts = {
            "id": f"r{number}",
            "name": "\x1b[2J<img>\n",
            "state": "finished",
            "config": config,
            "summary": summary,
        }
        project.runs[f"r{number}"] = {**facts, "tags": [], "note": "", "sweep": None, "group": None, "created": ""}
        if number % 2:
            rows = [{"epoch": epoch, **summary} for epoch in (1, 2, 3)]
            save_history(project, facts["id"], rows, 3, False)
    save_project(project)
    records = stored_run_records(project)
    assert compare_baselines_by_data(tmp_path, [record.config for record in records], "val_loss") == []
    for place, metric in enumerate(metrics(records)):
        rank_by = choose(metric)
        rows, verdict = table(records, rank_by), judge(records, rank_by)
        columns = setting_columns(rows, records, rank_by)
        assert [row["name"] for row in rows] == ["\x1b[2J<img>\n"] * 4
        assert metric not in columns
        parallel(rows, columns[:8], rank_by)
        against(rows, columns[place % len(columns)], rank_by, False)
        csv_table(records, rank_by)
        markdown_report(Report(records, verdict, "compare", "now"))
    assert "\x1b" not in html_report(Report(records, verdict, "compare", "now"))


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [  # as the client says it
        (
            "AuthenticationError: Failed to verify credentials with http://a:1: POST http://a:1/graphql giving up "
            'after 2 attempt(s): Post "http://b:2/graphql": dial tcp: connect: connection refused',
            "http://a:1 sends requests on to http://b:2, which could not be reached: connection refused",
        ),
        ('x: Post "http://a:1/graphql": connect: connection refused', "http://a:1 could not be reached: connection"),
        ("invalid credentials: the server did not recognize an account", "http://a:1 knows no account for the key;"),
        ("HTTP 401: no", "http://a:1 refuses the key (401)"),
    ],
)
def test_what_went_wrong_is_said_of_the_host_where_it_did(raw: str, sentence: str) -> None:
    assert str(explain_error(raw, "http://a:1", KEY, "lab/seed")).startswith(f"W&B at {sentence}")
