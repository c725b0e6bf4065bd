from __future__ import annotations

import importlib.util
import socket

import pytest

from diffagent_tools.backends.ray import RayBackend
from diffagent_tools.backends.ray.cluster import ADDRESS_VARIABLE, application_handle
from tests.ray_cluster import pocket_call
from tool_specs.exceptions import ConfigError


def test_an_address_of_ray_client() -> None:
    with pytest.raises(ConfigError, match=r"'ray://head:10001' is one of Ray Client, which cannot stream.*=auto"):
        application_handle("ray://head:10001", "diffagent")


def test_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="needs Ray: pip install 'diffagent-tools[ray]'")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)  # another test may have started a cluster
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError, match=rf"no Ray cluster at '{address}'.*`ray start --head`"):
            application_handle(address, "diffagent")


def test_ray_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ray" else find(name))
    with pytest.raises(ConfigError, match=r"ray not installed.*pip install 'diffagent-tools\[ray\]'"):
        RayBackend().draw(pocket_call())


def test_the_environment_names_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def refuse(address: str, application: str) -> None:
        asked.append((address, application))
        raise ConfigError(address)

    monkeypatch.setattr("diffagent_tools.backends.ray.backend.application_handle", refuse)
    for value in (None, "head:6379"):
        if value:
            monkeypatch.setenv(ADDRESS_VARIABLE, value)
        else:
            monkeypatch.delenv(ADDRESS_VARIABLE, raising=False)
        with pytest.raises(ConfigError):
            RayBackend().draw(pocket_call())
    assert asked == [("auto", "diffagent"), ("head:6379", "diffagent")]
