"""From one model object of Civitai's `/api/v1/models` to the specs of its versions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date
from typing import Final

from pydantic import ValidationError

from tool_specs.civitai.files import files_of
from tool_specs.civitai.licenses import license_of
from tool_specs.civitai.metadata import example_of
from tool_specs.civitai.ratings import content_rating, is_safe_image
from tool_specs.civitai.recommended import recommended_of
from tool_specs.civitai.text import plain_text
from tool_specs.civitai.values import flag_of, integer_of, mapping_of, moment_of, number_of, sequence_of, text_of
from tool_specs.exceptions import CatalogError
from tool_specs.families import family_of
from tool_specs.naming import spec_id
from tool_specs.spec import CHECKPOINT_TYPES, GONE, NETWORK_TYPES, Example, ModelFile, Stats, ToolSpec
from tool_specs.validation import one_line

RUNNABLE_TYPES: Final = CHECKPOINT_TYPES | NETWORK_TYPES | {"VAE"}
"""Model types that become specs; poses, workflows, hypernetworks and the like are set aside."""

MAX_EXAMPLES: Final = 10
_DESCRIPTION: Final = 2000
_PHRASE: Final = 2000
_MAX_ID: Final = 2**31 - 1
_MAX_TAGS: Final = 60
_MAX_TRIGGER_WORDS: Final = 60
_WEIGHT: Final = re.compile(r"[\(\[\{]*([^()\[\]{}]*?)(?::\s*-?[\d.]+)?[\)\]\}]*")


@dataclass(frozen=True, slots=True)
class SetAside:
    """A version, or a whole record, that became no spec."""

    reason: str
    where: str


@dataclass(frozen=True, slots=True)
class RecordReading:
    """What one record gave: a spec or a reason for each version."""

    specs: tuple[ToolSpec, ...]
    set_aside: tuple[SetAside, ...]


def specs_of(record: Mapping[str, object]) -> RecordReading:
    """Read a model object.

    Args:
        record: The JSON of one model, as the API gave it in any year: fields may be missing, null, of another type or
            unknown.

    Returns:
        One spec or one reason per version, in the order of the record; a record without versions gives one reason.
    """
    record = mapping_of(record)
    model_id = integer_of(record.get("id"), least=1, most=_MAX_ID)
    where = f"model {model_id if model_id is not None else text_of(record.get('id')) or '(no id)'}"
    versions = sequence_of(record.get("modelVersions"))
    reason = "it has no valid id" if model_id is None else reason_against(record)
    if reason or model_id is None or not versions:
        places = [f"{where}, {_version_label(mapping_of(version))}" for version in versions] or [where]
        return RecordReading((), tuple(SetAside(reason or "it has no versions", place) for place in places))

    specs: list[ToolSpec] = []
    set_aside: list[SetAside] = []
    seen: set[str] = set()
    for entry in versions:
        version = mapping_of(entry)
        place = f"{where}, {_version_label(version)}"
        version_id = integer_of(version.get("id"), least=1, most=_MAX_ID)
        if version_id is None:
            set_aside.append(SetAside("it has no valid id", place))
            continue
        try:
            spec = version_spec(record, version, model_id=model_id, version_id=version_id)
        except CatalogError as error:
            set_aside.append(SetAside(str(error), place))
        except ValidationError as error:
            set_aside.append(SetAside(f"its fields are invalid: {one_line(error)}", place))
        else:
            if spec.id in seen:
                set_aside.append(SetAside("the record holds this version twice", place))
            else:
                seen.add(spec.id)
                specs.append(spec)
    return RecordReading(tuple(specs), tuple(set_aside))


def reason_against(record: Mapping[str, object]) -> str:
    """Why no version of a model may be a spec; empty when nothing speaks against it."""
    model_type = text_of(record.get("type"))
    reasons = {
        f"its type {model_type!r} is not one that draws": model_type not in RUNNABLE_TYPES,
        "it shows a real person": flag_of(record.get("poi")),
        "it is flagged as showing a minor": flag_of(record.get("minor")),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _version_label(version: Mapping[str, object]) -> str:
    return f"version {text_of(version.get('id'), 40) or '(no id)'}"


def version_spec(
    record: Mapping[str, object], version: Mapping[str, object], *, model_id: int, version_id: int
) -> ToolSpec:
    """The spec of one version.

    Args:
        record: The model object.
        version: One entry of its `modelVersions`.
        model_id: The model's id.
        version_id: The version's id.

    Raises:
        CatalogError: The version does not draw from text.
        pydantic.ValidationError: One of its fields is beyond what a spec may hold.
    """
    model_type = text_of(record.get("type"))
    base_model = text_of(version.get("baseModel")) or "Other"
    base_model_type = text_of(version.get("baseModelType")) or "Standard"
    if model_type == "Checkpoint" and base_model_type != "Standard":
        msg = f"its base model type {base_model_type!r} does not draw from text"
        raise CatalogError(msg)
    files = files_of(version)
    model_name = text_of(record.get("name")) or f"model {model_id}"
    version_name = text_of(version.get("name"))
    tags = _tags(record.get("tags"))
    phrases, words = _trigger_words(version.get("trainedWords"), model_type, files)
    examples, shown = _examples(version)
    return ToolSpec(
        id=spec_id(model_id, version_id),
        model_id=model_id,
        version_id=version_id,
        model_name=model_name,
        version_name=version_name,
        type=model_type,
        base_model=base_model,
        family=family_of(base_model).name,
        description=_description(record.get("description"), version.get("description")),
        tags=tags,
        trigger_words=words,
        trigger_phrases=phrases,
        files=files,
        license=license_of(record, base_model),
        content_rating=content_rating(record, version, [model_name, version_name, *tags, *words]),
        stats=_stats(mapping_of(record.get("stats")), mapping_of(version.get("stats"))),
        availability=_availability(record, version),
        creator=text_of(mapping_of(record.get("creator")).get("username")) or None,
        published=_published(version),
        recommended=recommended_of(base_model, examples, model_type=model_type, names=[file.stem for file in files]),
        examples=shown,
    )


def _availability(record: Mapping[str, object], version: Mapping[str, object]) -> str:
    """The mode of a model that is gone, else how the version is offered."""
    mode = text_of(record.get("mode"))
    if mode in GONE:
        return mode
    return text_of(version.get("availability") or record.get("availability")) or "Public"


def _published(version: Mapping[str, object]) -> date | None:
    """When it was published, or made where the record does not say."""
    moment = moment_of(version.get("publishedAt")) or moment_of(version.get("createdAt"))
    return None if moment is None else moment.astimezone(UTC).date()


def _description(model: object, version: object) -> str:
    """The model's description, then the version's as far as there is room."""
    parts = [plain_text(text, _DESCRIPTION) for text in (model, version) if isinstance(text, str)]
    return plain_text("\n".join(part for part in dict.fromkeys(parts) if part), _DESCRIPTION)


def _tags(value: object) -> tuple[str, ...]:
    """Tags, lower-case, once each; some clients give objects with a name."""
    names = (text_of(mapping_of(entry).get("name") or entry, 100).casefold() for entry in sequence_of(value))
    return tuple(name for name in dict.fromkeys(names) if name)[:_MAX_TAGS]


def _trigger_words(
    value: object, model_type: str, files: Sequence[ModelFile]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The phrases as written, and the single words: split at commas, without tags, weights and brackets.

    A textual inversion without words is called by its file's stem.
    """
    entries = [value] if isinstance(value, str) else sequence_of(value)
    texts = (text_of(entry, _PHRASE).strip(" ,") for entry in entries if isinstance(entry, str))
    phrases = [text for text in dict.fromkeys(texts) if text]
    if not phrases and model_type == "TextualInversion":
        phrases = [file.stem for file in files if file.type == "Model"][:1]
    words = (_bare_word(word) for phrase in phrases for word in phrase.split(","))
    unique = list({word.casefold(): word for word in words if word}.values())
    return tuple(phrases[:_MAX_TRIGGER_WORDS]), tuple(unique[:_MAX_TRIGGER_WORDS])


