"""The command that starts the app."""

import argparse
import ipaddress
import os
import socket
import sys
from typing import Any, NoReturn

from tfbind.config import PROJECT, home_folder, python_path
from tfbind.data import make_builtin

USUAL_PORT = 8501
PORTS = range(1024, 65536)
LOOPBACK = "127.0.0.1"
ANSWER_SECONDS = 1.0


def add_ui(commands: Any) -> None:
    """Add `ui`."""
    words = (ui.__doc__ or "").strip()
    command = commands.add_parser("ui", help=words, description=words, allow_abbrev=False)
    command.set_defaults(run=ui, refuse=command.error, program=command.prog)
    command.add_argument("--port", type=int, default=USUAL_PORT, metavar="N", help=f"instead of {USUAL_PORT}")
    command.add_argument(
        "--address",
        metavar="A",
        help="listen on this address of the machine instead of on loopback alone; the app has no login, so only "
        "where nobody but a proxy with one reaches it",
    )


def ui(options: argparse.Namespace) -> NoReturn:
    """Start the app, on http://localhost:8501 if nothing else is asked for."""
    _check_port(options)
    home = home_folder()
    make_builtin(home)
    sys.stdout.flush()
    sys.stderr.flush()
    os.environ.update({"TFBIND_HOME": str(home), "PYTHONPATH": python_path()})
    os.chdir(PROJECT)  # where Streamlit looks for .streamlit/config.toml
    command = [sys.executable, "-m", "streamlit", "run", "app.py", *_flags(options)]
    os.execv(sys.executable, command)  # as every command here: a list of words, without a shell  # nosec B606


def _flags(options: argparse.Namespace) -> list[str]:
    address = ["--server.address", options.address] if options.address else []
    return ["--server.port", str(options.port), "--browser.serverAddress", "localhost", *address]


def _check_port(options: argparse.Namespace) -> None:
    """Refuse a port that cannot be, or that somebody answers on.

    Raises:
        ValueError: one line that names a port that is free.
    """
    if options.port not in PORTS:
        raise ValueError(f"--port {options.port}: expected a number from {PORTS[0]} to {PORTS[-1]}")
    address = _reached_at(options.address)
    if _taken(address, options.port):
        free = next(port for port in [*range(options.port + 1, PORTS[-1] + 1), *PORTS] if not _taken(address, port))
        message = f"port {options.port} is in use, perhaps by this app (http://localhost:{options.port})"
        raise ValueError(f"{message}; another one: {options.program} --port {free}")


def _reached_at(address: str | None) -> str:
    """Where a server that listens on `address` can be asked from this machine."""
    if address is None:
        return LOOPBACK
    try:
        return LOOPBACK if ipaddress.ip_address(address).is_unspecified else address
    except ValueError:
        raise ValueError(
            f"--address {address}: expected an IP address, such as 0.0.0.0 for all of this machine"
        ) from None


def _taken(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=ANSWER_SECONDS):
            return True
    except OSError:
        return False
