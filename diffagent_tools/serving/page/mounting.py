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
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#6366f1"/>'
    '<path d="M4 12 8 5l4 7z" fill="#fff"/></svg>'
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

    def icon() -> Response:
        """What a browser shows beside the title; it asks for this name wherever the page is."""
        return Response(_ICON, media_type="image/svg+xml")

    app.get("/favicon.ico", include_in_schema=False)(icon)
    app.get(path.rstrip("/") + "/pictures/{digest}.png", include_in_schema=False)(picture)
    gr.mount_gradio_app(
        app,
        page,
        path=path,
        theme=_theme(),
        css=files(__package__).joinpath("page.css").read_text(encoding="utf-8"),
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
