"""Names of specs: the id in the catalog, and the tool name that a language model sees."""

from __future__ import annotations

import re
import unicodedata

from tool_specs.exceptions import CatalogError

MAX_TOOL_NAME = 64
"""Longest function name that tool-calling APIs accept; they allow letters, digits, `_` and `-`."""

SPEC_ID_PATTERN = r"^(?:civitai|local):[0-9]{1,10}@[0-9]{1,10}$"
"""What a complete spec id looks like, as a JSON-schema pattern."""

FIRST_LOCAL_ID = 2**31
"""Ids of models that Civitai does not know begin here; its own are smaller."""

_ID = re.compile(
    r"(?:(?:urn:)?(?:air:)?(?:[\w.-]+:[\w.-]+:)?civitai:|local:(?=[0-9]{10}(?![0-9])))?([0-9]{1,10})(?:@([0-9]{1,10}))?(?:[+.][\w.+-]*)?"
)
_PAGE = re.compile(
    r"https?://(?:www\.)?civitai\.(?:com|red|green)/models/([0-9]{1,10})(?:/[^?#]*)?(?:\?(?:[^#]*&)?modelVersionId=([0-9]{1,10}))?.*"
)


def spec_id(model_id: int, version_id: int) -> str:
    """The id of a model version, in the manner of AIR: `civitai:4384@128713`, or `local:N@N` for a local file."""
    return f"{_source(model_id)}:{model_id}@{version_id}"


def local_id(sha256: str) -> int:
    """The model and version id of a file that Civitai does not know: 2**31 and the first 31 bits of its SHA-256.

    Args:
        sha256: The hash, in hex digits.
    """
    return FIRST_LOCAL_ID + (int(sha256[:8], 16) >> 1)


def parse_spec_id(text: str) -> tuple[int, int | None]:
    """Read the model and version out of any common way to name them.

    Args:
        text: `civitai:4384@128713`, `4384`, `4384@128713`, a complete AIR
            (`urn:air:sd1:checkpoint:civitai:4384@128713`), the address of a model page, or the id of a local file
            (`local:2147483648@2147483648`).

    Returns:
        The model id, and the version id or None where the text names only the model.

    Raises:
        CatalogError: The text names no model.
    """
    stripped = text.strip()
    match = _ID.fullmatch(stripped) or _PAGE.fullmatch(stripped)
    if match is None:
        msg = f"{_shown(text)} names no model: write it as civitai:4384@128713, as 4384, or as the model page's address"
        raise CatalogError(msg)
    return int(match[1]), int(match[2]) if match[2] else None


def model_id_of(spec_id: str) -> int:
    """The model that a spec is a version of.

    Raises:
        CatalogError: It is no spec id.
    """
    return parse_spec_id(spec_id)[0]


def tool_name(model_type: str, model_id: int, version_id: int, model_name: str, *, ambiguous: bool = False) -> str:
    """A readable tool name that is stable and unique per model: `civitai_4384_dreamshaper`.

    Args:
        model_type: The model type, which stands in where the name holds no Latin letters or digits.
        model_id: The model id: Civitai's, or that of a local file.
        version_id: The version id, likewise.
        model_name: The model's name, in any script.
        ambiguous: Whether another version of the same model is named beside it; the version id is appended then.

    Returns:
        At most 64 characters of `a-z`, `0-9` and `_`.
    """
    head = f"{_source(model_id)}_{model_id}_"
    tail = f"__{version_id}" if ambiguous else ""
    slug = _slug(model_name) or _slug(model_type) or "model"
    return head + slug[: MAX_TOOL_NAME - len(head) - len(tail)].strip("_") + tail


def parse_tool_name(name: str) -> tuple[int, int | None]:
    """The model id, and the version id where the name carries one, of a name made by `tool_name`.

    Raises:
        CatalogError: The name was not made by `tool_name`.
    """
    match = re.fullmatch(r"(?:civitai|local)_([0-9]{1,10})_(?!_)(?:[a-z0-9]|_(?!_))+(?:__([0-9]{1,10}))?", name)
    if match is None:
        msg = f"{_shown(name)} is no tool name: they look like civitai_4384_dreamshaper"
        raise CatalogError(msg)
    return int(match[1]), int(match[2]) if match[2] else None


def _source(model_id: int) -> str:
    return "local" if model_id >= FIRST_LOCAL_ID else "civitai"


def _slug(name: str) -> str:
    """Lower-case ASCII words joined by `_`; empty for a name without any."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", ascii_name.lower()).strip("_")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
