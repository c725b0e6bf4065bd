"""Filling the catalog from files: dumps, rows, side files, evidence, and the weights on this disk."""

from __future__ import annotations

from tool_specs.importing.importer import ImportSummary, import_paths
from tool_specs.importing.summary import PathSummary, total

__all__ = ["ImportSummary", "PathSummary", "import_paths", "total"]
