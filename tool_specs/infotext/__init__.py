"""The A1111 infotext: the `parameters` text that image files of this community carry, both ways."""

from __future__ import annotations

from tool_specs.infotext.reading import Infotext, parse_infotext
from tool_specs.infotext.writing import infotext_of, spec_hashes, spec_names, to_infotext

__all__ = ["Infotext", "infotext_of", "parse_infotext", "spec_hashes", "spec_names", "to_infotext"]
