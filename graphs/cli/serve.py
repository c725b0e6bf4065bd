"""`diffagent serve`: the agent as a web page, behind OpenAI's interfaces, and for MCP clients."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from diffagent_tools.serving.api.settings import ServerSettings, chosen_server_key
from graphs.cli.options import planner_option, stored_option
from tool_specs.command_line import DONE

if TYPE_CHECKING:
    from fastapi import FastAPI

    from graphs.workshop import PlannerName, Workshop


@click.command(name="serve")
@click.option(
    "--host",
    default=ServerSettings.host,
    show_default=True,
    help="Address to listen at; any but this machine's own needs an API key.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=ServerSettings.port, show_default=True, help="0 for any free one."
)
@click.option(
    "--api-key-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Clients must send the key in this file. Default: DIFFAGENT_SERVER_KEY, else none.",
)
@click.option(
    "--queue",
    type=int,
    default=ServerSettings.queue,
    show_default=True,
    metavar="N",
    help="Most pictures that may wait; more are refused.",
)
@click.option(
    "--drawings",
    type=int,
    default=ServerSettings.drawings,
    show_default=True,
    metavar="N",
    help="Requests that are drawn at the same time; more than one where a Ray cluster draws.",
)
@click.option(
    "--deadline",
    type=float,
    default=ServerSettings.deadline_seconds,
    show_default=True,
    metavar="SECONDS",
    help="Longest time to an answer.",
)
@click.option("--grace", type=float, default=ServerSettings.grace_seconds, show_default=True, metavar="SECONDS",
              help="When stopped: how long pictures that are being drawn may take to end.")  # fmt: skip
@planner_option
@stored_option
def command(
    host: str,
    port: int,
    api_key_file: Path | None,
    queue: int,
    drawings: int,
    deadline: float,
    grace: float,
    planner: PlannerName | None,
    stored: bool,
) -> int:
    """Serve the web page, and answer OpenAI and MCP clients.

    The page is at /, OpenAI's interfaces (pictures, and chat with the agent or its planner) are at /v1, MCP is at /mcp.

    \b
    Examples:
      diffagent serve
      openssl rand -hex 24 > key && diffagent serve --host 0.0.0.0 --api-key-file key
      curl http://127.0.0.1:8080/v1/images/generations -H 'Content-Type: application/json' \\
        -d '{"prompt": "a fox in pixel art", "response_format": "url"}'

    Ctrl-C lets the pictures that are being drawn end; a second one does not.
    """  # noqa: D301 - the \b is click's mark for lines to keep
    from diffagent_tools.devices import require

    require("fastapi", "uvicorn", "prometheus_client", "fastmcp", "gradio", extra="serve")

    from diffagent_tools.serving.api.server import serve
    from graphs.cli.tables import console
    from graphs.folders import check_writable
    from graphs.workshop import Workshop

    settings = ServerSettings(
        host=host,
        port=port,
        api_key=chosen_server_key(api_key_file),
        queue=queue,
        drawings=drawings,
        deadline_seconds=deadline,
        grace_seconds=grace,
    )
    screen = console(stderr=True)
    with screen.status("starting"):
        workshop = Workshop(planner, stored=stored)
        check_writable(workshop.home, remedy="set DIFFAGENT_HOME to a folder of yours")
        app = _application(workshop, settings)

    def ready(url: str) -> None:
        page = url.removesuffix("v1")
        screen.print(
            f"The page is at {page}, OpenAI clients use {url}, MCP clients {page}mcp/; stop it with Ctrl-C",
            soft_wrap=True,
        )

    try:
        serve(app, settings, ready=ready)
    except KeyboardInterrupt:
        screen.print("stopped")
    return DONE


def _application(workshop: Workshop, settings: ServerSettings) -> FastAPI:
    """OpenAI's interfaces with MCP and the page beside them."""
    from starlette.responses import RedirectResponse

    from diffagent_tools.serving.api.app import create_app
    from diffagent_tools.serving.mcp_server import create_mcp_server
    from diffagent_tools.serving.page import build_page, mount_page
    from graphs.context import DiffAgentContext

    agent = workshop.graph()
    app = create_app(
        agent,
        catalog=workshop.catalog,
        store=workshop.store,
        planner=workshop.planner,
        context_of=lambda cancel: DiffAgentContext(cancel=cancel),
        settings=settings,
    )
    mcp = create_mcp_server(workshop.toolkit, queue=app.state.service.drawing_queue)
    app.mount("/mcp", mcp.http_app(path="/"))
    # A mount answers below its path alone, and the page would answer this one with 404.
    app.add_route("/mcp", lambda _: RedirectResponse("mcp/", 307), methods=["GET", "POST", "DELETE"])
    page = build_page(
        agent, catalog=workshop.catalog, backend=workshop.backend, reward=workshop.reward, store=workshop.store
    )
    mount_page(app, page)  # last: at / it answers whatever no other route does
    return app
