from __future__ import annotations

from pathlib import Path

import pytest

from diffagent_tools.serving.api.settings import ServerSettings, chosen_server_key, is_loopback
from tests.diffagent_tools.serving.api.running import KEY
from tool_specs.exceptions import ConfigError


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.7", False),
        ("localhost.example", False),
        ("", False),
    ],
)
def test_any_address_but_a_loopback_one_needs_a_key(host: str, local: bool) -> None:
    assert is_loopback(host) is local
    if local:
        assert ServerSettings(host=host).is_local
    else:
        with pytest.raises(ConfigError, match="an API key is required"):
            ServerSettings(host=host)
        assert ServerSettings(host=host, api_key=KEY).api_key == KEY


@pytest.mark.parametrize("key", ["", "short", "with a space in its middle", "ümlauts-are-no-header", "x" * 20 + "\n"])
def test_a_weak_key_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ConfigError, match="16 or more") as refused:
        ServerSettings(api_key=key)
    assert not key or key not in str(refused.value)


def test_the_key_is_in_no_text_form_of_the_settings() -> None:
    assert KEY not in repr(ServerSettings(api_key=KEY))


def test_the_key_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DIFFAGENT_SERVER_KEY", raising=False)
    assert chosen_server_key() is None
    monkeypatch.setenv("DIFFAGENT_SERVER_KEY", "from-the-environment")
    assert chosen_server_key() == "from-the-environment"
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    assert chosen_server_key(file) == KEY


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe\x00"])
def test_a_key_file_that_holds_no_key(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    with pytest.raises(ConfigError, match="key"):
        chosen_server_key(tmp_path / "key")


@pytest.mark.parametrize(
    "limit", [{"deadline_seconds": 0.0}, {"deadline_seconds": float("nan")}, {"queue": -1}, {"max_pictures": 33}]
)
def test_limits_that_make_no_sense(limit: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(limit))):
        ServerSettings(**limit)  # type: ignore[arg-type]
