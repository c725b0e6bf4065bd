"""What a person sees while the catalog is brought in step with Civitai: one line on stderr, in a terminal only."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape

from tool_specs.syncing import SyncProgress, Tally


class SyncWatch:
    """Shows how far a sync is. Use it as a context manager.

    Attributes:
        tally: What is in the catalog so far; None before the first step.
    """

    def __init__(self, console: Console) -> None:
        """Write to `console`."""
        self.tally: Tally | None = None
        self._console = console
        self._status = console.status("asking Civitai")
        self._began = time.monotonic()
        self._models_before: int | None = None

    def __enter__(self) -> Self:
        """Start to show."""
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the line away."""
        self._status.stop()

    def show(self, progress: SyncProgress) -> None:
        """Show a step."""
        self.tally = progress.tally
        self._status.update(progress_line(progress, self._models_a_minute(progress.tally)))

    def wait(self, reason: str, seconds: float) -> None:
        """Show that Civitai is waited for."""
        self._status.update(f"waiting {seconds:.0f} s: {escape(reason)}")

    def _models_a_minute(self, tally: Tally) -> float:
        """Since the first step, which may have been one after an interruption."""
        if self._models_before is None:
            self._models_before, self._began = tally.models, time.monotonic()
        minutes = (time.monotonic() - self._began) / 60
        return (tally.models - self._models_before) / minutes if minutes > 0.05 else 0.0


def progress_line(progress: SyncProgress, models_a_minute: float) -> str:
    """What is known of how far a sync is: Civitai does not say how much is left.

    Args:
        progress: The step.
        models_a_minute: How fast it goes; 0 while that is unknown.
    """
    tally = progress.tally
    parts = [f"{tally.models:,} models", f"{tally.stored:,} versions stored"]
    parts += [f"{tally.set_aside:,} set aside"] if tally.set_aside else []
    if progress.phase == "checking":
        return " · ".join([*parts, f"asked for {tally.checked:,} of {progress.to_check:,} that were missing"])
    if progress.reached is not None:
        goal = f", will stop at {progress.until:%Y-%m-%d}" if progress.until else ""
        parts.append(f"back to {progress.reached:%Y-%m-%d}{goal}")
    if progress.expected_models:
        left = max(0, progress.expected_models - tally.models)
        time_left = f", about {left / models_a_minute:,.0f} min left" if models_a_minute and left else ""
        parts.append(f"last time there were {progress.expected_models:,}{time_left}")
    elif models_a_minute:
        parts.append(f"{models_a_minute:,.0f} models a minute")
    return " · ".join(parts)
