"""Who reaches a running server: what its websocket, over which every page comes, and its uploads accept of a browser.

The handshakes are written by hand, since no browser sends a false Host or Origin.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tfbind.config import PROJECT

SECONDS = 60
PUBLIC = ("--server.allowedHosts", "lab.example.org", "--browser.serverAddress", "lab.example.org")
UPGRADE = """Upgrade: websocket
Connection: Upgrade
Sec-WebSocket-Version: 13
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
Sec-WebSocket-Protocol: streamlit
"""
ACCEPTED, REFUSED = 101, 403


@contextmanager
def server(home: Path, *options: str) -> Iterator[int]:
    """The app on a port, as `streamlit run app.py OPTIONS` starts it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    nowhere = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": ""}
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port), *options],
        cwd=PROJECT,
        env={**os.environ, **nowhere, "TFBIND_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + SECONDS
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.1)
        yield port
    finally:
        process.kill()
        process.wait()


def status(port: int, head: str, **headers: str | None) -> int:
    """The status that a request is answered with. `head` is its first line and what else it sends."""
    first, _, rest = head.partition("\n")
    lines = [f"{name}: {value}\n" for name, value in headers.items() if value is not None]
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        connection.sendall(f"{first}\n{''.join(lines)}{rest}\n".replace("\n", "\r\n").encode())
        return int(connection.recv(4096).split()[1])


def handshake(port: int, host: str, origin: str | None, base: str = "") -> int:
    return status(port, f"GET {base}/_stcore/stream HTTP/1.1\n{UPGRADE}", Host=host, Origin=origin)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """As `make run` starts it."""
    with server(tmp_path_factory.mktemp("local"), "--browser.serverAddress", "localhost") as port:
        yield port


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """As the recipe for a proxy in docs/security.md starts it."""
    with server(tmp_path_factory.mktemp("public"), "--server.baseUrlPath", "alice", *PUBLIC) as port:
        yield port


@pytest.mark.parametrize(
    ("host", "origin", "answer"),
    [
        ("localhost:8501", "http://localhost:8501", ACCEPTED),
        ("127.0.0.1:8501", "http://127.0.0.1:8501", ACCEPTED),
        ("localhost:8501", "http://localhost:9999", ACCEPTED),  # another server of this machine: see docs/security.md
        ("localhost:8501", None, ACCEPTED),  # no browser
        ("localhost:8501", "http://evil.example", REFUSED),
        ("localhost:8501", "null", REFUSED),
        ("evil.example", "http://evil.example", REFUSED),  # a name that was made to lead to 127.0.0.1
        ("localhost.evil.example:8501", "http://localhost.evil.example:8501", REFUSED),
    ],
)
def test_the_app_of_make_run_speaks_to_this_machine_only(
    local: int, host: str, origin: str | None, answer: int
) -> None:
    assert handshake(local, host, origin) == answer


@pytest.mark.parametrize(
    ("host", "origin", "answer"),
    [
        ("lab.example.org", "https://lab.example.org", ACCEPTED),
        ("lab.example.org:8443", "https://lab.example.org:8443", ACCEPTED),
        ("lab.example.org", "https://evil.example", REFUSED),
        ("evil.example", "https://evil.example", REFUSED),
        ("127.0.0.1:8511", "https://lab.example.org", REFUSED),  # a proxy that does not pass on the name
    ],
)
def test_the_app_behind_a_proxy_speaks_to_its_public_name_only(
    public: int, host: str, origin: str | None, answer: int
) -> None:
    assert handshake(public, host, origin, base="/alice") == answer


def test_other_addresses_answer_any_host_but_take_no_upload_without_a_token(local: int) -> None:
    assert status(local, "GET / HTTP/1.1\n", Host="evil.example") == 200
    upload = "PUT /_stcore/upload_file/session/file HTTP/1.1\nContent-Length: 0\n"
    assert status(local, upload, Host="localhost", Origin="http://localhost") == REFUSED
