"""Runs pulled by the real W&B client from a server on loopback: complete, kept, and one sentence for every fault."""

import json
import math
import os
import subprocess
import sys
import time

import pytest
from golden.make import called
from wandb_server import ENTITY, KEY, Fault, StoredRun, WandbServer, seed_runs

from tfbind.compare.plots import PlotOptions, learning_curves
from tfbind.compare.report import csv_table
from tfbind.compare.runs import choose, table, why_left_out
from tfbind.compare.verdict import judge
from tfbind.tracking import cache
from tfbind.tracking.cache import stored_runs
from tfbind.tracking.client import STALL_SECONDS, NotThereError, WandbError, base_url, find_key
from tfbind.tracking.mapping import suggest
from tfbind.tracking.pull import fetch_histories, parse_path, pull_runs


@pytest.fixture
def server(server):
    for run in seed_runs():
        server.add(run)
    return server


def pull(home, *words) -> tuple[int, str, str]:
    return called(home, "pull", *words)


def long_runs(server, count: int, steps: int, project: str = "big"):
    for number in range(count):
        run = StoredRun(ENTITY, project, f"run{number}", f"run {number}", {"lr": {"value": 0.1 / (number + 1)}})
        run.history = [{"_step": step, "epoch": step + 1, "val_loss": 1 / (step + 1)} for step in range(steps)]
        run.summary = run.history[-1]
        run.state = "finished"
        server.add(run)


def test_the_seeds_three_runs_come_as_one_row_an_epoch_and_stay_without_the_server(tmp_path, server):
    command = [sys.executable, "-m", "tfbind", "pull", "lab/seed", "--json"]
    first = subprocess.run(
        command, env={**os.environ, "TFBIND_HOME": str(tmp_path)}, capture_output=True, text=True, timeout=120
    )
    assert first.returncode == 0, first.stderr
    found = json.loads(first.stdout.splitlines()[-1])["runs"]
    assert [run["config"] for run in found] == [{"learning_rate": r, "batch_size": 64} for r in (0.01, 0.001, 0.0001)]
    assert [found[0][name] for name in ("id", "name", "state")] == ["seed0", "sweep-1", "finished"]
    assert found[0]["rows"][0] == pytest.approx(
        {"epoch": 1, "train_loss": 1.5923, "val_loss": 1.4923, "val_pearsonr": 0.646525}
    )
    last = [(run["rows"][-1]["epoch"], run["rows"][-1]["val_loss"], run["rows"][-1]["val_pearsonr"]) for run in found]
    assert last == [(5, 0.5548, 0.8809), (5, 0.6159, 0.8686), (5, 1.4150, 0.6542)]
    asked = server.requests.total()
    server.fault = Fault("drop")
    assert pull(tmp_path, "lab/seed", "--json") == (0, first.stdout, "")
    refused = (1, "", f"tfbind: W&B at {server.url} drops the connection\n")
    assert pull(tmp_path, "lab/seed", "--refresh", "--json") == refused
    assert pull(tmp_path, "lab/seed", "--json") == (0, first.stdout, "")
    assert asked == 6  # who is asking, twice; the list; a curve for each run
    assert server.unknown == []
    assert KEY not in first.stdout + first.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()] == []


FAULTS = {
    "401": "refuses the key (401)",
    "403": "forbids it (403); this key may not see lab/seed",
    "404": "has no lab/seed (404)",
    "429": "answers nothing more for now (429: too many requests)",
    "500": "is out of order (HTTP 500)",
    "hang": "did not answer for 2 s",
    "malformed": "answers with something that is not W&B's language",
    "truncated": "breaks off in the middle of an answer",
    "drop": "drops the connection",
    "errors": "answers with an error: shard 7 is being moved",
    "null": "answers without the data that it was asked for",
}
LISTED = FAULTS | {"null": "has no lab/seed (404)"}  # what the client makes of a project that is null


@pytest.mark.parametrize(
    ("kind", "where"),
    [*((kind, "Runs") for kind in FAULTS), ("401", ""), ("errors", "Viewer")],
)
def test_every_fault_is_one_clear_sentence_in_time(tmp_path, server, kind, where):
    server.fault = Fault(kind, where)
    with pytest.raises(WandbError) as error:
        pull_runs(tmp_path, "lab/seed", stall_seconds=2 if kind == "hang" else STALL_SECONDS)
    assert server.fault.met == 0 or time.monotonic() - server.fault.met < 15
    said = str(error.value)
    assert said.startswith(f"W&B at {server.url} {LISTED[kind]}")
    assert "\n" not in said
    assert KEY not in said
    assert stored_runs(tmp_path) == []


