"""What is said when no chat server answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from diffagent_tools.serving.endpoint import BASE_URL_VARIABLE
from tool_specs.exceptions import ConfigError


@contextmanager
def naming_the_server(url: str) -> Iterator[None]:
    """Say where the server should be, and what to do, when nothing answers there.

    Args:
        url: Of its chat interface.

    Raises:
        ConfigError: Nothing answers there.
    """
    import openai

    try:
        yield
    except openai.APITimeoutError:
        raise
    except openai.APIConnectionError as error:
        reason: BaseException = error
        while reason.__cause__ is not None:
            reason = reason.__cause__
        msg = (
            f"no server answers at {url} ({reason}); start one with `make vllm`, or set {BASE_URL_VARIABLE} to where "
            "yours answers"
        )
        raise ConfigError(msg) from error
