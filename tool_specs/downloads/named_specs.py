"""The spec that a person means by a version's number or a model's name, from the catalog or from Civitai."""

from __future__ import annotations

import asyncio

from tool_specs.civitai.client import CivitaiClient
from tool_specs.civitai.records import specs_of
from tool_specs.civitai.values import integer_of
from tool_specs.exceptions import CatalogError
from tool_specs.naming import parse_spec_id
from tool_specs.spec import ToolSpec
from tool_specs.store.catalog import StoredCatalog
from tool_specs.store.database import CatalogDatabase


def spec_named(name: str, database: CatalogDatabase, client: CivitaiClient) -> ToolSpec:
    """Find a spec; one that only Civitai knows is stored in the catalog.

    Args:
        name: The number of a version ("128713"), `civitai:4384@128713`, `civitai:4384` for the first version of a
            model, a tool name, or a model page's address.
        database: The catalog.
        client: A client that is not open.

    Raises:
        CatalogError: There is no such version, or it may not be used.
        CivitaiError: Civitai has to be asked and does not answer.
    """
    text = name.strip()
    model_id: int | None
    version_id: int | None
    if text.isascii() and text.isdigit():
        model_id, version_id = None, int(text)
        known = next((one.id for one in database.names() if one.version_id == version_id), None)
        spec = database.spec(known) if known else None
    else:
        try:
            return StoredCatalog(database).get(text)
        except CatalogError as unknown:
            try:
                model_id, version_id = parse_spec_id(text)
            except CatalogError:
                raise unknown from None
            spec = None
    if spec is None:
        spec = asyncio.run(_asked(text, model_id, version_id, client))
        with database.transaction() as writing:
            writing.put_specs([spec], origin="api")
    return spec


async def _asked(name: str, model_id: int | None, version_id: int | None, client: CivitaiClient) -> ToolSpec:
    """The spec by Civitai. A version's own record has no licence, so its model is asked for."""
    async with client:
        if model_id is None:
            version = await client.version(version_id or 0)
            model_id = integer_of((version or {}).get("modelId"), least=1)
        model = await client.model(model_id or 0)
    reading = specs_of(model or {})
    for spec in reading.specs:
        if version_id in (None, spec.version_id):
            return spec
    reason = next((aside.reason for aside in reading.set_aside if model), "Civitai does not have it")
    msg = f"{name[:80]!r} names no version that can be used: {reason}"
    raise CatalogError(msg)