@pytest.mark.parametrize("kind", ["429", "drop", "null"])
def test_a_fault_after_some_curves_is_said_at_once_and_the_next_pull_goes_on_from_there(tmp_path, server, kind):
    long_runs(server, 40, 5)
    server.fault = Fault(kind, "RunFullHistory", after=10)
    with pytest.raises(WandbError) as error:
        pull_runs(tmp_path, "lab/big", histories=True)
    assert time.monotonic() - server.fault.met < 15
    had = {past.id for past in stored_runs(tmp_path) if not past.sampled}
    said = str(error.value)
    assert said.startswith(f"W&B at {server.url} {FAULTS[kind].replace('lab/seed', 'lab/big')}")
    assert said.endswith(
        f"; {len(had)} of 40 curves came before that and are kept, so that the next pull goes on from there"
    )
    assert len(stored_runs(tmp_path)) == 40
    assert len(had) <= 10
    assert server.requests["RunFullHistory"] < 40  # those that waited were not sent
    server.fault = None
    server.seen.clear()
    rest = pull_runs(tmp_path, "lab/big", histories=True)
    requests = [json.loads(body) for body in server.seen]
    asked = {request["variables"]["name"] for request in requests if "RunFullHistory" in request["query"]}
    assert (rest.fresh, len(asked), asked & had) == (False, 40 - len(had), set())
    assert [(len(past.rows), past.sampled) for past in rest.records] == [(5, False)] * 40


def test_the_command_says_such_a_fault_in_one_line_and_goes_on_next_time(tmp_path, server):
    server.fault = Fault("429", "RunFullHistory", after=1)
    code, out, err = pull(tmp_path, "lab/seed", "--json")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "(429: too many requests); wait a minute and try again; " in err
    server.fault = None
    _, out, _ = pull(tmp_path, "lab/seed", "--json")
    assert [len(run["rows"]) for run in json.loads(out)["runs"]] == [5, 5, 5]


def test_a_fault_in_the_middle_of_the_curves_keeps_what_was_there(tmp_path, server):
    first = pull_runs(tmp_path, "lab/seed")
    server.fault = Fault("500", "RunFullHistory")
    with pytest.raises(WandbError, match="is out of order"):
        fetch_histories(tmp_path, [past.key for past in first.records])
    assert stored_runs(tmp_path) == first.records
    server.fault = Fault("slow", "RunFullHistory")
    fetch_histories(tmp_path, [past.key for past in first.records])
    assert [(len(past.rows), past.sampled) for past in stored_runs(tmp_path)] == [(5, False)] * 3


def test_a_thousand_runs_take_few_requests_and_their_curves_come_when_asked_for(tmp_path, server):
    long_runs(server, 1000, 100)
    pulled = pull_runs(tmp_path, "lab/big")
    assert len(pulled.records) == 1000
    assert server.requests["Runs"] == 2
    assert server.requests.total() == 4
    assert {past.sampled for past in pulled.records} == {True}
    assert pulled.records[7].rows == [{"epoch": 100, "val_loss": 0.01}]
    keys = [past.key for past in pulled.records[10:14]]
    fetch_histories(tmp_path, keys)
    assert server.requests["RunFullHistory"] == 4
    fetch_histories(tmp_path, keys)
    assert server.requests["RunFullHistory"] == 4
    full = {past.key: past for past in stored_runs(tmp_path)}
    assert [len(full[key].rows) for key in keys] == [100] * 4
    assert [row["epoch"] for row in full[keys[0]].rows] == list(range(1, 101))
    assert stored_runs(tmp_path)[5] is stored_runs(tmp_path)[5]
    assert pull_runs(tmp_path, "lab/big").fresh is False
    server.find(ENTITY, "big", "run11").history.append({"_step": 100, "epoch": 101, "val_loss": 0.0})
    pull_runs(tmp_path, "lab/big", refresh=True)
    fetch_histories(tmp_path, keys)
    assert server.requests["RunFullHistory"] == 5
    assert len({past.id: past for past in stored_runs(tmp_path)}["run11"].rows) == 101


