"""`diffagent mcp`: offer the tools to MCP clients."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphs.cli.options import planner_option, stored_option
from tool_specs.command_line import DONE

if TYPE_CHECKING:
    from graphs.workshop import PlannerName


@click.command(name="mcp")
@click.option("--http", is_flag=True, help="Serve over streamable HTTP instead of standard input and output.")
@click.option("--host", help="Address to listen at; any but this machine's own needs an API key. Default: 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), help="0 for any free one. Default: 8080.")
@click.option(
    "--api-key-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Clients must send the key in this file. Default: DIFFAGENT_SERVER_KEY, else none.",
)
@planner_option
@stored_option
def command(
    http: bool, host: str | None, port: int | None, api_key_file: Path | None, planner: PlannerName | None, stored: bool
) -> int:
    """Let an MCP client, such as a desktop assistant or an editor, search models, draw, and look at the pictures.

    Over standard input and output the client starts this command itself; docs/mcp.md says how it is told to.

    \b
    Examples:
      diffagent mcp
      diffagent mcp --http --port 8090
    """  # noqa: D301 - the \b is click's mark for lines to keep
    if not http and (host, port, api_key_file) != (None, None, None):
        msg = "--host, --port and --api-key-file are for HTTP: add --http"
        raise click.UsageError(msg)
    from diffagent_tools.devices import require

    require("fastmcp", "fastapi", "uvicorn", "prometheus_client", extra="serve")

    from diffagent_tools.serving.api.settings import ServerSettings, chosen_server_key
    from diffagent_tools.serving.mcp_server import create_mcp_server
    from diffagent_tools.serving.mcp_transports import run_http, run_stdio
    from graphs.folders import check_writable
    from graphs.workshop import Workshop

    settings = ServerSettings(
        host=ServerSettings.host if host is None else host,
        port=ServerSettings.port if port is None else port,
        api_key=chosen_server_key(api_key_file),
    )
    workshop = Workshop(planner, stored=stored)
    check_writable(workshop.home, remedy="set DIFFAGENT_HOME to a folder of yours")
    server = create_mcp_server(workshop.toolkit)
    if not http:
        run_stdio(server)
        return DONE

    def ready(url: str) -> None:
        click.echo(f"MCP clients find DiffAgent at {url}; stop it with Ctrl-C", err=True)

    try:
        run_http(server, settings, ready=ready)
    except KeyboardInterrupt:
        click.echo("stopped", err=True)
    return DONE
