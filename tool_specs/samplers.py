"""Sampler names: the A1111 names that calls use, and the many spellings found in the wild.

A1111 before 1.9 named a sampler and its noise schedule together ("DPM++ 2M Karras"); since then the schedule is a field
of its own ("Sampler: DPM++ 2M, Schedule type: Karras"). Calls use the joint name; `canonical_sampler` reads both, and
the names that ComfyUI, k-diffusion and diffusers use, and common misspellings.
"""

from __future__ import annotations

import difflib
import logging
import re
from functools import lru_cache
from typing import Literal, get_args

log = logging.getLogger(__name__)

_MOST_TEXT = 100
"""Characters of an unknown name that are looked at."""

StableDiffusionSampler = Literal[
    "DPM++ 2M Karras",
    "DPM++ 2M",
    "Euler a",
    "Euler",
    "DPM++ SDE Karras",
    "DPM++ SDE",
    "DPM++ 2M SDE Karras",
    "DPM++ 2M SDE",
    "DPM++ 2S a Karras",
    "DPM++ 2S a",
    "DPM2 Karras",
    "DPM2",
    "DPM2 a Karras",
    "DPM2 a",
    "Heun",
    "LMS Karras",
    "LMS",
    "DDIM",
    "PLMS",
    "UniPC",
    "DEIS",
    "LCM",
    "DPM++ 2M Exponential",
    "DPM++ 2M SGM Uniform",
    "DPM++ 2M Beta",
    "DPM++ 2M SDE Exponential",
    "DPM++ 2M SDE SGM Uniform",
    "DPM++ 2M SDE Heun Karras",
    "DPM++ 2M SDE Heun Exponential",
    "DPM++ 2M SDE Heun",
    "DPM++ 3M SDE Karras",
    "DPM++ 3M SDE Exponential",
    "DPM++ 3M SDE",
    "Euler Karras",
    "Euler SGM Uniform",
    "Euler Beta",
    "Euler a SGM Uniform",
    "Heun Karras",
    "UniPC Karras",
    "DDPM",
    "TCD",
]
"""Samplers of the models that predict noise or its velocity: Stable Diffusion 1.x, 2.x and SDXL."""

FlowSampler = Literal["Euler", "DPM++ 2M", "UniPC", "Euler Beta"]
"""Samplers of the flow-matching models that diffusers draws with several: Flux and Stable Diffusion 3.x."""

FlowEulerSampler = Literal["Euler", "Euler Beta"]
"""Samplers of the flow-matching models whose diffusers pipelines set the noise of each step: Chroma, Qwen-Image,
Z-Image."""

PocketSampler = Literal[
    "DPM++ 2M Karras",
    "DPM++ 2M",
    "Euler a",
    "Euler",
    "DPM++ SDE Karras",
    "DPM++ 2M SDE Karras",
    "Heun",
    "DDIM",
    "UniPC",
]
"""Samplers of the pocket models."""

AUTOMATIC_SCHEDULES: dict[str, str] = {
    "DPM++ 2M": "Karras",
    "DPM++ SDE": "Karras",
    "DPM++ 2S a": "Karras",
    "DPM2": "Karras",
    "DPM2 a": "Karras",
    "DPM++ 2M SDE": "Exponential",
    "DPM++ 2M SDE Heun": "Exponential",
    "DPM++ 3M SDE": "Exponential",
}
"""What "Schedule type: Automatic" means in A1111 1.9 and later; every other sampler uses the uniform schedule."""

_KIN: dict[str, str] = {
    "DPM adaptive": "DPM++ 2M Karras",
    "DPM fast": "DPM++ 2M",
    "Restart": "Heun Karras",
}
"""Samplers that no scheduler of diffusers computes, each with the one that comes nearest: of the same order and solver,
without their choice of steps."""

SAMPLERS: tuple[str, ...] = (*get_args(StableDiffusionSampler), *_KIN)
"""Every canonical sampler name; a family's `samplers` says which of them can be drawn with."""

_SCHEDULES = (
    "Karras", "Exponential", "Polyexponential", "SGM Uniform", "Uniform", "Simple", "Normal", "Beta", "Automatic",
    "Align Your Steps", "KL Optimal", "DDIM Uniform", "Turbo",
)  # fmt: skip
_SCHEDULE_KEYS = {re.sub(r"[^a-z]", "", name.casefold()): name for name in _SCHEDULES}
_JOINT_SCHEDULES = ("Karras", "Exponential", "SGM Uniform", "Beta")
"""Schedules that a canonical name may carry."""
_ALIKE = {"Simple": "SGM Uniform", "Polyexponential": "Exponential"}
"""Schedules that take the same steps, or nearly: "Simple" and "SGM Uniform" both end before the last training step."""

