"""How the W&B client is run: in a process of its own, with everything bounded, and its many errors as one sentence.

The key comes from the caller, WANDB_API_KEY or netrc. It goes to the client's process by environment only, and is
in no file, no command line and no message.
"""

import contextlib
import json
import netrc
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from queue import Empty, Queue
from typing import IO, Any
from urllib.parse import urlsplit

from tfbind.config import python_path
from tfbind.store import spawn

BASE_URL = "https://api.wandb.ai"
KEY, URL = "WANDB_API_KEY", "WANDB_BASE_URL"
FOLDER = "wandb"  # in the home: what was pulled, and what the client itself writes
START_SECONDS = 40.0  # the client's own code is loaded
STALL_SECONDS = 11.0  # nothing is heard from the server
END_SECONDS = 10.0  # a process that is killed takes a moment to be gone
FINISH_SECONDS = 12
LOG_SECONDS = 86_400.0

# What the client sees of the caller's settings; anything else could send its rows elsewhere, or print the key.
KEPT = ("API_KEY", "BASE_URL", "ENTITY", "PROJECT", "SWEEP_ID", "RUN_ID", "SWEEP_PARAM_PATH")
BOUNDS = {
    "HTTP_TIMEOUT": 10,
    "INIT_TIMEOUT": 10,
    "FINISH_TIMEOUT": FINISH_SECONDS,
    "FINISH_TIMEOUT_RAISES": "true",
    "X_GRAPHQL_RETRY_MAX": 1,
    "X_GRAPHQL_RETRY_WAIT_MIN_SECONDS": 1,
    "X_GRAPHQL_RETRY_WAIT_MAX_SECONDS": 2,
    "X_GRAPHQL_TIMEOUT_SECONDS": 10,
    "X_TRANSACTION_LOG_FLUSH_INTERVAL": 1,
}
PRIVATE = {
    "SILENT": "true",
    "CONSOLE": "off",
    "ERROR_REPORTING": "false",
    "DISABLE_GIT": "true",
    "DISABLE_CODE": "true",
    "X_DISABLE_META": "true",
    "X_DISABLE_MACHINE_INFO": "true",
    "X_DISABLE_STATS": "true",
    "X_SAVE_REQUIREMENTS": "false",
    "HOST": "tfbind",
    "USERNAME": "tfbind",
    "PROGRAM": "tfbind",
}

KEY_FORM = re.compile(r"(?:[\w-]+-)?[\w-]{40,}")
STATUSES = {
    401: "refuses the key (401); make sure that it is valid and belongs to this server",
    403: "forbids it (403); this key may not see {path}",
    404: "has no {path} (404); make sure that the address and the project are spelled right",
    429: "answers nothing more for now (429: too many requests); wait a minute and try again",
}
NO_ACCOUNT = "knows no account for the key; make sure that the key is valid and belongs to this server"
SIGNS = (
    (r"connection refused", "could not be reached: connection refused"),
    (r"no such host|name resolution|lookup .* on ", "could not be reached: no host of that name"),
    (r"network is unreachable|no route to host", "could not be reached: no network"),
    (r"certificate|tls:", "could not be reached: its TLS certificate is not trusted"),
    (r"could not find project|project not found|could not find run|run not found|not find sweep", STATUSES[404]),
    (r"permission denied|not authorized|forbidden", STATUSES[403]),
    (r"did not recognize an account", NO_ACCOUNT),
    (r"not logged in|invalid api key|unauthorized|invalid credentials", STATUSES[401]),
    (r"deadline exceeded|time[d -]?out|did not respond in time", "does not answer"),
    (r"invalid character|not json|unmarshal", "answers with something that is not W&B's language"),
    (r"unexpected eof|truncated", "breaks off in the middle of an answer"),
    (r"\beof\b|connection reset|broken pipe|closed", "drops the connection"),
    (r"context canceled", "does not answer"),
    (r"NoneType", "answers without the data that it was asked for"),
)

ASKED = re.compile(r"\b(?:Post|Get) \"(https?://[^/\"]+)")
WRAPPING = re.compile(r"^\w+: (?:Failed to verify credentials with \S+: )?(?:input: )?")


class WandbError(OSError):
    """W&B could not do what was asked; one sentence says why."""


class NotThereError(WandbError, ValueError):
    """The server has no such project or sweep: what was asked for is wrong, not the server."""


def base_url(address: str | None = None) -> str:
    """The address of the W&B server: `address`, else WANDB_BASE_URL, else W&B's own.

    Raises:
        ValueError: it is not an http address, or holds a password.
    """
    url = (address or os.environ.get(URL) or BASE_URL).strip().rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", url):
        raise ValueError(f"W&B address {url[:80]!r}: expected one such as {BASE_URL}")
    if parts.username or parts.password:
        raise ValueError("W&B address: leave user and password out of it; the key goes into WANDB_API_KEY")
    return url


