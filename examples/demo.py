"""Draw four requests from words to picture: `python -m examples.demo --out demo`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from diffagent_tools import ArtifactStore, Calibration, CLIPReward, DiffusersBackend, MiniLMEmbedder, UnifiedReward
from graphs import create_diffagent
from tool_specs import Catalog, Shortlister
from tool_specs.pocket import pocket_reward

REQUESTS = (
    "a fox in pixel art on a blue background",
    "a sailboat at sunset, painted in watercolor",
    "a donut as a neon sign",
    "a guitar on a purple background",
)


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
        reward=UnifiedReward([CLIPReward()], Calibration.load(pocket_reward() / "calibration.json")),
        store=ArtifactStore(out),
    )

    table = Table(
        "request", "model", "LoRAs", "prompt", "attempts", "reward", "picture", box=None, padding=(0, 2, 0, 0)
    )
    for number, request in enumerate(REQUESTS):
        with console.status(f"drawing {request!r}"):
            best = agent.invoke({"request": request, "options": {"seed": 100 + number}})
        attempt = best["best"]
        call = attempt["call"]
        networks = ", ".join(f"{catalog.get(use['id']).model_name} {use['weight']:g}" for use in call["loras"])
        model = catalog.get(attempt["model"]).model_name
        picture = Path(attempt["reference"]["path"])
        row = (request, model, networks, call["prompt"], str(len(best["attempts"])), f"{attempt['reward']:.2f}")
        table.add_row(*row, f"{picture.parent.name}/{picture.name[:8]}….png")
    console.print(table)
    console.print(f"pictures, with infotext inside, are in {out.resolve()}")


if __name__ == "__main__":
    main()
