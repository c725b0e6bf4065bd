"""From records of Civitai to what is written to the catalog."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from tool_specs.civitai.records import RecordReading, SetAside, specs_of
from tool_specs.civitai.values import flag_of, integer_of
from tool_specs.spec import GONE, ToolSpec
from tool_specs.store.database import CatalogDatabase
from tool_specs.store.writing import Writing
from tool_specs.syncing.dates import published
from tool_specs.syncing.filters import SyncFilters
from tool_specs.syncing.summary import Tally

DELETED: Final = "Deleted"
"""Availability of a version that is no longer on Civitai."""
_SOURCE: Final = "api/models"


@dataclass(slots=True)
class Intake:
    """What some records hold for the catalog."""

    specs: list[ToolSpec] = field(default_factory=list)
    set_aside: dict[int | None, list[SetAside]] = field(default_factory=dict)
    """By the id of the model; models of which everything could be read are there as well."""
    withdrawn: list[ToolSpec] = field(default_factory=list)
    """Versions that the catalog holds and Civitai no longer does."""
    refused: list[str] = field(default_factory=list)
    """Ids of versions that must not be in the catalog any more."""
    dates: dict[int, int | None] = field(default_factory=dict)
    suspects: list[int] = field(default_factory=list)
    models: int = 0
    repeated: int = 0
    filtered: int = 0

    def write(self, writing: Writing) -> Tally:
        """Store it.

        Returns:
            The counts of it, without pages and checks.
        """
        counts = writing.put_specs(self.specs, origin="api")
        for model_id, items in self.set_aside.items():
            if model_id is not None:
                writing.forget_set_aside(f"{_SOURCE}/{model_id}")
            writing.set_aside(items, source=f"{_SOURCE}/{model_id or 'without id'}")
        set_aside = sum(map(len, self.set_aside.values()))
        gone = [spec.model_copy(update={"availability": DELETED}) for spec in self.withdrawn]
        writing.put_specs(gone, origin="api")
        removed = writing.remove(self.refused)
        return Tally(
            models=self.models,
            repeated=self.repeated,
            filtered=self.filtered,
            read=len(self.specs) + set_aside,
            added=counts.added,
            changed=counts.changed,
            unchanged=counts.unchanged,
            set_aside=set_aside,
            gone=len(gone) + removed,
        )


def listed_intake(
    records: Iterable[Mapping[str, object]], filters: SyncFilters, database: CatalogDatabase, seen: Container[int]
) -> Intake:
    """Read the records of a page.

    Args:
        records: Model objects.
        filters: What to leave out. Versions that are in the catalog are never left out, so that it learns of it when
            one is rated otherwise.
        database: The catalog.
        seen: Ids of models that were read before.
    """
    intake = Intake()
    for record in records:
        model_id = _model_id(record)
        if model_id is not None and (model_id in seen or model_id in intake.dates):
            intake.repeated += 1
            continue
        intake.models += 1
        present = database.ids_of_model(model_id) if model_id is not None else []
        reading = specs_of(record)
        _add(intake, record, reading, filters, present)
        if model_id is not None:
            intake.dates[model_id] = published(record)
            if any(filters.ask_for(spec) for spec in _missing(database, present, reading)):
                intake.suspects.append(model_id)
    return intake


def checked_intake(
    answers: Mapping[int, Mapping[str, object] | None], filters: SyncFilters, database: CatalogDatabase
) -> Intake:
    """Read the records of models that were asked for one by one; None for a model that is no more."""
    intake = Intake()
    for model_id, record in answers.items():
        present = database.ids_of_model(model_id)
        reading = RecordReading((), ()) if record is None else specs_of(record)
        missing = _missing(database, present, reading)
        if record is not None:
            _add(intake, record, reading, filters, present)
        if record is not None and (flag_of(record.get("poi")) or flag_of(record.get("minor"))):
            intake.refused += [spec.id for spec in missing]
        else:
            intake.withdrawn += missing
    return intake


def is_there(database: CatalogDatabase, model_id: int) -> bool:
    """Whether the catalog holds a version of a model that may still be had."""
    return any(spec.availability not in GONE for spec in database.specs(database.ids_of_model(model_id)).values())


def _add(
    intake: Intake,
    record: Mapping[str, object],
    reading: RecordReading,
    filters: SyncFilters,
    present: Container[str],
) -> None:
    """Take in what the filters admit, and what the catalog holds already."""
    admitted = filters.admit_record(record)
    kept = [spec for spec in reading.specs if (admitted and filters.admit(spec)) or spec.id in present]
    intake.specs += kept
    intake.filtered += len(reading.specs) - len(kept)
    if admitted:
        intake.set_aside.setdefault(_model_id(record), []).extend(reading.set_aside)
    else:
        intake.filtered += len(reading.set_aside)


def _missing(database: CatalogDatabase, present: Iterable[str], reading: RecordReading) -> list[ToolSpec]:
    """Versions that the catalog holds as if they could be had, and that a record does not give."""
    given = {spec.id for spec in reading.specs}
    missing = database.specs([spec_id for spec_id in present if spec_id not in given])
    return [spec for spec in missing.values() if spec.availability not in GONE]


def _model_id(record: Mapping[str, object]) -> int | None:
    return integer_of(record.get("id"), least=1, most=2**31 - 1)
