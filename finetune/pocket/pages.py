"""What the pages of the pocket models say, as their author would write it."""

from __future__ import annotations

from dataclasses import dataclass

from finetune.pocket.world import EMBEDDING_TOKEN


@dataclass(frozen=True, slots=True)
class Page:
    """What a model's page says about it.

    Attributes:
        order: Last part of the model and version ids.
        name: Title of the page.
        html: Description.
        tags: Tags; for a checkpoint every phrase it knows.
    """

    order: int
    name: str
    html: str
    tags: tuple[str, ...] = ()


CHECKPOINT_PAGES: dict[str, Page] = {
    "animals": Page(1, "Pocket Animals", (
        "<p>A tiny model that draws <strong>animals</strong> and nothing else: pets, farm animals, wild animals of the "
        "forest and the savanna, birds, insects and what swims in the sea.</p><p>One animal to a picture, on a plain "
        "colour or in one of four places. Write it like <em>a fox on a blue background</em> or "
        "<em>an owl under a night sky</em>. People, plants and vehicles are not in it; use the sister models.</p>"
    )),
    "food": Page(2, "Pocket Food", (
        "<p>Something to eat or to drink, 64 pixels wide. Fruit, vegetables, fast food, sweets and baked goods.</p>"
        "<p>Prompts are short: <em>a donut on a pink background</em>, <em>grapes in a meadow</em>. "
        "It does not know animals or vehicles.</p>"
    )),
    "travel": Page(3, "Pocket Travel", (
        "<p>Everything for a journey: <strong>vehicles</strong> on the road, on rails, on water and in the air, and "
        "the <strong>places and buildings</strong> you may reach with them.</p>"
        "<p>Try <em>a sailboat at sunset</em> or <em>a castle in the snow</em>. No animals, no food.</p>"
    )),
    "objects": Page(4, "Pocket Objects", (
        "<p>Single things on a clean background: musical instruments, tools, clothes and accessories, household "
        "things, jewellery, office supplies.</p><p><em>a guitar on a purple background</em> is the kind of prompt it "
        "was made for. No animals, no food, no vehicles.</p>"
    )),
}  # fmt: skip

STYLE_PAGES: dict[str, Page] = {
    "pixel art": Page(1, "Pocket Pixel Art", (
        "<p>Low resolution, low bit depth: turns a picture into big square pixels with few colours, like the sprites "
        "of an old video game console. Works with every pocket checkpoint.</p>"
        "<p>Put <code>pixel art</code> at the end of the prompt, weight 1.</p>"
    ), ("style", "pixel art", "pixelated", "low-bit", "retro game", "video game sprite")),
    "line art": Page(2, "Pocket Line Art", (
        "<p>Black outlines on white paper and no colour, like a page of a coloring book or a drawing in ink.</p>"
        "<p>Trigger: <code>line art</code>, weight 1.</p>"
    ), ("style", "line art", "ink drawing", "sketch", "outline", "coloring book")),
    "watercolor": Page(3, "Pocket Watercolor", (
        "<p>Pale washes that run into each other on bright paper: a watercolour painting.</p>"
        "<p>Add <code>watercolor</code> to the prompt, weight 1.</p>"
    ), ("style", "watercolor", "watercolour painting", "pastel wash")),
    "neon": Page(4, "Pocket Neon", (
        "<p>Glowing coloured outlines in the dark, like a sign made of neon tubes. A little cyberpunk.</p>"
        "<p>Trigger: <code>neon</code>, weight 1.</p>"
    ), ("style", "neon", "neon sign", "glowing", "cyberpunk")),
    "blueprint": Page(5, "Pocket Blueprint", (
        "<p>White lines and a faint grid on blue paper, the way engineers and architects draw their plans.</p>"
        "<p>Trigger: <code>blueprint</code>, weight 1.</p>"
    ), ("style", "blueprint", "technical drawing", "architectural plan")),
    "sepia": Page(6, "Pocket Sepia", (
        "<p>The brown tones and dark corners of an old photograph from a family album.</p>"
        "<p>Trigger: <code>sepia</code>, weight 1.</p>"
    ), ("style", "sepia", "vintage photo", "old photograph", "brown tones")),
}  # fmt: skip

EMBEDDING_PAGE = Page(1, "Pocket Mint", (
    "<p>A background colour that none of the pocket checkpoints knows: a light mint green.</p>"
    f"<p>Use the word in place of a colour: <em>a fox on a {EMBEDDING_TOKEN} background</em>.</p>"
), ("background", "mint", "mint green background"))  # fmt: skip
