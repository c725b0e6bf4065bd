"""The spec of a weights file that no record describes: what its header and its name say."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pydantic import ValidationError

from tool_specs.civitai.records import version_spec
from tool_specs.civitai.values import integer_of, mapping_of, text_of
from tool_specs.exceptions import CatalogError
from tool_specs.importing.folders import shown_path
from tool_specs.importing.shapes import JsonObject
from tool_specs.naming import local_id
from tool_specs.spec import ToolSpec
from tool_specs.validation import one_line
from tool_specs.weight_files import SafetensorsHeader
from tool_specs.weight_identity import identify_tensors

MAX_TAGS: Final = 25
MAX_TRIGGER_WORDS: Final = 10
_MAX_METADATA: Final = 4_000_000
"""Longest piece of a header that is read as JSON, in characters."""
_MAX_COUNTED: Final = 20_000

_TYPE_OF_KIND: Final = MappingProxyType(
    {"checkpoint": "Checkpoint", "lora": "LORA", "embedding": "TextualInversion", "vae": "VAE"}
)
_BASE_MODEL_OF_ARCHITECTURE: Final = MappingProxyType(
    {
        "sd1": "SD 1.5", "sd2": "SD 2.1", "sdxl": "SDXL 1.0", "flux1": "Flux.1 D", "pocket": "Pocket",
        "chroma": "Chroma", "qwen": "Qwen", "zimage": "ZImageTurbo",
        "sd35-large": "SD 3.5 Large", "sd35-medium": "SD 3.5 Medium", "sd3-medium": "SD 3",
    }
)  # fmt: skip
_VARIANTS: Final = (
    ("sdxl", re.compile(r"noob", re.IGNORECASE), "NoobAI"),
    ("sdxl", re.compile(r"illustrious", re.IGNORECASE), "Illustrious"),
    ("sdxl", re.compile(r"pony", re.IGNORECASE), "Pony"),
    ("flux1", re.compile(r"schnell", re.IGNORECASE), "Flux.1 S"),
    ("flux1", re.compile(r"krea", re.IGNORECASE), "Flux.1 Krea"),
    ("zimage", re.compile(r"base", re.IGNORECASE), "ZImageBase"),
)
"""Base models that only the name of what a file was trained on tells apart; the first match wins."""

_FP_OF_DTYPE: Final = MappingProxyType(
    {"F16": "fp16", "BF16": "bf16", "F32": "fp32", "F8_E4M3": "fp8", "F8_E5M2": "fp8"}
)
_FIRST_CONVOLUTION: Final = "model.diffusion_model.input_blocks.0.0.weight"
_LATENT_CHANNELS: Final = frozenset({4, 16})
_IN_EVERY_CAPTION: Final = 0.9
"""Share of the training pictures whose captions a trigger word is in."""
_SAYS_NOTHING: Final = frozenset(
    {
        "1girl", "1boy", "solo", "masterpiece", "best quality", "high quality", "highres", "absurdres",
        "simple background", "white background", "looking at viewer",
    }
)  # fmt: skip
"""Tags that are in every caption of many training sets."""


def local_spec(path: Path, header: SafetensorsHeader, sha256: str, hints: JsonObject) -> ToolSpec:
    """Describe a weights file.

    Args:
        path: The file.
        header: Its header.
        sha256: Its hash, from which its id is made.
        hints: What a person wrote beside it in A1111 or Forge; empty where there is nothing.

    Raises:
        CatalogError: It does not draw from text, or its header holds what a spec may not hold.
    """
    identity = identify_tensors({name: tensor.shape for name, tensor in header.tensors.items()}, header.metadata)
    if identity.kind == "unknown":
        msg = "its tensors are of no checkpoint, LoRA, embedding or VAE that is known here"
        raise CatalogError(msg)
    convolution = header.tensors.get(_FIRST_CONVOLUTION)
    if convolution is not None and len(convolution.shape) == 4 and convolution.shape[1] not in _LATENT_CHANNELS:
        msg = "it is an inpainting checkpoint, which does not draw from text"
        raise CatalogError(msg)

    metadata = header.metadata
    name = text_of(shown_path(Path(path.stem))) or "local file"
    title = text_of(metadata.get("modelspec.title") or metadata.get("ss_output_name"))
    counts = _tag_counts(metadata)
    record = {
        "name": name,
        "type": _TYPE_OF_KIND[identity.kind],
        "description": "\n".join(
            str(text) for text in (metadata.get("modelspec.description"), hints.get("description"), hints.get("notes"))
            if isinstance(text, str)
        ),
        "tags": [tag for tag, _ in _summed(counts).most_common(MAX_TAGS)],
        "creator": {"username": metadata.get("modelspec.author")},
        # Nobody said what its creator allows.
        "allowNoCredit": False,
        "allowCommercialUse": [],
        "allowDerivatives": False,
        "allowDifferentLicense": False,
    }  # fmt: skip
    version = {
        "name": "" if title == name else title,
        "baseModel": _base_model(identity.architecture, metadata, name if identity.kind == "checkpoint" else ""),
        "trainedWords": _trigger_words(metadata, counts, hints),
        "files": [_file(path, header, sha256)],
    }
    number = local_id(sha256)
    try:
        return version_spec(record, version, model_id=number, version_id=number)
    except ValidationError as error:
        msg = f"its header is of no use: {one_line(error)}"
        raise CatalogError(msg) from error


def _file(path: Path, header: SafetensorsHeader, sha256: str) -> JsonObject:
    dtypes = Counter(tensor.dtype for tensor in header.tensors.values())
    return {
        "name": shown_path(Path(path.name)),
        "sizeKB": path.stat().st_size / 1024,
        "metadata": {"format": "SafeTensor", "fp": _FP_OF_DTYPE.get(dtypes.most_common(1)[0][0] if dtypes else "")},
        "hashes": {
            "SHA256": sha256,
            "AutoV2": sha256[:10],
            "AutoV3": header.metadata.get("sshs_model_hash", "")[:12],
        },
        "primary": True,
    }


def _base_model(architecture: str, metadata: Mapping[str, str], name: str) -> str:
    """The label of an architecture, or of one of its variants where the file names what it was made from."""
    origin = " ".join([metadata.get("ss_sd_model_name", ""), metadata.get("modelspec.architecture", ""), name])
    for base, pattern, label in _VARIANTS:
        if base == architecture and pattern.search(origin):
            return label
    return _BASE_MODEL_OF_ARCHITECTURE.get(architecture, "Other")


def _trigger_words(metadata: Mapping[str, str], counts: Mapping[str, Counter[str]], hints: JsonObject) -> list[str]:
    """What a person wrote down, else what the trainer did, else the tags of every caption."""
    written = hints.get("activation text") or metadata.get("modelspec.trigger_phrase")
    if isinstance(written, str) and written.strip():
        return [written]
    folders = _json(metadata.get("ss_dataset_dirs"))
    words: Counter[str] = Counter()
    for folder, tags in counts.items():
        pictures = integer_of(mapping_of(folders.get(folder)).get("img_count"), least=1)
        everywhere = {tag: n for tag, n in tags.items() if pictures and n >= _IN_EVERY_CAPTION * pictures}
        words.update({tag: n for tag, n in everywhere.items() if tag.casefold() not in _SAYS_NOTHING})
    return [word for word, _ in words.most_common(MAX_TRIGGER_WORDS)]


def _tag_counts(metadata: Mapping[str, str]) -> dict[str, Counter[str]]:
    """`ss_tag_frequency`: for each folder of training pictures, how many captions hold a tag."""
    found: dict[str, Counter[str]] = {}
    room = _MAX_COUNTED
    for folder, tags in _json(metadata.get("ss_tag_frequency")).items():
        counted = found.setdefault(str(folder), Counter())
        for tag, number in list(mapping_of(tags).items())[:room]:
            counted[text_of(tag, 100)] += integer_of(number, most=10**9) or 0
        del counted[""]
        room = max(0, room - len(counted))
    return found


def _summed(counts: Mapping[str, Counter[str]]) -> Counter[str]:
    return sum(counts.values(), Counter())


def _json(text: str | None) -> JsonObject:
    try:
        return mapping_of(json.loads(text)) if text and len(text) <= _MAX_METADATA else {}
    except (ValueError, RecursionError):
        return {}