def test_a_curve_that_the_server_thins_is_read_in_full_or_called_sampled(tmp_path, server):
    long_runs(server, 1, 300)
    server.sampled = 50
    assert [(len(past.rows), past.sampled) for past in pull_runs(tmp_path, "lab/big", histories=True).records] == [
        (300, False)
    ]
    server.pages = False
    (tmp_path / "other").mkdir()
    thin = pull_runs(tmp_path / "other", "lab/big", histories=True).records
    assert [(len(past.rows), past.sampled) for past in thin] == [(50, True)]


@pytest.mark.parametrize(
    ("kind", "why"), [("500", "is out of order (HTTP 500)"), ("errors", "answers with an error")]
)
def test_where_pages_fail_it_is_said_and_the_thinned_curve_stays(tmp_path, server, kind, why):
    long_runs(server, 1, 300)
    server.sampled = 50
    server.fault = Fault(kind, "HistoryPage")
    with pytest.raises(WandbError) as error:
        pull_runs(tmp_path, "lab/big", histories=True)
    assert why in str(error.value)
    assert [(len(past.rows), past.sampled) for past in stored_runs(tmp_path)] == [(50, True)]
    server.fault = None
    assert [(len(past.rows), past.sampled) for past in pull_runs(tmp_path, "lab/big", histories=True).records] == [
        (300, False)
    ]


@pytest.mark.parametrize("count", [3, 120])  # asked for by name, and listed
def test_a_run_that_was_deleted_since_does_not_keep_the_others_from_their_curves(tmp_path, server, count):
    long_runs(server, count, 5)
    kept = pull_runs(tmp_path, "lab/big").records
    del server.runs[ENTITY, "big"]["run1"]
    with pytest.raises(WandbError) as error:
        fetch_histories(tmp_path, [past.key for past in kept])
    assert str(error.value) == f"W&B at {server.url} has no longer run1 in lab/big; their last values stay"
    assert sorted(len(past.rows) for past in stored_runs(tmp_path)) == [1, *[5] * (count - 1)]


def test_what_the_server_does_not_have_is_an_error_also_when_its_project_is_kept(tmp_path, server):
    missing = f"W&B at {server.url} has no run of a sweep 'nope' in lab/seed; is its id spelled right?"
    for _ in range(2):
        with pytest.raises(NotThereError) as error:
            pull_runs(tmp_path, "lab/seed/sweeps/nope")
        assert str(error.value) == missing
        pull_runs(tmp_path, "lab/seed")
    assert pull(tmp_path, "lab/seed/sweeps/nope") == (2, "", f"tfbind: {missing}\n")
    code, out, err = pull(tmp_path, "lab/none")
    assert (code, out) == (2, "")
    assert err.startswith(f"tfbind: W&B at {server.url} has no lab/none (404); ")
    assert len(stored_runs(tmp_path)) == 3


def test_the_command_forgets_a_project_of_this_server(tmp_path, server):
    pull_runs(tmp_path, "lab/seed")
    assert pull(tmp_path, "lab/seed/sweeps/abcd1234", "--forget")[0] == 2
    assert len(stored_runs(tmp_path)) == 3
    assert pull(tmp_path, "lab/seed", "--forget") == (0, f"lab/seed at {server.url}: moved to the trash\n", "")
    assert stored_runs(tmp_path) == []
    nothing = (2, "", f"tfbind: nothing of lab/seed at {server.url} is kept here\n")
    assert pull(tmp_path, "lab/seed", "--forget") == nothing


def test_a_sweep_that_is_newer_than_what_is_kept_of_its_project_is_asked_for(tmp_path, server):
    pull_runs(tmp_path, "lab/seed")
    server.add(StoredRun(ENTITY, "seed", "later", "later", sweep="efgh5678"))
    assert [past.id for past in pull_runs(tmp_path, "lab/seed/sweeps/efgh5678").records] == ["later"]
    del server.runs[ENTITY, "seed"]["seed0"]
    found = pull_runs(tmp_path, "lab/seed/sweeps/abcd1234", refresh=True).records
    assert [past.id for past in found] == ["seed1", "seed2"]
    assert len(stored_runs(tmp_path)) == 3


