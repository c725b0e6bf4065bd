"""Calls: what draws one picture, and the narrowed arguments that a planner fills in."""

from __future__ import annotations

from tool_specs.calls.arguments import Arguments, arguments_model, to_call
from tool_specs.calls.family_calls import (
    CALL_MODELS,
    AnyCall,
    ChromaCall,
    FluxCall,
    PocketCall,
    QwenImageCall,
    StableDiffusion2Call,
    StableDiffusion15Call,
    StableDiffusion35Call,
    StableDiffusionXLCall,
    ZImageCall,
    call_model,
    parse_call,
)
from tool_specs.calls.hires import HiresFix
from tool_specs.calls.models import MAX_PROMPT, UNPLANNED_FIELDS, Call
from tool_specs.calls.seeds import MAX_SEED, Variation
from tool_specs.calls.trigger_words import networks_named, with_trigger_words, with_trigger_words_of_loras
from tool_specs.calls.unplanned import start_of, starting_from, with_unplanned
from tool_specs.spec import LoraUse

__all__ = [
    "CALL_MODELS",
    "MAX_PROMPT",
    "MAX_SEED",
    "UNPLANNED_FIELDS",
    "AnyCall",
    "Arguments",
    "Call",
    "ChromaCall",
    "FluxCall",
    "HiresFix",
    "LoraUse",
    "PocketCall",
    "QwenImageCall",
    "StableDiffusion2Call",
    "StableDiffusion15Call",
    "StableDiffusion35Call",
    "StableDiffusionXLCall",
    "Variation",
    "ZImageCall",
    "arguments_model",
    "call_model",
    "networks_named",
    "parse_call",
    "start_of",
    "starting_from",
    "to_call",
    "with_trigger_words",
    "with_trigger_words_of_loras",
    "with_unplanned",
]
