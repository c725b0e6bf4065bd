"""From a trained model or adapter to the folder that vLLM serves."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from diffagent_tools.chat_models.rendering import template_variables
from diffagent_tools.chat_models.template_variables import record_variables, server_flags
from diffagent_tools.devices import require
from finetune.sfta.cards import exported_card
from finetune.sfta.models import ADAPTER, load_model, load_tokenizer
from tool_specs.exceptions import ConfigError, WeightsError
from tool_specs.file_fingerprints import fingerprint_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BASE_RECORD = "base.json"
SERVING = "serving.json"


class ExportSettings(BaseModel):
    """What `diffagent-train export` takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Path
    """Folder that training wrote: an adapter, or a whole model."""
    base: str | None = None
    """Model that the adapter is merged into: the one it was trained on, where that has moved."""
    out: Path
    """New folder."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Of the weights written; "auto": that of the base, or of the model."""
    tool_parser: str = Field(default="hermes", pattern=r"[a-z0-9_]+")
    """vLLM's parser of the calls that the chat template writes; "hermes" for Qwen3 and the pocket planner."""


def export(settings: ExportSettings) -> Path:
    """Write what vLLM serves: weights, configuration, tokenizer, chat template, card, and `serving.json`.

    An adapter is merged in float32, which takes four bytes of memory a parameter. Where the template is to be given
    variables, they are in `chat_template_kwargs.json` and among the flags of `serving.json`: those that the model was
    trained with, else those that its template usually takes.

    Args:
        settings: The settings.

    Returns:
        The folder `out`.

    Raises:
        ConfigError: A package is missing, `out` is there already, the adapter is another model's, or the record of the
            template's variables is damaged.
        WeightsError: Model or adapter cannot be read.
    """
    require("torch", "transformers", "peft")
    import torch

    if settings.out.exists():
        msg = f"{settings.out} is there already; name a new folder for out, or remove it"
        raise ConfigError(msg)
    tokenizer = load_tokenizer(str(settings.model))
    if tokenizer.chat_template is None:
        msg = f"the tokenizer in {settings.model} has no chat template, which vLLM needs; put chat_template.jinja there"
        raise ConfigError(msg)
    variables = template_variables(settings.model, tokenizer)
    adapted = (settings.model / ADAPTER).exists()
    if adapted:
        model, stored = _merged(settings)
    else:
        model = load_model(str(settings.model), torch.float32)
        stored = _stored_dtype(str(settings.model))
    dtype = stored if settings.dtype == "auto" else settings.dtype
    model.to(getattr(torch, dtype))

    part = settings.out.with_name(settings.out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    model.save_pretrained(part)
    for path in part.glob("*.safetensors"):  # safetensors writes files that only their owner can read
        path.chmod((part / "config.json").stat().st_mode)
    tokenizer.save_pretrained(part)
    card = settings.model / "README.md"
    if card.exists():
        said = exported_card(card.read_text(encoding="utf-8"), dtype, merged=adapted)
        (part / card.name).write_text(said, encoding="utf-8")
    record_variables(part, variables)
    flags = ["--enable-auto-tool-choice", "--tool-call-parser", settings.tool_parser, "--dtype", dtype]
    flags += server_flags(variables)
    serving = {"tool_call_parser": settings.tool_parser, "dtype": dtype, "vllm_flags": flags}
    (part / SERVING).write_text(json.dumps(serving, indent=2) + "\n", encoding="utf-8")
    part.replace(settings.out)
    return settings.out


def fingerprint(model: str) -> str:
    """What tells the weights of two models apart without reading all of them.

    Args:
        model: A folder, or the name of a hub model that has been loaded before.

    Returns:
        SHA-256, in hexadecimal, of each file's size, header, and blocks spread over it.

    Raises:
        WeightsError: There are no safetensors files.
    """
    from huggingface_hub import snapshot_download

    folder = Path(model) if Path(model).is_dir() else Path(snapshot_download(model, local_files_only=True))
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        msg = f"{model} has no safetensors files; only such models can be trained and exported"
        raise WeightsError(msg)
    return fingerprint_of(files)


def cached_commit(model: str) -> str | None:
    """The commit of a hub model that the hub's cache holds, without asking the network; None where it holds none."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        # A snapshot is a folder that is called after its commit.
        return Path(snapshot_download(model, local_files_only=True)).name
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def record_base(folder: Path, model: str) -> None:
    """Note beside an adapter which weights it was trained on."""
    record = {"model": model, "weights": fingerprint(model)}
    (folder / BASE_RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _merged(settings: ExportSettings) -> tuple[PreTrainedModel, str]:
    """The base with the adapter in its weights, and the dtype that the base is stored in."""
    import torch
    from peft import PeftModel
    from safetensors import SafetensorError

    try:
        told = json.loads((settings.model / ADAPTER).read_text(encoding="utf-8"))
        path = settings.model / BASE_RECORD
        record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, ValueError) as error:
        msg = f"the adapter in {settings.model} cannot be read ({error}); train it again"
        raise WeightsError(msg) from error
    trained_on = str(record.get("model") or told.get("base_model_name_or_path"))
    base = settings.base or trained_on
    model = load_model(base, torch.float32)
    differs = fingerprint(base) != record["weights"] if "weights" in record else base != trained_on
    if differs:
        msg = f"the adapter in {settings.model} was trained on other weights of {trained_on!r} than those of {base!r}; "
        raise ConfigError(msg + "name the right base")
    try:
        return PeftModel.from_pretrained(model, str(settings.model)).merge_and_unload(), _stored_dtype(base)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        msg = f"the adapter in {settings.model} does not fit {base!r}: {' '.join(str(error).split())[:300]}"
        raise WeightsError(msg) from error


def _stored_dtype(model: str) -> str:
    """The dtype that a model is stored in, as its configuration says."""
    from transformers import AutoConfig

    return str(AutoConfig.from_pretrained(model).dtype or "float32").removeprefix("torch.")
