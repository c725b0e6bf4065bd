"""Keeping the stored catalog in step with Civitai."""

from __future__ import annotations

from tool_specs.syncing.filters import SyncFilters
from tool_specs.syncing.run import sync
from tool_specs.syncing.summary import SyncProgress, SyncSummary, Tally

__all__ = ["SyncFilters", "SyncProgress", "SyncSummary", "Tally", "sync"]
