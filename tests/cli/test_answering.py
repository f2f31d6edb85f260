"""What is no web server is told within seconds, in words that hold nothing of what it sent."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tfbind.cli.doctor import unreachable

SECONDS = 2.0


@contextlib.contextmanager
def serving(answer: Callable[[socket.socket], object]) -> Iterator[str]:
    """The address of a server that does this with whoever connects."""

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # one of the two has had enough
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def drip(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X: y\r\n")
        time.sleep(0.2)


@pytest.mark.parametrize("answer", [drip, lambda connection: connection.recv(1)])
def test_who_takes_long_or_forever_is_not_waited_for(answer: Callable[[socket.socket], object]) -> None:
    began = time.monotonic()
    with serving(answer) as url:
        assert unreachable(url, SECONDS) == "no answer within 2 s"
    assert time.monotonic() - began < 2 * SECONDS


@pytest.mark.parametrize("sent", [b"\x1b[31m\x07 no HTTP\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + bytes(70_000)])
def test_what_is_no_answer_of_a_web_server_is_not_repeated(sent: bytes) -> None:
    with serving(lambda connection: connection.sendall(sent)) as url:
        assert unreachable(url) == "the answer is not that of a web server"


def test_the_reason_of_a_refusal_is_that_of_its_number() -> None:
    with serving(lambda connection: connection.sendall(b"HTTP/1.1 503 \x1b[31mred\r\n\r\n")) as url:
        assert unreachable(url) == "the answer is 503 Service Unavailable"


def test_an_address_that_is_none_is_told() -> None:
    assert unreachable("http://a b") == "URL can't contain control characters. 'a b' (found at least ' ')"
    assert unreachable("http://[::1") == "Invalid IPv6 URL"
    assert unreachable(f"file://{os.devnull}") == "no web address; expected one such as https://api.wandb.ai"
