"""From files and folders into the catalog."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tool_specs.civitai.client import CivitaiClient
from tool_specs.civitai.files import files_of
from tool_specs.civitai.records import SetAside, reason_against, specs_of
from tool_specs.civitai.values import mapping_of, sequence_of
from tool_specs.exceptions import CatalogError
from tool_specs.importing.documents import Entry, entries
from tool_specs.importing.folders import Contents, contents_of, shown_path, size_of
from tool_specs.importing.intake import Intake
from tool_specs.importing.library import Library, OnStep, SideFiles
from tool_specs.importing.pairs import evidence_of
from tool_specs.importing.shapes import JsonObject, ModelRecord, hints_of, model_record
from tool_specs.importing.summary import PathSummary
from tool_specs.store.database import CatalogDatabase

_FOREIGN: Final = "it describes no model"
_STRANGE: Final = 1000
"""Values without a known shape after which the rest of a file is not read, unless it is a damaged one of ours."""
_MEANT: Final = frozenset({".json", ".jsonl", ".ndjson", ".info"})
"""Part of the name of a file that was meant to hold JSON, so that damage to it is worth telling."""


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """What an import came to: catalogs and libraries, and evidence, each by PATH."""

    paths: tuple[PathSummary, ...]
    evidence: tuple[PathSummary, ...]


def import_paths(
    database: CatalogDatabase,
    paths: Iterable[Path],
    *,
    evidence: Iterable[Path] = (),
    client: CivitaiClient | None = None,
    on_step: OnStep | None = None,
) -> ImportSummary:
    """Take models, side files, weights and evidence into the catalog.

    What is recognised, by content: model objects of the API, one by one, in arrays or in pages; rows with one model
    version each; side files of model managers; and, as a local library, safetensors files. What has been stored stays
    when the import is interrupted; the same import again stores the rest.

    Args:
        database: The catalog.
        paths: Files and folders.
        evidence: Files with pairs of a request and the call that drew it.
        client: Asked for weights files that the catalog does not know.
        on_step: Told the progress.

    Raises:
        ConfigError: There is no such file or folder, or the catalog cannot be written.
        CatalogError: The catalog is damaged or busy.
    """
    contents = [contents_of(path) for path in paths]
    pairs = [contents_of(path) for path in evidence]
    with database.transaction() as writing:
        for one in (*contents, *pairs):
            writing.forget_set_aside(shown_path(one.root))
    return ImportSummary(
        tuple(_import_path(database, one, client, on_step) for one in contents),
        tuple(_import_evidence(database, one, on_step) for one in pairs),
    )


def _import_path(
    database: CatalogDatabase, contents: Contents, client: CivitaiClient | None, on_step: OnStep | None
) -> PathSummary:
    summary = PathSummary(shown_path(contents.root), ignored=contents.ignored)
    intake = Intake(database, summary)
    for one in contents.refused:
        intake.refuse(one.where, one.reason)
    sides = SideFiles()
    for path, on_bytes in _told(contents.documents, on_step):
        if not _import_document(path, intake, sides, on_bytes):
            summary.ignored += 1
    intake.store()
    Library(database, contents, sides, client=client, on_step=on_step).take(intake, summary)
    return summary


def _import_document(path: Path, intake: Intake, sides: SideFiles, on_bytes: Callable[[int], None]) -> bool:
    """Read one file; False where nothing in it describes a model."""
    source = shown_path(path)
    strange: list[SetAside] = []
    recognised = False
    for entry in entries(path, on_bytes=on_bytes):
        found = None if entry.reason else model_record(entry.value, path)
        if found is not None:
            if not recognised:
                intake.set_aside(strange, source=source)
                recognised = True
            _take_record(found, entry, source, intake, sides)
            continue
        aside = SetAside(entry.reason or _FOREIGN, entry.place)
        if recognised:
            intake.set_aside([aside], source=source)
            continue
        strange.append(aside)
        if (hints := hints_of(entry.value)) is not None:
            sides.hints[path.with_suffix("")] = hints
        if len(strange) >= _STRANGE:
            if not _is_damaged(strange, path):
                return False
            intake.set_aside(strange, source=source)
            recognised = True
    if not recognised and _is_damaged(strange, path):
        intake.set_aside(strange, source=source)
        return True
    return recognised


def _is_damaged(strange: list[SetAside], path: Path) -> bool:
    """Whether a file was meant to hold JSON and holds none that can be read."""
    unread = bool(strange) and all(aside.reason != _FOREIGN for aside in strange)
    return unread and bool(_MEANT.intersection(path.suffixes))


def _take_record(found: ModelRecord, entry: Entry, source: str, intake: Intake, sides: SideFiles) -> None:
    reading = specs_of(found.record)
    places = [SetAside(one.reason, f"{entry.place}: {one.where}") for one in reading.set_aside]
    intake.take_specs(reading.specs, found.origin)
    intake.set_aside(places, source=source)
    if found.origin == "local" and (reason := reason_against(found.record)):
        sides.refused |= dict.fromkeys(_hashes(found.record), reason)


def _hashes(record: JsonObject) -> set[str]:
    versions = map(mapping_of, sequence_of(record.get("modelVersions")))
    return {file.sha256 for version in versions for file in files_of(version) if file.sha256}


def _import_evidence(database: CatalogDatabase, contents: Contents, on_step: OnStep | None) -> PathSummary:
    summary = PathSummary(shown_path(contents.root), ignored=contents.ignored + len(contents.weights))
    intake = Intake(database, summary)
    for one in contents.refused:
        intake.refuse(one.where, one.reason)
    for path, on_bytes in _told(contents.documents, on_step):
        for entry in entries(path, on_bytes=on_bytes):
            try:
                if entry.reason:
                    raise CatalogError(entry.reason)
                intake.take_evidence(evidence_of(entry.value))
            except CatalogError as error:
                intake.set_aside([SetAside(str(error), entry.place)], source=shown_path(path))
    intake.store()
    return summary


def _told(paths: Iterable[Path], on_step: OnStep | None) -> Iterable[tuple[Path, Callable[[int], None]]]:
    """Each file, with what tells how far the reading of all of them has come."""
    sized = [(path, size_of(path)) for path in paths]
    end, done = sum(size for _, size in sized), 0
    for path, size in sized:
        start = done

        def tell(read: int, path: Path = path, start: int = start) -> None:
            if on_step is not None:
                on_step(shown_path(Path(path.name)), start + read, end)

        yield path, tell
        done += size
