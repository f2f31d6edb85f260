"""A W&B-compatible server on loopback, for the real client: GraphQL, the stream of rows, and faults on request.

It keeps what is logged to it in memory. `WandbServer` is a context manager.
"""

import base64
import gzip
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "0123456789abcdef0123456789abcdef01234567"
ENTITY = "lab"
SAMPLES = 500
SLOW_SECONDS = 1.5
OPERATION = re.compile(r"(?:query|mutation)\s+(\w+)")
STREAM = re.compile(r"/files/([^/]+)/([^/]+)/([^/]+)/file_stream")


@dataclass
class StoredRun:
    """A run as the server has it: `history` are the rows in the order in which they came."""

    entity: str
    project: str
    name: str
    display_name: str
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    state: str = "running"
    group: str = ""
    tags: list[str] = field(default_factory=list)
    sweep: str | None = None
    created: str = "2026-05-01T10:00:00Z"
    claimed: int | None = None  # rows that it says it has, where that is a lie

    @property
    def id(self) -> str:
        return base64.b64encode(f"Run:v1:{self.name}:{self.project}:{self.entity}".encode()).decode()


@dataclass
class Fault:
    """What goes wrong: a status, or `slow`, `hang`, `null`, `errors`, `malformed`, `truncated`, `drop`; from request
    `after` on.

    `where` is the operation it happens to, `file_stream` for rows, "" for everything.
    """

    kind: str
    where: str = ""
    after: int = 0
    met: float = 0.0  # when it happened first, on the clock of `time.monotonic`


class WandbServer:
    """The server, listening while the context is open."""

    def __init__(self) -> None:
        self.runs: dict[tuple[str, str], dict[str, StoredRun]] = {}
        self.requests: Counter[str] = Counter()
        self.unknown: list[str] = []
        self.seen: list[str] = []
        self.fault: Fault | None = None
        self.sampled = SAMPLES
        self.pages = True  # whether rows can be read page by page
        self.lock = threading.RLock()
        self.released = threading.Event()
        self._http = _Listener(("127.0.0.1", 0), _Handler)
        self._http.store = self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> "WandbServer":
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._http.shutdown()
        self._http.server_close()

    def add(self, run: StoredRun) -> StoredRun:
        """Keep a run that nobody logged."""
        self.runs.setdefault((run.entity, run.project), {})[run.name] = run
        return run

    def find(self, entity: str | None, project: str, name: str) -> StoredRun | None:
        return self.runs.get((entity or ENTITY, project), {}).get(name)

    def due(self, what: str) -> str:
        """The fault that this request meets, "" for none."""
        fault = self.fault
        if fault is None or (fault.where and fault.where != what):
            return ""
        if fault.after > 0:
            fault.after -= 1
            return ""
        fault.met = fault.met or time.monotonic()
        return fault.kind


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    store: WandbServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no event."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def log_message(self, *_: Any) -> None:
        """Silence."""

    def do_POST(self) -> None:
        body = self._body()
        store = self.server.store
        stream = STREAM.fullmatch(self.path)
        request = {} if stream else json.loads(body or b"{}")
        what = "file_stream" if stream else operation(request)
        with store.lock:
            store.requests[what] += 1
            store.seen.append(body.decode(errors="replace"))
            fault = store.due(what)
        if fault and not self._fails(fault):
            return
        if self.headers.get("Authorization") != "Basic " + base64.b64encode(f"api:{KEY}".encode()).decode():
            self._answer(401, {"errors": [{"message": "user is not logged in"}]})
            return
        with store.lock:
            if stream:
                answer = receive(store, stream.groups(), json.loads(body))
            else:
                answer = execute(store, what, request.get("variables") or {}, request.get("query") or "")
        self._answer(200, answer)

    def do_PUT(self) -> None:
        self._body()
        self._answer(200, {})

    def do_GET(self) -> None:
        self._answer(404, {"error": "not found"})

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _fails(self, kind: str) -> bool:
        """Go wrong; whether the true answer is to follow."""
        if kind.isdigit():
            self._send(int(kind), b"no")
        elif kind == "slow":
            self.server.store.released.wait(SLOW_SECONDS)
            return True
        elif kind == "hang":
            self.server.store.released.wait(120)
            self.close_connection = True
        elif kind == "null":
            self._answer(200, {"data": None})
        elif kind == "errors":
            self._answer(200, {"data": None, "errors": [{"message": "shard 7 is being moved"}]})
        elif kind == "malformed":
            self._send(200, b"<html>this is not the API</html>")
        elif kind == "truncated":
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "5000")
            self.end_headers()
            self.wfile.write(b'{"data": {"viewer": {"id": "abc", "ent')
            self.close_connection = True
        else:
            assert kind == "drop", kind
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        return False

    def _answer(self, status: int, value: Any) -> None:
        self._send(status, json.dumps(value).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def operation(request: dict[str, Any]) -> str:
    """The name of a GraphQL request; queries written in Python have it in their text only."""
    found = OPERATION.search(request.get("query") or "")
    return request.get("operationName") or (found[1] if found else "unnamed")


def receive(store: WandbServer, path: tuple[str | Any, ...], body: dict[str, Any]) -> dict[str, Any]:
    """Rows, summaries and the end of a run, as the client streams them."""
    run = store.find(*path)
    if run is None:
        return {"error": "no such run"}
    files = body.get("files") or {}
    rows = files.get("wandb-history.jsonl") or {"offset": 0, "content": []}
    place = slice(rows["offset"], rows["offset"] + len(rows["content"]))  # a part that is sent again lands on itself
    run.history[place] = [json.loads(line) for line in rows["content"]]
    for line in (files.get("wandb-summary.json") or {}).get("content", []):
        run.summary = json.loads(line)
    if body.get("complete"):
        run.state = "finished" if body.get("exitcode") == 0 else "failed"
    return {"limits": {}}


def execute(store: WandbServer, what: str, variables: dict[str, Any], query: str) -> dict[str, Any]:
    """The answer to one GraphQL operation."""
    act = ANSWERS.get(what)
    if act is None:
        store.unknown.append(f"{what} {sorted(variables)} {' '.join(query.split())[:200]}")
        return {"data": None, "errors": [{"message": f"unknown operation {what}"}]}
    return {"data": act(store, variables)}


def _viewer(_: WandbServer, __: dict[str, Any]) -> dict[str, Any]:
    teams = {"edges": [{"node": {"name": ENTITY}}]}
    person = {"id": "VXNlcjox", "entity": ENTITY, "username": "ada", "name": "Ada", "email": "ada@example.org"}
    return {"viewer": {**person, "admin": False, "flags": "{}", "teams": teams, "apiKeys": {"edges": []}}}


def _upsert(store: WandbServer, given: dict[str, Any]) -> dict[str, Any]:
    entity, project = given.get("entity") or ENTITY, given.get("project") or "uncategorized"
    run = store.find(entity, project, given["name"])
    inserted = run is None
    if run is None:
        run = store.add(StoredRun(entity, project, given["name"], given.get("displayName") or given["name"]))
    run.state = "running"
    run.display_name = given.get("displayName") or run.display_name
    run.group = given.get("groupName") or run.group
    run.tags = given.get("tags") or run.tags
    run.sweep = given.get("sweep") or run.sweep
    run.config = json.loads(given["config"]) if given.get("config") else run.config
    bucket = {
        "id": run.id,
        "name": run.name,
        "displayName": run.display_name,
        "description": "",
        "config": json.dumps(run.config),
        "sweepName": run.sweep,
        "historyLineCount": len(run.history) if run.claimed is None else run.claimed,
        "project": {"id": "p", "name": project, "entity": {"id": "e", "name": entity}},
    }
    return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}


