"""Draw four requests from words to picture: `python -m examples.demo --out demo`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.table import Table

from diffagent_tools import ArtifactStore, ChatDiffAgent, DiffusersBackend, MiniLMEmbedder, UnifiedReward
from graphs import create_diffagent
from tool_specs import Catalog, Shortlister

REQUESTS = (
    "a fox in pixel art on a blue background",
    "a sailboat at sunset, painted in watercolor",
    "a strawberry as a neon sign",
    "a guitar on a purple background",
)
CELL = 256


def main() -> None:
    """Draw every request, then print what was chosen and where the pictures are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder of the pictures")
    out: Path = parser.parse_args().out
    console = Console(width=150)

    catalog = Catalog.pocket()
    agent = create_diffagent(
        catalog=catalog,
        shortlister=Shortlister(catalog, MiniLMEmbedder()),
        backend=DiffusersBackend(catalog),
        reward=UnifiedReward.pocket(),
        store=ArtifactStore(out),
        planner=ChatDiffAgent.local(),
    )

    table = Table("request", "model", "LoRAs", "prompt", "tries", "reward", "picture", box=None, padding=(0, 2, 0, 0))
    pictures = []
    for number, request in enumerate(REQUESTS):
        with console.status(f"drawing {request!r}"):
            state = agent.invoke({"request": request, "options": {"seed": 100 + number}})
        best = state["best"]
        if best is None:
            sys.exit(f"{request!r} was not drawn: {state['outcome']['reason']}")
        networks = ", ".join(f"{catalog.get(use['id']).model_name} {use['weight']:g}" for use in best["call"]["loras"])
        picture = Path(best["reference"]["path"])
        table.add_row(
            request,
            catalog.get(best["model"]).model_name,
            networks,
            best["call"]["prompt"],
            str(len(state["attempts"])),
            f"{best['reward']:.2f}",
            f"{picture.parent.name}/{picture.name[:8]}….png",
        )
        pictures.append(Image.open(picture))
    console.print(table)
    sheet(pictures).save(out / "sheet.png")
    console.print(
        f"The pictures, with infotext inside, and one sheet of them all are in {out.resolve()}", soft_wrap=True
    )


def sheet(pictures: Sequence[Image.Image]) -> Image.Image:
    """The pictures side by side, four times as large, each above its request."""
    page = Image.new("RGB", (len(pictures) * (CELL + 16) - 16, CELL + 24), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(size=13)
    for number, (picture, request) in enumerate(zip(pictures, REQUESTS, strict=True)):
        left = number * (CELL + 16)
        page.paste(picture.resize((CELL, CELL), Image.Resampling.NEAREST), (left, 0))
        pen.text((left + CELL / 2, CELL + 12), request, fill="black", font=font, anchor="mm")
    return page


if __name__ == "__main__":
    main()
