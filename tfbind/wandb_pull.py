"""The process that asks W&B: a request on standard input, one JSON line for each run and each history on output.

`python -m tfbind.wandb_pull` is started by `wandb_client.converse`, with the key in its environment, and ended by it
when it hangs. The request: `path` entity/project, `sweep` or null, `list` whether all runs are asked for, `histories`
"all" or ids, `known` the line counts of the histories that the caller has.
"""

import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from tfbind.wandb_client import KEY, URL, in_full

PER_PAGE = 500
DEEPEST = 20  # settings within settings
AT_ONCE = 8  # the client sends at most ten requests at a time
FEW = 8  # so many runs are cheaper asked for one by one than listed
UNTOLD = 10_000
MOST_ROWS = 2**31 - 1  # of which the client can ask for a number
ALIVE_ROWS = 1000
GONE = re.compile("could not find run", re.IGNORECASE)
NO_PAGES = re.compile("unknown operation|cannot query field|unknown field", re.IGNORECASE)

Say = Callable[..., None]


def main() -> None:
    """Answer one request."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what the client prints is none of the caller's

    lock = threading.Lock()

    def say(**facts: Any) -> None:
        with lock:
            out.write(json.dumps(facts) + "\n")

    request = json.load(sys.stdin)
    try:
        import wandb

        say(alive=True)
        api = wandb.Api(overrides={"base_url": os.environ[URL]}, api_key=os.environ[KEY], timeout=10)
        say(alive=True)
        found = []
        for run in _runs(api, request):
            say(run=_facts(run))
            found.append(run)
        _histories(found, request, say)
        say(done=True)
    except Exception as error:  # noqa: BLE001 - the client raises what it likes; the caller makes a sentence of it
        say(error=in_full(error))


def _runs(api: Any, request: dict[str, Any]) -> Iterator[Any]:
    path, wanted = request["path"], request["histories"]
    if not request["list"] and len(wanted) <= FEW:
        yield from filter(None, (_run(api, f"{path}/{id}") for id in wanted))
        return
    sweep = request["sweep"]
    for run in api.runs(path, filters={"sweep": sweep} if sweep else {}, per_page=PER_PAGE, lazy=False):
        if not sweep or run.sweep_name in (None, sweep):
            yield run


def _run(api: Any, path: str) -> Any:
    """A run, None where it has been deleted: the caller sees which did not come."""
    try:
        return api.run(path)
    except Exception as error:
        if not GONE.search(str(error)):
            raise
        return None


def _facts(run: Any) -> dict[str, Any]:
    return {
        "id": run.id,
        "name": run.name or run.id,
        "state": run.state,
        "config": _shallow(dict(run.config)),
        "summary": _shallow(dict(run.summary_metrics or {})),
        "sweep": run.sweep_name,
        "group": run.group,
        "tags": list(run.tags or []),
        "note": run.notes or "",
        "created": run.created_at,
        "count": _count(run),
    }


def _count(run: Any) -> int | None:
    """How many rows a run has; None where the server does not say, or says what cannot be."""
    count = run.historyLineCount
    return count if isinstance(count, int) and 0 <= count <= MOST_ROWS else None


def _shallow(value: Any, depth: int = DEEPEST) -> Any:
    """A value without what is nested deeper than a reader of it can follow."""
    if not isinstance(value, dict | list):
        return value
    if not depth:
        return "…"
    if isinstance(value, list):
        return [_shallow(inner, depth - 1) for inner in value]
    return {name: _shallow(inner, depth - 1) for name, inner in value.items()}


def _histories(found: list[Any], request: dict[str, Any], say: Say) -> None:
    wanted, known = request["histories"], request["known"]
    asked = [run for run in found if wanted == "all" or run.id in wanted]
    stale = [run for run in asked if known.get(run.id) is None or known[run.id] != _count(run)]
    say(histories=len(stale))
    pool = ThreadPoolExecutor(AT_ONCE)
    asked = [pool.submit(_history, run, say) for run in stale]
    try:
        for done in as_completed(asked):
            done.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # what refuses one run refuses the others, and is said at once


def _history(run: Any, say: Say) -> None:
    """Say the rows of a run, and whether they are all there are: what the server thins is read page by page."""
    count = _count(run)
    rows = run.history(samples=count or UNTOLD, pandas=False) if count != 0 else []
    complete = len(rows) >= count if count is not None else len(rows) < UNTOLD
    if not complete and count is not None:
        scanned = _scanned(run, say)
        rows, complete = max(rows, scanned, key=len), len(scanned) >= count
    say(history={"id": run.id, "count": count, "sampled": not complete, "rows": rows})


def _scanned(run: Any, say: Say) -> list[dict[str, Any]]:
    """The rows of a run, page by page; [] from a server that has no pages."""
    rows = []
    try:
        for row in run.scan_history():
            rows.append(row)
            if len(rows) % ALIVE_ROWS == 0:
                say(alive=True)
    except Exception as error:
        if not NO_PAGES.search(str(error)):
            raise
    return rows


if __name__ == "__main__":
    main()
