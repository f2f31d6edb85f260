"""Addresses of clusters: told before Ray is asked for anything."""

import pytest

from tfbind.cluster import protocol


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(protocol, "installed", lambda: True)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return monkeypatch


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("address", ["10.0.0.1:6379", "head.lab:1", "[::1]:6379", "head:65535"])
def test_a_host_with_a_port_is_an_address(address: str) -> None:
    assert protocol.resolve(address) == address


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("address", ["head", ":6379", "head:", "head:x", "head:65536", "ray://head:10001", "head:-1"])
def test_anything_else_is_refused_in_one_line(address: str) -> None:
    with pytest.raises(ValueError, match=r"--ray .*: expected auto or HOST:PORT"):
        protocol.resolve(address)


def test_auto_takes_the_address_of_the_environment(installed: pytest.MonkeyPatch) -> None:
    installed.setenv("RAY_ADDRESS", "head:6379")
    assert protocol.resolve("auto") == "head:6379"
    installed.setenv("RAY_ADDRESS", "head")
    with pytest.raises(ValueError, match="--ray auto, RAY_ADDRESS=head: expected"):
        protocol.resolve("auto")


def test_without_ray_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "installed", lambda: False)
    with pytest.raises(ValueError, match=r"Ray is not installed here; `.*` installs it"):
        protocol.resolve("head:6379")
