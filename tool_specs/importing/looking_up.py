"""Asking Civitai what weights files are, by their hashes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from tool_specs.civitai.client import CivitaiClient
from tool_specs.civitai.records import reason_against, specs_of
from tool_specs.civitai.values import integer_of
from tool_specs.exceptions import CivitaiError
from tool_specs.importing.shapes import JsonObject, model_record
from tool_specs.spec import ToolSpec
from tool_specs.store.rows import Origin

OnModels = Callable[[int, int], None]
"""Called with the models that have been asked for and all that will be."""


@dataclass(slots=True)
class Findings:
    """What Civitai knows of some hashes.

    Attributes:
        specs: Spec and its origin by SHA-256.
        refused: Why a known file may not be used, by SHA-256.
        problem: Why not everything could be asked; empty where it could.
    """

    specs: dict[str, tuple[Origin, ToolSpec]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    problem: str = ""


def look_up(client: CivitaiClient, sha256s: Collection[str], *, on_models: OnModels | None = None) -> Findings:
    """Find the specs of files.

    The version that holds a file comes without tags, description and licence, so its model is asked for as well; when
    that fails, the version has to do.

    Args:
        client: A client that is not open.
        sha256s: Complete hashes.
        on_models: Told the progress.
    """
    return asyncio.run(_look_up(client, sha256s, on_models))


async def _look_up(client: CivitaiClient, sha256s: Collection[str], on_models: OnModels | None) -> Findings:
    findings = Findings()
    async with client:
        try:
            versions = await client.by_hashes(sha256s)
        except CivitaiError as error:
            findings.problem = f"the look-up failed: {error}"
            return findings
        models: dict[int, set[str]] = {}
        for sha256, version in versions.items():
            models.setdefault(integer_of(version.get("modelId"), least=1) or 0, set()).add(sha256)
        for number, (model_id, hashes) in enumerate(models.items(), 1):
            model = await _model(client, model_id, findings)
            if model is not None:
                _note(findings, model, "api", hashes)
            for sha256 in hashes - findings.specs.keys() - findings.refused.keys():
                embedded = model_record(versions[sha256], Path())
                if embedded is not None:
                    _note(findings, embedded.record, embedded.origin, {sha256})
            if on_models is not None:
                on_models(number, len(models))
    return findings


async def _model(client: CivitaiClient, model_id: int, findings: Findings) -> JsonObject | None:
    """The model with all its versions; not asked for once Civitai has failed."""
    if findings.problem:
        return None
    try:
        return await client.model(model_id)
    except CivitaiError as error:
        findings.problem = f"the look-up was not finished: {error}"
        return None


def _note(findings: Findings, record: JsonObject, origin: Origin, hashes: set[str]) -> None:
    """Keep the specs that hold one of the files; files of a model that may not be used are refused."""
    if reason := reason_against(record):
        findings.refused |= dict.fromkeys(hashes, reason)
    for spec in specs_of(record).specs:
        for file in spec.files:
            if file.sha256 in hashes:
                findings.specs.setdefault(file.sha256, (origin, spec))
