from __future__ import annotations

import importlib.util
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from diffagent_tools.backends.ray import RayBackend
from diffagent_tools.backends.ray.cluster import ADDRESS_VARIABLE, application_handle, connect
from tests.ray_cluster import pocket_call
from tool_specs.exceptions import ConfigError


def test_an_address_of_ray_client() -> None:
    with pytest.raises(ConfigError, match=r"'ray://head:10001' is one of Ray Client, which cannot stream.*=auto"):
        application_handle("ray://head:10001", "diffagent")


def test_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="needs Ray: pip install 'diffagent-tools[ray]'")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)  # another test may have started a cluster
    with _nothing_there() as address, pytest.raises(ConfigError, match=rf"at '{address}'.*`ray start --head`"):
        application_handle(address, "diffagent")


def test_a_cluster_that_did_not_end_in_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="needs Ray: pip install 'diffagent-tools[ray]'")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr("ray._private.services.find_gcs_addresses", set)  # another test may have started a cluster
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    asked: list[str | None] = []
    monkeypatch.setattr(ray, "init", lambda address, **_: asked.append(address))
    recorded = tmp_path / "ray" / "ray_current_cluster"
    recorded.parent.mkdir()
    with _nothing_there() as address:
        recorded.write_text(address)
        with pytest.raises(ConfigError, match=r"no Ray cluster at 'auto' \(nothing answers at .*`ray start --head`"):
            connect("auto")
        assert asked == []
        connect(None)
        assert asked == ["local"]


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


@contextmanager
def _nothing_there() -> Iterator[str]:
    """An address that is taken and where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"
