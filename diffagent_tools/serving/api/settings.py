"""What a server allows: who may ask, how much, and for how long."""

from __future__ import annotations

import ipaddress
import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tool_specs.exceptions import ConfigError

SERVER_KEY_VARIABLE: Final = "DIFFAGENT_SERVER_KEY"
"""The key that clients of this server must know; `DIFFAGENT_API_KEY` is the one this process shows to a planner's."""
PORT: Final = 8080
MIN_KEY_CHARACTERS: Final = 16
_KEY: Final = re.compile(r"[!-~]+")
_ABOVE_ZERO: Final = ("max_body_bytes", "max_prompt_characters", "max_side", "max_pictures", "drawings",
                      "planner_calls", "queue", "deadline_seconds", "grace_seconds")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """How one server is run.

    Raises:
        ConfigError: It would be open to other machines without a key, the key is weak, or a limit is not above zero.
    """

    host: str = "127.0.0.1"
    """Address to listen at. Any but a loopback one needs `api_key`."""
    port: int = PORT
    api_key: str | None = field(default=None, repr=False)
    """What clients must send, as `Authorization: Bearer …`."""
    max_body_bytes: int = 1 << 20
    max_prompt_characters: int = 2_000
    """Longest request for a picture."""
    max_side: int = 2_048
    """Largest width and height that may be asked for, in pixels."""
    max_pictures: int = 10
    """Most pictures in one request."""
    drawings: int = 1
    """Requests that are drawn at the same time; one backend usually fills the machine."""
    planner_calls: int = 4
    """Chat completions that are passed to the planner at the same time."""
    queue: int = 32
    """Most pictures that may wait; more are refused with 429."""
    deadline_seconds: float = 600.0
    """Longest time from the arrival of a request to its answer, waiting included."""
    grace_seconds: float = 30.0
    """When the server is stopped: how long what is being drawn may take to end by itself."""

    def __post_init__(self) -> None:
        for name in _ABOVE_ZERO:
            if not 0 < getattr(self, name) < math.inf:
                msg = f"the server setting {name}={getattr(self, name)!r} is not a number above 0"
                raise ConfigError(msg)
        if self.max_pictures > self.queue:
            msg = (
                f"max_pictures={self.max_pictures} is more than queue={self.queue}: such a request would never be let "
                "in; allow more to wait"
            )
            raise ConfigError(msg)
        if self.api_key is not None:
            _check(self.api_key)
        if self.api_key is None and not self.is_local:
            msg = (
                f"{self.host!r} can be reached from other machines, so an API key is required: name a file that holds "
                f"one, set {SERVER_KEY_VARIABLE}, or listen at 127.0.0.1"
            )
            raise ConfigError(msg)

    @property
    def queue_per_client(self) -> int:
        """Most pictures that may wait for one address: half of all, and one whole request in any case."""
        return max(self.queue // 2, self.max_pictures)

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches the server."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether an address is one of this machine's own; a name other than `localhost` may stand for anything."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def chosen_server_key(file: Path | None = None) -> str | None:
    """The key for clients, from a file that holds nothing else or from the environment; None where neither has one.

    Raises:
        ConfigError: The file cannot be read or is empty.
    """
    if file is None:
        return os.environ.get(SERVER_KEY_VARIABLE) or None
    try:
        key = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the API key cannot be read from {file} ({error}); name a text file that holds only the key"
        raise ConfigError(msg) from error
    if not key:
        msg = f"{file} is empty; write the API key into it, for example with `openssl rand -hex 24`"
        raise ConfigError(msg)
    return key


def _check(key: str) -> None:
    """See that a key can be sent in a header and is not guessed easily; the message does not hold it.

    Raises:
        ConfigError: It cannot, or is.
    """
    if len(key) < MIN_KEY_CHARACTERS or not _KEY.fullmatch(key):
        msg = (
            f"the API key must be {MIN_KEY_CHARACTERS} or more letters, digits and marks without spaces; make one "
            "with `openssl rand -hex 24`"
        )
        raise ConfigError(msg)
