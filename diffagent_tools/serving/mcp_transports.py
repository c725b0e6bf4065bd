"""How an MCP server is reached: over the standard streams of this process, or over HTTP.

This module needs fastmcp; import it where a server is run.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Final

import anyio
from fastmcp import FastMCP
from starlette.middleware import Middleware

from diffagent_tools.serving.api.key_guard import KeyGuard
from diffagent_tools.serving.api.server import base_url, listening
from diffagent_tools.serving.api.settings import ServerSettings

PATH: Final = "/mcp"


def run_stdio(server: FastMCP) -> None:
    """Serve one client over standard input and output until it closes them.

    Standard output is the client's for as long as this process lives: whatever is printed goes to standard error.
    Ctrl-C ends the process at once.
    """
    # Python's own way is to end all threads first, and the one that waits for input does not end before there is some.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        anyio.run(lambda: server.run_stdio_async(show_banner=False, log_level="WARNING"))
    finally:
        # The transport does the same while it serves; what Python still buffers would come out after that.
        os.dup2(sys.stderr.fileno(), 1)


def run_http(server: FastMCP, settings: ServerSettings, *, ready: Callable[[str], None]) -> None:
    """Serve over streamable HTTP until a signal ends it.

    Without a key, requests that name another host than this machine are refused, and those of other origins' web pages:
    a page in a browser here must not draw. With one, the key says who may.

    Args:
        server: What is served.
        settings: Its `host`, `port` and `api_key` count.
        ready: Told the server's URL once clients can connect.

    Raises:
        ConfigError: The address cannot be had.
        KeyboardInterrupt: Ended by Ctrl-C.
    """
    guards = [Middleware(KeyGuard, key=settings.api_key)] if settings.api_key is not None else []
    with listening(settings) as listener:
        ready(base_url(listener).removesuffix("/v1") + PATH)
        anyio.run(
            lambda: server.run_http_async(
                show_banner=False,
                host=settings.host,
                path=PATH,
                log_level="WARNING",
                middleware=guards,
                host_origin_protection="auto" if settings.api_key is None else False,
                sockets=[listener],
            )
        )