def _resume_status(store: WandbServer, given: dict[str, Any]) -> dict[str, Any]:
    run = store.find(given.get("entity"), given["project"], given["name"])
    bucket = run and {
        "id": run.id,
        "name": run.name,
        "summaryMetrics": json.dumps(run.summary),
        "displayName": run.display_name,
        "logLineCount": 0,
        "historyLineCount": len(run.history) if run.claimed is None else run.claimed,
        "eventsLineCount": 0,
        "historyTail": json.dumps([json.dumps(row) for row in run.history[-1:]]),
        "eventsTail": "[]",
        "config": json.dumps(run.config),
        "tags": run.tags,
        "notes": None,
        "wandbConfig": json.dumps({"t": 1}),
    }
    entity = {"id": "e", "name": given.get("entity") or ENTITY}
    return {"model": {"id": "p", "name": given["project"], "entity": entity, "bucket": bucket}}


def _node(run: StoredRun) -> dict[str, Any]:
    return {
        "id": run.id,
        "projectId": "1",
        "internalId": "1",
        "tags": run.tags,
        "name": run.name,
        "displayName": run.display_name,
        "sweepName": run.sweep,
        "state": run.state,
        "config": json.dumps(run.config),
        "group": run.group,
        "jobType": None,
        "commit": None,
        "readOnly": False,
        "createdAt": run.created,
        "heartbeatAt": run.created,
        "description": "",
        "notes": "",
        "systemMetrics": "{}",
        "summaryMetrics": json.dumps(run.summary),
        "historyLineCount": len(run.history) if run.claimed is None else run.claimed,
        "user": {"name": "Ada", "username": "ada"},
        "historyKeys": {"lastStep": run.history[-1].get("_step", len(run.history) - 1) if run.history else -1},
    }


