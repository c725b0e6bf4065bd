"""Command-line options that several commands share, and how their values are read."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])

_SIZE = re.compile(r"(\d{1,9})\s*[xX×]\s*(\d{1,9})")


class SizeType(click.ParamType):
    """A size such as 64x96: width, then height, in pixels."""

    name = "WxH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Read a size."""
        if isinstance(value, tuple):
            return value
        if (found := _SIZE.fullmatch(str(value).strip())) is None:
            self.fail(f"{value!r} is not a size: write width x height, for example 64x64", param, ctx)
        return int(found[1]), int(found[2])


class HiresType(click.ParamType):
    """A hires fix: the factor on both sides, with or without a denoising strength."""

    name = "FACTOR[:STRENGTH]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, float]:
        """Read a hires fix."""
        if isinstance(value, dict):
            return value
        try:
            numbers = [float(part) for part in str(value).split(":")]
            return dict(zip(("upscale", "denoising_strength")[: len(numbers)], numbers, strict=True))
        except ValueError:
            self.fail(f"{value!r} is not a factor with a denoising strength: write for example 1.5:0.6", param, ctx)


class VariationType(click.ParamType):
    """A variation: the other seed and how far to go towards it."""

    name = "SEED:STRENGTH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, float]:
        """Read a variation."""
        if isinstance(value, dict):
            return value
        seed, _, strength = str(value).partition(":")
        try:
            return {"seed": int(seed), "strength": float(strength)}
        except ValueError:
            self.fail(f"{value!r} is not a seed with a strength: write for example 42:0.2", param, ctx)


class LoraType(click.ParamType):
    """A network with or without a weight: ID or ID:WEIGHT. Ids, AIRs and addresses hold colons themselves."""

    name = "ID[:WEIGHT]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float | None]:
        """Read a network."""
        if isinstance(value, tuple):
            return value
        name = str(value).strip()
        network, colon, weight = name.rpartition(":")
        if not colon or (_names_a_model(name) and not _names_a_model(network)):
            return name, None
        try:
            return network, float(weight)
        except ValueError:
            self.fail(f"{weight!r} in {value!r} is not a weight: write for example {network}:0.8", param, ctx)


def _names_a_model(text: str) -> bool:
    from tool_specs.exceptions import CatalogError
    from tool_specs.naming import parse_spec_id

    with suppress(CatalogError):
        parse_spec_id(text)
        return True
    return False


_FIXED = (
    click.option("--model", metavar="ID", help="Draw with this checkpoint: civitai:MODEL@VERSION, its model number or "
                 "its tool name. Counts as fitting."),
    click.option("--lora", "loras", type=LoraType(), multiple=True, help="Use exactly this LoRA (repeat for more), "
                 "e.g. civitai:9011@9111:0.8. Without a weight: the recommended one."),
    click.option("--steps", type=int, help="Denoising steps.", metavar="N"),
    click.option("--size", type=SizeType(), metavar="WxH", help="Width and height in pixels, e.g. 64x64."),
    click.option("--hires", type=HiresType(), metavar="FACTOR[:STRENGTH]", help="Hires fix: enlarge the picture by "
                 "1 to 4 and draw over it, e.g. 1.5:0.6. Without a strength: 0.7."),
    click.option("--variation", type=VariationType(), metavar="SEED:STRENGTH", help="Mix the noise of another seed in, "
                 "by a strength up to 1, e.g. 42:0.2."),
    click.option("--tiling", is_flag=True, default=None, help="Opposite edges meet: a picture to lay side by side."),
    click.option("--seed", type=int, help="Seed of the first attempt; each further one adds 1. The same seed draws the "
                 "same picture.", metavar="N"),
    click.option("--force", is_flag=True, help="Go on with the nearest models although nothing fits."),
)  # fmt: skip


_RUN = (
    click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Copy what was drawn there, "
                 "under readable names that are new."),
    click.option("--attempts", type=int, metavar="N", help="Most attempts at a picture (at most 20)."),
    click.option("--seconds", type=float, metavar="N", help="Start no new attempt at a picture after this long "
                 "(default 600)."),
    click.option("--thread", metavar="ID", help="Name of the request; with one that exists, go on with it: finished "
                 "attempts are not drawn again."),
)  # fmt: skip


def run_options(function: Function) -> Function:
    """Give a command that draws the options for where the pictures go and how long it may take."""
    for option in reversed(_RUN):
        function = option(function)
    return function


def approve_option(function: Function) -> Function:
    """Give a command `--approve`."""
    option = click.option(
        "--approve", is_flag=True, help="Ask before each picture: y draws it, n wants another call, e edits it."
    )
    return option(function)


def fixed_options(function: Function) -> Function:
    """Give a command the options with which a person fixes parts of the call."""
    for option in reversed(_FIXED):
        function = option(function)
    return function


def planner_option(function: Function) -> Function:
    """Give a command `--planner`."""
    option = click.option(
        "--planner",
        type=click.Choice(["pocket", "retrieval", "server"]),
        help="Who picks the model and writes the call: the pocket planner in this process (default), what search ranks "
        "first (default with --stored), or the server that DIFFAGENT_BASE_URL names (default where it is set).",
    )
    return option(function)


def stored_option(function: Function) -> Function:
    """Give a command `--stored`."""
    option = click.option(
        "--stored",
        is_flag=True,
        help="Take the models of your catalog (see `diffagent sync` and `diffagent import`), not those that ship. "
        "Their weights are those that were imported, come from the folders in DIFFAGENT_MODELS, else from Civitai.",
    )
    return option(function)


def json_option(function: Function) -> Function:
    """Give a command `--json`."""
    option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout, nothing else.")
    return option(function)