_ALIASES: dict[str, str] = {
    "eulera": "Euler a", "eulara": "Euler a", "eular": "Euler", "eulerancestral": "Euler a",
    "eulerancestraldiscrete": "Euler a", "eulerdiscrete": "Euler", "flowmatcheulerdiscrete": "Euler",
    "heundiscrete": "Heun", "lmsdiscrete": "LMS", "pndm": "PLMS",
    "dpm2ancestral": "DPM2 a", "dpm2a": "DPM2 a", "dpm2discrete": "DPM2", "dpm2ancestraldiscrete": "DPM2 a",
    "dpm++2m": "DPM++ 2M", "dpmsolvermultistep": "DPM++ 2M", "dpmsolver++": "DPM++ 2M", "kkw++2m": "DPM++ 2M",
    "kkwdpm++2m": "DPM++ 2M", "dpm++2msde": "DPM++ 2M SDE", "dpm++2msdegpu": "DPM++ 2M SDE",
    "dpm++3msde": "DPM++ 3M SDE", "dpm++3msdegpu": "DPM++ 3M SDE", "dpm++2msdeheun": "DPM++ 2M SDE Heun",
    "dpm++sde": "DPM++ SDE", "dpm++sdegpu": "DPM++ SDE", "dpmsolversde": "DPM++ SDE",
    "dpmsolversinglestep": "DPM++ 2S a", "dpm++2sa": "DPM++ 2S a", "dpm++2sancestral": "DPM++ 2S a",
    "unipcmultistep": "UniPC", "unipcbh2": "UniPC", "deismultistep": "DEIS", "dpmadaptive": "DPM adaptive",
    "tcd": "TCD", "ddpm": "DDPM",
}  # fmt: skip
"""Squeezed spelling (lower case, no blanks, `pp` as `++`) to the sampler without its schedule."""

_NOISE_WORDS = re.compile(r"\b(?:v\d+|test|mod|new|alt|sharp|precision|qual|sampler|scheduler)\b", re.IGNORECASE)


def canonical_sampler(name: str, schedule: str = "") -> str | None:
    """The A1111 name of a sampler, with its schedule when that changes the name.

    Args:
        name: Any spelling: "Eular a", "k_dpmpp_2m_karras", "EulerAncestralDiscreteScheduler", "DPM++ 2M Karras v2".
        schedule: The separate schedule of newer tools ("Karras", "Automatic", "SGM Uniform"); empty when there is none.

    Returns:
        A name of `SAMPLERS`, or None when the spelling is unknown. A schedule that no canonical name carries is left
        out ("Euler" with Karras is "Euler"): the nearest that can be drawn.
    """
    base, joint_schedule = _split_any_schedule(_NOISE_WORDS.sub(" ", name.replace("_", " ")))
    sampler = _BASES.get(_squeezed(base))
    if sampler is None:
        return None
    wanted = joint_schedule or _SCHEDULE_KEYS.get(_squeezed(schedule), "")
    wanted = _ALIKE.get(wanted, wanted)
    if wanted == "Automatic":
        wanted = AUTOMATIC_SCHEDULES.get(sampler, "")
    joint = f"{sampler} {wanted}"
    return joint if joint in SAMPLERS else sampler


@lru_cache(maxsize=4096)
def nearest_sampler(name: str, offered: tuple[str, ...]) -> str:
    """The sampler of a family that comes nearest to what a picture or a page names.

    A schedule that the family does not have is left out, and its own is used where it has no sampler without one. Any
    other change is a warning, once for each name.

    Args:
        name: Any spelling, known or not.
        offered: The family's samplers, best first.

    Returns:
        One of `offered`.
    """
    canonical = canonical_sampler(name)
    solver = _without_schedule(canonical) if canonical else ""
    same_solver = [sampler for sampler in offered if _without_schedule(sampler) == solver]
    for sampler in (canonical, solver, *same_solver):
        if sampler in offered:
            return sampler
    kin = _KIN.get(solver, "")
    close = difflib.get_close_matches((canonical or name)[:_MOST_TEXT], offered, n=1)
    chosen = next(each for each in (kin, _without_schedule(kin), *close, offered[0]) if each in offered)
    log.warning("the sampler %.60r is not one that is drawn here: the nearest, %s, takes its place", name, chosen)
    return chosen


def split_schedule(name: str) -> tuple[str, str]:
    """A canonical name as the pair that A1111 1.9 and later writes: ("DPM++ 2M", "Karras"), ("Euler a", "Automatic").

    A sampler whose automatic schedule is not the uniform one gets "Uniform" spelled out, since leaving the schedule
    away would change the picture.
    """
    solver = _without_schedule(name)
    if solver != name:
        return solver, name.removeprefix(f"{solver} ")
    return name, "Uniform" if name in AUTOMATIC_SCHEDULES else "Automatic"


def _without_schedule(name: str) -> str:
    for schedule in _JOINT_SCHEDULES:
        name = name.removesuffix(f" {schedule}")
    return name


def _split_any_schedule(name: str) -> tuple[str, str]:
    """Cut a schedule's name off the end: "Euler A SGMUniform" to ("Euler A", "SGM Uniform")."""
    words = name.split()
    for count in (3, 2, 1):
        if len(words) > count:
            schedule = _SCHEDULE_KEYS.get(_squeezed("".join(words[-count:])))
            if schedule:
                return " ".join(words[:-count]), schedule
    return " ".join(words), ""


def _squeezed(name: str) -> str:
    """Lower case without blanks, the k-diffusion prefix and the diffusers suffix; "pp" as "++"."""
    key = re.sub(r"[^a-z0-9+]", "", name.casefold()).replace("dpmpp", "dpm++")
    key = key.removesuffix("scheduler")
    return key[1:] if key.startswith(("keuler", "kdpm", "klms", "kheun")) else key


_BASES: dict[str, str] = {_squeezed(split_schedule(name)[0]): split_schedule(name)[0] for name in SAMPLERS} | _ALIASES