def test_a_sweep_is_a_part_of_its_project(tmp_path, server):
    server.add(StoredRun(ENTITY, "seed", "alone", "alone", state="running"))
    assert len(pull_runs(tmp_path, "lab/seed/sweeps/abcd1234").records) == 3
    assert len(stored_runs(tmp_path)) == 3
    whole = pull_runs(tmp_path, "https://wandb.ai/lab/seed/workspace")
    assert (whole.fresh, len(whole.records), len(stored_runs(tmp_path))) == (True, 4, 4)
    assert pull_runs(tmp_path, "lab/seed/sweeps/abcd1234").fresh is False


def test_of_a_run_without_a_curve_the_last_values_are_known_and_no_epoch_is_made_up(tmp_path, server):
    run = StoredRun(ENTITY, "ends", "x", "x", {"lr": {"value": 0.1}}, {"val_loss": 0.5, "epoch": 9}, state="finished")
    server.add(run)
    thin = pull_runs(tmp_path, "lab/ends").records
    fetch_histories(tmp_path, [past.key for past in thin])
    whole = stored_runs(tmp_path)
    assert [(past.rows[0]["val_loss"], past.last_only, past.sampled) for past in (*thin, *whole)] == [
        (0.5, True, True),  # its curve can be asked for
        (0.5, True, False),  # the server has none
    ]
    best, fifth = choose("val_loss"), choose("val_loss", "epoch", 9)
    assert [[record[key] for key in ("epochs", "best_epoch", "val_loss")] for record in table(whole, best)] == [
        [None, None, 0.5]
    ]
    assert (
        csv_table(whole, best)
        .splitlines()[1]
        .startswith(f"{whole[0].key},x,x,finished,wandb,{server.url},lab/ends,,,2026-05-01T10:00:00Z,,,,0.5,")
    )
    assert why_left_out(whole[0], best) is None
    assert why_left_out(whole[0], fifth) == "only its last values are known"
    verdict = judge(whole, best)
    assert "Of 1 of 1 runs only the last values are known, and stand for the best." in verdict.notes
    assert verdict.rankings[0].trend is None
    drawn = learning_curves(verdict.settings, "val_loss", PlotOptions()).data
    assert [list(trace.x) for trace in drawn] == [[]]
    said = pull(tmp_path, "lab/ends")[1]
    assert ": 1 run, " in said.splitlines()[0]
    assert "last values val_loss 0.5000" in said


def test_one_path_on_two_servers_is_two_projects_and_a_key_goes_to_its_own_server_only(tmp_path, server, monkeypatch):
    with WandbServer() as other:
        for run in seed_runs():
            run.summary["val_loss"] += 1
            other.add(run)
        pull_runs(tmp_path, "lab/seed")
        pull_runs(tmp_path, "lab/seed", other.url)
        rows = [(record["server"], record["id"], record["val_loss"]) for record in both(tmp_path)]
        first = [(server.url, "seed0", 0.5548), (server.url, "seed1", 0.6159), (server.url, "seed2", 1.415)]
        assert sorted(rows) == sorted([*first, *((other.url, id, loss + 1) for _, id, loss in first)])
        del server.runs[ENTITY, "seed"]["seed0"]
        pull_runs(tmp_path, "lab/seed", refresh=True)
        assert len(stored_runs(tmp_path)) == 5
        assert len(pull_runs(tmp_path, "lab/seed", other.url).records) == 3
        for words, why in (
            (["seed1"], "2 runs have the id 'seed1'; name one by its key: wandb:"),
            (["--sweep", "abcd1234"], f"{' and '.join(sorted([server.url, other.url]))} each have one; name runs by"),
        ):
            code, _, err = called(tmp_path, "compare", "--metric", "val_loss", *words)
            assert code == 2
            assert why in err
        monkeypatch.delenv("WANDB_API_KEY")
        monkeypatch.setenv("HOME", str(tmp_path))
        before = other.requests.total()
        with pytest.raises(WandbError, match=r"^no W&B key: set WANDB_API_KEY, or keep one for 127.0.0.1 in netrc$"):
            fetch_histories(tmp_path, [past.key for past in stored_runs(tmp_path)], server.url, KEY)
        assert other.requests.total() == before
    assert sorted((past.server == server.url, len(past.rows)) for past in stored_runs(tmp_path)) == [
        *[(False, 1)] * 3,
        *[(True, 5)] * 2,
    ]


