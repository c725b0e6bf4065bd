"""Which release of this project runs."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def release() -> str:
    """Its version; "0" for a checkout that is not installed."""
    try:
        return version("diffagent-tools")
    except PackageNotFoundError:
        return "0"
