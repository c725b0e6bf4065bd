"""The page inside a server, with its look and the files of its pictures."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

import gradio as gr
from fastapi import FastAPI, HTTPException
from fastapi.responses import Response

from diffagent_tools.serving.page.blocks import Page
from tool_specs.exceptions import ArtifactError

_KEPT: Final = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
"""A file that is named by its content never changes."""
_SANS: Final = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
_MONO: Final = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")
_ICON: Final = (
    '<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/svg%22 viewBox=%220 0 16 16%22'
    '%3E%3Crect width=%2216%22 height=%2216%22 rx=%223%22 fill=%22%236366f1%22/%3E%3C/svg%3E">'
)


def mount(app: FastAPI, page: Page, path: str) -> None:
    """See `mount_page`."""

    def picture(digest: str) -> Response:
        """A stored picture as it was written, with its infotext."""
        try:
            data = page.store.read(digest)
        except ArtifactError as error:
            raise HTTPException(404, "there is no such picture here") from error
        return Response(data, media_type="image/png", headers=_KEPT)

    app.get(path.rstrip("/") + "/pictures/{digest}.png", include_in_schema=False)(picture)
    gr.mount_gradio_app(
        app,
        page,
        path=path,
        theme=_theme(),
        css=files(__package__).joinpath("page.css").read_text(encoding="utf-8"),
        head=_ICON,
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        max_file_size=0,
    )


def _theme() -> gr.themes.Base:
    """Fonts of the reader's system: nothing is fetched from elsewhere."""
    return gr.themes.Base(
        primary_hue="indigo",
        neutral_hue="slate",
        radius_size="md",
        text_size="md",
        font=_SANS,
        font_mono=_MONO,
    )
