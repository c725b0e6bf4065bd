"""From Civitai's API records to tool specs."""

from __future__ import annotations

from tool_specs.civitai.records import RecordReading, SetAside, specs_of

__all__ = ["RecordReading", "SetAside", "specs_of"]
