"""Where a served planner answers, and what it is called there: client and server read the same settings."""

from __future__ import annotations

import os
from typing import Final
from urllib.parse import urlsplit, urlunsplit

BASE_URL_VARIABLE: Final = "DIFFAGENT_BASE_URL"
API_KEY_VARIABLE: Final = "DIFFAGENT_API_KEY"
HOST: Final = "127.0.0.1"
"""A planner is served to this machine only: vLLM's own endpoints beside the chat interface ask for no key."""
PORT: Final = 8000
SERVED_NAME: Final = "diffagent"
"""What the planner is called on its server."""
DEFAULT_BASE_URL: Final = f"http://{HOST}:{PORT}/v1"


def chosen_base_url() -> str | None:
    """The chat interface that the environment names; None where it names none."""
    return os.environ.get(BASE_URL_VARIABLE) or None


def chosen_api_key() -> str | None:
    """The key for it; None where it needs none, as a server on this machine."""
    return os.environ.get(API_KEY_VARIABLE) or None


def without_credentials(url: str) -> str:
    """A URL as it may be shown: without a user name or password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
