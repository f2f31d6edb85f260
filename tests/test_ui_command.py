"""`tfbind ui` in a checkout: it starts the app on the home of who calls it, or says in one line why not."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from driving import answer_at, free_port

from tfbind.__main__ import main
from tfbind.config import PROJECT

LISTENS = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"  # macOS has but one on loopback


def test_the_app_starts_from_any_folder_with_its_settings(tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": str(PROJECT), "TFBIND_HOME": "home"}  # beside where it is called
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        command = [sys.executable, "-m", "tfbind", "ui", "--port", str(port), "--address", LISTENS]
        server = subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=log, stderr=log)
    try:
        assert answer_at(f"http://{LISTENS}:{port}/_stcore/health") == "ok"
        assert (tmp_path / "home" / "data" / "builtin").is_dir()
        assert (
            answer_at(f"http://{LISTENS}:{port}/app/static/.gitkeep") is not None
        )  # .streamlit/config.toml was read
    finally:
        server.terminate()
        server.wait()


@pytest.mark.parametrize("address", [[], ["--address", "0.0.0.0"], ["--address", "::"]])
def test_a_port_that_is_in_use_is_one_line_with_one_that_is_free(
    home: Path, capsys: pytest.CaptureFixture[str], address: list[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert main(["ui", "--port", str(port), *address]) == 2
    said, end = capsys.readouterr().err.split("\n")
    assert end == ""
    assert said.startswith(
        f"tfbind: port {port} is in use, perhaps by this app (http://localhost:{port}); another one: "
    )
    assert int(said.rpartition("--port ")[2]) > 1023
    assert not home.exists()
