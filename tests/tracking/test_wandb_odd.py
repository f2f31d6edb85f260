"""What a W&B server may say that no table holds."""

import math
from pathlib import Path
from typing import Any

from wandb_server import ENTITY, KEY, StoredRun, WandbServer

from tfbind.tracking.cache import stored_runs
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