def _bare_word(text: str) -> str:
    """`(word:1.2)` as `word`; escaped brackets belong to the word."""
    text = text.strip()
    match = _WEIGHT.fullmatch(text)
    return text_of(match[1] if match else text, 200).strip(" ,")


def _examples(version: Mapping[str, object]) -> tuple[list[Example], tuple[Example, ...]]:
    """Everything that could be read from the pictures, and the few that may be shown."""
    read: list[Example] = []
    shown: list[Example] = []
    for image in map(mapping_of, sequence_of(version.get("images"))):
        example = example_of(image.get("meta"))
        if example is None:
            continue
        read.append(example)
        if is_safe_image(image, example.prompt) and example not in shown:
            shown.append(example)
    return read, tuple(shown[:MAX_EXAMPLES])


def _stats(model: Mapping[str, object], version: Mapping[str, object]) -> Stats:
    """The version's figures, the model's where the version has none."""
    merged = {**model, **{key: value for key, value in version.items() if value is not None}}
    rating = number_of(merged.get("rating"))
    return Stats(
        downloads=integer_of(merged.get("downloadCount")),
        thumbs_up=integer_of(merged.get("thumbsUpCount")),
        thumbs_down=integer_of(merged.get("thumbsDownCount")),
        favorites=integer_of(model.get("favoriteCount")),
        comments=integer_of(model.get("commentCount")),
        rating=rating if rating is not None and 0 <= rating <= 5 else None,
        rating_count=integer_of(merged.get("ratingCount")),
    )