def find_key(url: str, key: str | None = None) -> str:
    """The key for a W&B server.

    Args:
        url: the address of the server.
        key: the key if the caller has one; else that of WANDB_API_KEY, else of netrc.

    Returns:
        The key.

    Raises:
        WandbError: there is none, or it cannot be a key.
    """
    key = (key or os.environ.get(KEY) or _netrc_key(url)).strip()
    if not key:
        raise WandbError(f"no W&B key: set {KEY}, or keep one for {urlsplit(url).hostname} in netrc")
    if not KEY_FORM.fullmatch(key):
        raise WandbError("the W&B key cannot be one: expected at least 40 letters, digits, '-' and '_'")
    return key


def _netrc_key(url: str) -> str:
    configured = os.environ.get("NETRC")
    for path in [Path(configured)] if configured else [Path.home() / ".netrc", Path.home() / "_netrc"]:
        with contextlib.suppress(OSError, netrc.NetrcParseError):
            login = netrc.netrc(path).authenticators(urlsplit(url).hostname or "")
            if login:
                return login[2] or ""
    return ""


def environment(home: Path, url: str, key: str = "") -> dict[str, str]:
    """The environment of a process that uses the client: bounded, private, and with all its files in `home`.

    WANDB_SERVICE, with which it would talk through the caller's client, is among what is left out.
    """
    folder = home / FOLDER / "client"
    folder.mkdir(parents=True, exist_ok=True)  # the client writes elsewhere when it is missing
    _delete_old_logs(folder / "cache" / "wandb" / "logs")
    passed = {f"WANDB_{name}" for name in KEPT}
    values = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_") or name in passed}
    values |= {f"WANDB_{name}": str(value) for name, value in (BOUNDS | PRIVATE).items()}
    values |= {f"WANDB_{kind}_DIR": str(folder / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
    values |= {"WANDB_DIR": str(folder), URL: url, "PYTHONPATH": python_path()}
    values.pop(KEY, None)
    return values | ({KEY: key} if key else {})


def _delete_old_logs(logs: Path) -> None:
    """Delete the logs that processes of the client left days ago: each leaves one, and none takes any away."""
    for path in logs.glob("*.log"):
        with contextlib.suppress(FileNotFoundError):  # another process does the same
            if time.time() - path.stat().st_mtime > LOG_SECONDS:
                path.unlink()


def run_client(
    home: Path,
    url: str,
    key: str,
    module: str,
    request: Mapping[str, Any],
    on_message: Callable[[dict[str, Any]], None],
    stall_seconds: float = STALL_SECONDS,
) -> None:
    """Run `python -m module` on a request, and hand each JSON line that it prints to `on_message`.

    It is ended when nothing was heard for `stall_seconds`, with all processes that it started.

    Raises:
        WandbError: what went wrong, in one sentence.
    """
    child = spawn(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(home, url, key),
        text=True,
    )
    queue: Queue[str | None] = Queue()
    reader = threading.Thread(target=_read_lines, args=(child.stdout, queue), daemon=True)
    reader.start()
    try:
        assert child.stdin
        with contextlib.suppress(BrokenPipeError), child.stdin:
            child.stdin.write(json.dumps(request))
        for message in _messages(queue, stall_seconds):
            if "error" in message:
                raise explain_error(message["error"], url, key, request.get("path", ""))
            on_message(message)
    except Empty:
        raise WandbError(f"W&B at {url} did not answer for {stall_seconds:g} s") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        reader.join(END_SECONDS)


def _read_lines(stream: IO[str], queue: "Queue[str | None]") -> None:
    with stream:
        for line in stream:
            queue.put(line)
    queue.put(None)


def _messages(queue: "Queue[str | None]", stall_seconds: float) -> Iterator[dict[str, Any]]:
    """The objects that a child prints, until it says that it is done.

    Raises:
        Empty: the next one does not come.
    """
    timeout = START_SECONDS
    while line := queue.get(timeout=timeout):
        message: dict[str, Any] = json.loads(line)
        if message.get("done"):
            return
        timeout = stall_seconds
        yield message
    yield {"error": "its process ended without a word"}


def full_message(error: Exception) -> str:
    """What the client's exception says, with the HTTP status that lies behind it."""
    cause: BaseException | None = error
    while cause is not None:
        if status := getattr(getattr(cause, "response", None), "http_status", 0):
            return f"HTTP {status}: {error}"
        cause = cause.__cause__ or cause.__context__
    return f"{type(error).__name__}: {error}"


def explain_error(error: str, url: str, key: str, path: str) -> WandbError:
    """One sentence for what the client said, in the user's words."""
    text = " ".join(error.split())
    status = re.search(r"(?:HTTP|status|error|upload:)\s+(\d{3})\b", text)
    code = int(status[1]) if status else 0
    reason = next((description for sign, description in SIGNS if re.search(sign, text, re.IGNORECASE)), None)
    if code in STATUSES:
        reason = STATUSES[code]
    elif code >= 500:
        reason = f"is out of order (HTTP {code}); try again later"
    excerpt = WRAPPING.sub("", text.replace(key, "…") if key else text)[:200]
    problem = reason.format(path=path or "that") if reason else f"answers with an error: {excerpt}"
    hosts = [host for host in ASKED.findall(text) if not f"{url}/".startswith(f"{host}/")]
    place = f"{url} sends requests on to {hosts[-1]}, which" if hosts else url
    return (NotThereError if reason == STATUSES[404] else WandbError)(f"W&B at {place} {problem}")
