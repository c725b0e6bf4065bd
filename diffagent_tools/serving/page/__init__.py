"""The web page: say what you want, watch it being drawn, compare, change the call, draw again.

```python
page = build_page(agent, catalog=catalog, backend=backend, reward=reward, store=store)
mount_page(app, page)
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import FastAPI
    from langchain_core.runnables import Runnable

    from diffagent_tools.artifacts import ArtifactStore
    from diffagent_tools.backends.protocol import Backend
    from diffagent_tools.rewards.protocol import Reward
    from diffagent_tools.serving.page.blocks import Page
    from tool_specs.catalog import AnyCatalog

__all__ = ["build_page", "mount_page"]


def build_page(
    agent: Runnable[Any, Any], *, catalog: AnyCatalog, backend: Backend, reward: Reward, store: ArtifactStore
) -> Page:
    """Build the page over an agent.

    Args:
        agent: The compiled graph. Its context takes a `cancel` event, and it streams what it does.
        catalog: Where the models of an edited call are looked up.
        backend: Draws an edited call.
        reward: Judges what was drawn from one.
        store: Where the agent keeps its pictures, and where those go.

    Returns:
        A `gradio.Blocks` that `mount_page` puts into a server.

    Raises:
        ConfigError: Gradio is not installed.
    """
    from diffagent_tools.devices import require

    require("gradio", extra="serve")
    from diffagent_tools.serving.page.layout import laid_out

    return laid_out(agent, catalog=catalog, backend=backend, reward=reward, store=store)


def mount_page(app: FastAPI, page: Page, path: str = "/") -> None:
    """Put the page into a server, with the pictures that it shows at `PATH/pictures/SHA256.png`.

    Mount it last: at `/` it answers whatever no other route does.

    Args:
        app: The server.
        page: From `build_page`.
        path: Where it is found.
    """
    from diffagent_tools.serving.page.mounting import mount

    mount(app, page, path)
