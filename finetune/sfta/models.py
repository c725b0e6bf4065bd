"""Models and tokenizers that are trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from diffagent_tools.devices import require
from tool_specs.exceptions import ConfigError, WeightsError

if TYPE_CHECKING:
    import torch
    from peft import LoraConfig
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from finetune.sfta.runs import LoraSettings, TrainingSettings

ADAPTER = "adapter_config.json"
"""The file by which the folder of an adapter is known."""
PACKAGES = ("torch", "transformers", "accelerate", "peft", "datasets", "trl")


def check_packages() -> None:
    """Check that what trains is installed.

    Raises:
        ConfigError: Something is not.
    """
    require(*PACKAGES[:4])
    require(*PACKAGES[4:], extra="finetune")


def use_bf16(wanted: bool | Literal["auto"]) -> bool:
    """Whether to compute in bfloat16."""
    import torch

    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    can = torch.cpu.get_capabilities()
    return bool(can.get("amx_bf16") or can.get("avx512_bf16"))


def load_tokenizer(model: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a model, with a token to pad with.

    Raises:
        WeightsError: There is none.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise _unreadable(f"the tokenizer of {model!r}", error) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token_id is None:
        msg = f"the tokenizer of {model!r} has neither a pad_token nor an eos_token; name one in tokenizer_config.json"
        raise WeightsError(msg)
    return tokenizer


def load_model(model: str, dtype: torch.dtype) -> PreTrainedModel:
    """A causal language model.

    Args:
        model: A folder, or a name on the hub.
        dtype: Of the weights.

    Raises:
        ConfigError: The folder holds an adapter, not a model.
        WeightsError: The weights cannot be read.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    if (Path(model) / ADAPTER).exists():
        msg = f"{model} holds an adapter; merge it first: diffagent-train export model={model} out=FOLDER"
        raise ConfigError(msg)
    try:
        # RRHF needs an attention that takes a mask of its own.
        return AutoModelForCausalLM.from_pretrained(model, dtype=dtype, attn_implementation="sdpa")
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise _unreadable(f"the model {model!r}", error) from error


def load_for_training(settings: TrainingSettings) -> PreTrainedModel:
    """The model of a training; weights that are trained are float32, frozen ones as narrow as the computation.

    torch's random source is seeded, for the adapter that may follow.

    Raises:
        ConfigError: The folder holds an adapter, not a model.
        WeightsError: The weights cannot be read.
    """
    import torch
    from transformers import set_seed

    from finetune.sfta.attention import attend_in_float32

    set_seed(settings.seed)
    bf16 = use_bf16(settings.bf16)
    model = load_model(settings.model, torch.bfloat16 if bf16 and settings.lora else torch.float32)
    if bf16 and not torch.cuda.is_available():
        attend_in_float32(model)
    return model


def lora_config(lora: LoraSettings | None) -> LoraConfig | None:
    """Settings of an adapter as peft takes them."""
    if lora is None:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.target_modules,
        task_type="CAUSAL_LM",
    )


def _unreadable(what: str, error: Exception) -> WeightsError:
    return WeightsError(f"{what} cannot be read ({' '.join(str(error).split())[:300]}); name a folder or a hub model")
