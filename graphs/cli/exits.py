"""How the command ends: exit codes, and each kind of error as one line."""

from __future__ import annotations

import sqlite3

import click

from tool_specs.exceptions import CatalogError, ConfigError, DiffAgentError, DrawingCancelled, RequestError

DRAWN, FAULT_OF_OURS, BAD_USAGE, NOTHING_FITS, FAILED, INTERRUPTED = 0, 1, 2, 3, 4, 130

CODES: tuple[tuple[type[BaseException], int], ...] = (
    (click.Abort, INTERRUPTED),
    (KeyboardInterrupt, INTERRUPTED),
    (DrawingCancelled, INTERRUPTED),
    (click.ClickException, BAD_USAGE),
    (RequestError, BAD_USAGE),
    (CatalogError, BAD_USAGE),
    (ConfigError, BAD_USAGE),
    (DiffAgentError, FAILED),
    (sqlite3.Error, FAILED),
)
"""Exit code by kind of error; the first that matches."""

STATUS_CODES = {
    "accepted": DRAWN,
    "best_effort": DRAWN,
    "nothing_fits": NOTHING_FITS,
    "failed": FAILED,
    "rejected": INTERRUPTED,
}
"""Exit code by how a request ended."""


def exit_code(error: BaseException) -> int:
    """The exit code for an error; 1 for one that nobody foresaw."""
    return next((code for kind, code in CODES if isinstance(error, kind)), FAULT_OF_OURS)


def one_line(error: BaseException) -> str:
    """What went wrong, and what to do about it, in one line."""
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return "interrupted"
    if isinstance(error, sqlite3.Error):
        return f"the threads cannot be kept: {error}; free some space, or set DIFFAGENT_HOME to a folder of yours"
    text = error.format_message() if isinstance(error, click.ClickException) else str(error)
    text = " ".join(text.split()) or type(error).__name__
    if exit_code(error) == FAULT_OF_OURS:
        return f"{type(error).__name__}: {text} (set DIFFAGENT_DEBUG=1 to see where)"
    return text
