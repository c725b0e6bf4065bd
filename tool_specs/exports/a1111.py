"""A call as the infotext that A1111 and its relatives read."""

from __future__ import annotations

from tool_specs.calls import Call
from tool_specs.catalog import AnyCatalog
from tool_specs.exports.ingredients import ingredients
from tool_specs.infotext import infotext_of


def to_a1111(call: Call, catalog: AnyCatalog) -> str:
    """The infotext of a call with its models' file names and hashes.

    Raises:
        CallError: A model is unknown or does not fit.
    """
    return infotext_of(call, ingredients(call, catalog).specs)
