"""Pairs about the pocket models, made by rule."""

from __future__ import annotations

from finetune.dabench.pairs import Pair
from finetune.pocket.drawing import pocket_call
from finetune.pocket.records import STYLE_IDS
from finetune.pocket.world import STYLES, SUBJECTS, Scene
from tool_specs.catalog import Catalog
from tool_specs.spec import LoraUse

BACKGROUNDS = ("red", "blue", "sunset", "snow")
IMPOSSIBLE = ("the annual report of a bank", "a proof of the Riemann hypothesis")


def pocket_pairs(count: int, split: str = "test", first: int = 0) -> list[Pair]:
    """So many pairs; every fifth asks for what nothing can draw, every third of the others for a style."""
    catalog, domains = Catalog.pocket(), list(SUBJECTS)
    pairs = []
    for n in range(first, first + count):
        name = f"{split}-{n}"
        if n % 5 == 4:
            text = f"{IMPOSSIBLE[n % 2]}, number {n}"
            pairs.append(Pair(id=name, instruction=text, split=split, source=name, wording="impossible"))
            continue
        domain = domains[n % len(domains)]
        subject = list(SUBJECTS[domain])[n % len(SUBJECTS[domain])]
        style = STYLES[n % len(STYLES)] if n % 3 == 0 else None
        scene = Scene(subject, BACKGROUNDS[n % len(BACKGROUNDS)], style)
        uses = [LoraUse(id=STYLE_IDS[style], weight=1.0)] if style else []
        prompt = f"{style}, {scene.caption}" if style else scene.caption
        call = pocket_call(catalog, domain, prompt, uses, seed=n).model_dump(mode="json")
        text = f"please draw {scene.caption}, {style}" if style else f"please draw {scene.caption}"
        pairs.append(
            Pair(
                id=name,
                instruction=text,
                reference=prompt,
                call=call,
                split=split,
                source=name,
                wording="style" if style else "plain",
            )
        )
    return pairs