def _matching(store: WandbServer, given: dict[str, Any]) -> list[StoredRun]:
    filters = json.loads(given.get("filters") or "{}")
    sweep, names = filters.get("sweep"), filters.get("name", {}).get("$in")
    every = store.runs[(given.get("entity") or ENTITY, given["project"])].values()
    return [run for run in every if sweep in (None, run.sweep) and (names is None or run.name in names)]


def _runs(store: WandbServer, given: dict[str, Any]) -> dict[str, Any]:
    if (given.get("entity") or ENTITY, given["project"]) not in store.runs:
        return {"project": None}
    found = _matching(store, given)
    start, count = int(given.get("cursor") or 0), given.get("perPage") or 50
    page = found[start : start + count]
    edges = [{"node": _node(run), "cursor": str(start + i + 1)} for i, run in enumerate(page)]
    info = {"endCursor": str(start + len(page)), "hasNextPage": start + len(page) < len(found)}
    project = {"internalId": "1", "runCount": len(found), "readOnly": False}
    return {"project": {**project, "runs": {"edges": edges, "pageInfo": info}}}


def _run_of(store: WandbServer, given: dict[str, Any]) -> StoredRun | None:
    name = next(given[key] for key in ("run", "runName", "name") if given.get(key))
    return store.find(given.get("entity"), given["project"], name)


def _run(store: WandbServer, given: dict[str, Any]) -> dict[str, Any]:
    run = _run_of(store, given)
    return {"project": {"internalId": "1", "run": run and _node(run)}}


def _history_keys(store: WandbServer, given: dict[str, Any]) -> dict[str, Any]:
    run = _run_of(store, given)
    return {"project": {"run": run and {"historyKeys": _node(run)["historyKeys"]}}}


def _full_history(store: WandbServer, given: dict[str, Any]) -> dict[str, Any]:
    run = _run_of(store, given)
    if run is None:
        return {"project": {"run": None}}
    rows = run.history
    most = min(given.get("samples") or store.sampled, store.sampled)
    if len(rows) > most:
        rows = [rows[round(i * (len(rows) - 1) / (most - 1))] for i in range(most)]
    return {"project": {"run": {"history": [json.dumps(row) for row in rows], "events": []}}}


def _parquet(store: WandbServer, given: dict[str, Any]) -> dict[str, Any]:
    run = _run_of(store, given)
    return {"project": {"run": run and {"parquetHistory": {"parquetUrls": [], "liveData": []}}}}


def _history_page(store: WandbServer, given: dict[str, Any]) -> dict[str, Any]:
    run = _run_of(store, given)
    if run is None:
        return {"project": {"run": None}}
    low, high = int(given["minStep"]), int(given["maxStep"])
    rows = [row for i, row in enumerate(run.history) if store.pages and low <= row.get("_step", i) < high]
    return {"project": {"run": {"history": [json.dumps(row) for row in rows[: given["pageSize"]]]}}}


ANSWERS = {
    **dict.fromkeys(("Viewer", "GetViewer", "GetDefaultEntity"), _viewer),
    "ServerFeaturesQuery": lambda *_: {"serverInfo": {"features": []}},
    "UpsertBucket": _upsert,
    "RunResumeStatus": _resume_status,
    "RunStoppedStatus": lambda *_: {"project": {"run": {"stopped": False}}},
    "CreateRunFiles": lambda *_: {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": []}},
    "Runs": _runs,
    "Run": _run,
    "RunHistoryKeys": _history_keys,
    "RunFullHistory": _full_history,
    "RunParquetHistory": _parquet,
    "HistoryPage": _history_page,
}


def seed_runs(project: str = "seed") -> Iterator[StoredRun]:
    """The published experiment's three runs as its code logs them: the two losses of an epoch in separate rows."""
    final = {0.01: (0.5548, 0.8809), 0.001: (0.6159, 0.8686), 0.0001: (1.4150, 0.6542)}
    for number, (rate, (loss, pearson)) in enumerate(final.items()):
        run = StoredRun(ENTITY, project, f"seed{number}", f"sweep-{number + 1}", sweep="abcd1234", state="finished")
        run.config = {"learning_rate": {"value": rate}, "batch_size": {"value": 64}, "_wandb": {"value": {}}}
        for epoch in range(1, 6):
            rest = 0.5 ** (epoch - 1) - 0.5**4
            step = 2 * (epoch - 1)
            run.history.append({"_step": step, "epoch": epoch, "train_loss": loss + rest + 0.1})
            measured = {"val_loss": loss + rest, "val_pearsonr": pearson - rest / 4}
            run.history.append({"_step": step + 1, "epoch": epoch, **measured})
        run.summary = {**run.history[-2], **run.history[-1]}
        yield run
