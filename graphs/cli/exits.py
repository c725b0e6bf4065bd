"""How `diffagent` ends, where that is more than done or failed."""

from __future__ import annotations

from tool_specs.command_line import DONE, FAILED, INTERRUPTED

DRAWN, NOTHING_FITS = DONE, 3

STATUS_CODES = {
    "accepted": DRAWN,
    "best_effort": DRAWN,
    "nothing_fits": NOTHING_FITS,
    "failed": FAILED,
    "rejected": INTERRUPTED,
}
"""Exit code by how a request ended."""