def both(home) -> list[dict]:
    return table(stored_runs(home), choose("val_loss"))


def test_names_of_other_peoples_code_are_mapped_once(tmp_path, server):
    run = StoredRun(ENTITY, "theirs", "x", "x", {"lr": {"value": "1e-3"}, "model": {"value": {"act": "relu"}}})
    run.history = [{"_step": e, "epoch": e, "val/r": 0.5 + e / 10, "val/loss": "NaN"} for e in range(3)]
    run.summary = run.history[-1]
    server.add(run)
    pulled = pull_runs(tmp_path, "lab/theirs", histories=True)
    settings, metrics = cache.names_in(pulled.project)
    likely = suggest([*settings, *metrics])
    assert likely == {"lr": "learning_rate", "val/r": "val_pearsonr", "val/loss": "val_loss"}
    with pytest.raises(ValueError, match="cannot become 'loss'; expected one of"):
        cache.save_names(pulled.project, {"lr": "loss"})
    with pytest.raises(ValueError, match="cannot both become val_loss"):
        cache.save_names(pulled.project, {"a": "val_loss", "b": "val_loss"})
    cache.save_names(pulled.project, likely)
    (past,) = stored_runs(tmp_path)
    assert past.config == {"learning_rate": 0.001, "model.act": "relu"}
    assert [row["val_pearsonr"] for row in past.rows] == [0.5, 0.6, 0.7]
    assert [row["epoch"] for row in past.rows] == [1, 2, 3]
    assert all(math.isnan(row["val_loss"]) for row in past.rows)
    pull_runs(tmp_path, "lab/theirs", refresh=True)
    assert stored_runs(tmp_path)[0].config["learning_rate"] == 0.001
    shown = json.loads(pull(tmp_path, "lab/theirs", "--json")[1])
    assert shown["runs"][0]["rows"][0] == {"epoch": 1, "val_loss": None, "val_pearsonr": 0.5}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("lab/seed", ("lab/seed", None)),
        ("lab/seed/sweeps/x1/", ("lab/seed", "x1")),
        ("https://wandb.ai/lab/seed?nw=nwuserlab", ("lab/seed", None)),
        ("wandb.ai/lab/seed", ("lab/seed", None)),
        ("https://wandb.ai/lab/seed/sweeps/x1/table?workspace=user-lab#top", ("lab/seed", "x1")),
        ("https://wandb.ai/lab/seed/sweeps/", ("lab/seed", None)),
        ("https://wandb.ai/lab/seed/runs/x1/overview", ("lab/seed", None)),
        ("https://wandb.ai/lab/seed/reports/A-title--Vmlldzox", ("lab/seed", None)),
        ("http://127.0.0.1:8080/wandb/lab/my%20seed-2/workspace", None),
        ("https://lab.wandb.ai/lab/seed/artifacts/model/m/v0", ("lab/seed", None)),
    ],
)
def test_the_address_of_a_page_is_that_of_its_project(address, expected):
    if expected is None:
        with pytest.raises(ValueError, match="expected ENTITY/PROJECT"):
            parse_path(address)
    else:
        assert parse_path(address) == expected


def test_what_cannot_be_asked_for_is_said_at_once(tmp_path, server, monkeypatch):
    for text in ("seed", "a/b/c", "a/b/sweeps/", "../b", ""):
        with pytest.raises(ValueError, match="expected ENTITY/PROJECT"):
            parse_path(text)
    for address in ("wandb.ai", "ftp://x", "http://"):
        with pytest.raises(ValueError, match="expected one such as"):
            base_url(address)
    with pytest.raises(ValueError, match="leave user and password out"):
        base_url("http://me:secret@x")
    with pytest.raises(WandbError, match="cannot be one: expected at least 40") as error:
        find_key(server.url, "short-key")
    assert "short-key" not in str(error.value)
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    missing = "tfbind: no W&B key: set WANDB_API_KEY, or keep one for 127.0.0.1 in netrc\n"
    assert pull(tmp_path, "lab/seed") == (1, "", missing)
    assert pull(tmp_path)[0] == 2
    assert "no file .wandb in it" in pull(tmp_path, "--offline", str(tmp_path))[2]
    assert server.seen == []
