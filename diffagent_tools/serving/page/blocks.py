"""The page as Gradio knows it, and where its pictures are."""

from __future__ import annotations

import gradio as gr

from diffagent_tools.artifacts import ArtifactStore


class Page(gr.Blocks):
    """Blocks that show pictures of a store; `mount_page` serves both."""

    def __init__(self, store: ArtifactStore) -> None:
        """Show pictures of `store`. Nothing is told to anyone: no analytics, no look for newer versions."""
        super().__init__(title="DiffAgent", analytics_enabled=False, fill_width=True)
        self.store = store
