"""Calls: what draws one picture, and the narrowed arguments that a planner fills in."""

from __future__ import annotations

from tool_specs.calls.arguments import Arguments, arguments_model, to_call
from tool_specs.calls.hires import HiresFix
from tool_specs.calls.models import (
    CALL_MODELS,
    MAX_PROMPT,
    MAX_SEED,
    UNPLANNED_FIELDS,
    AnyCall,
    Call,
    FluxCall,
    PocketCall,
    StableDiffusion15Call,
    StableDiffusion35Call,
    StableDiffusionXLCall,
    call_model,
    parse_call,
)
from tool_specs.calls.unplanned import start_of, starting_from, with_hires
from tool_specs.spec import LoraUse

__all__ = [
    "CALL_MODELS",
    "MAX_PROMPT",
    "MAX_SEED",
    "UNPLANNED_FIELDS",
    "AnyCall",
    "Arguments",
    "Call",
    "FluxCall",
    "HiresFix",
    "LoraUse",
    "PocketCall",
    "StableDiffusion15Call",
    "StableDiffusion35Call",
    "StableDiffusionXLCall",
    "arguments_model",
    "call_model",
    "parse_call",
    "start_of",
    "starting_from",
    "to_call",
    "with_hires",
]
