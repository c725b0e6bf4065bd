"""Where the weights of a reward lie, and how they are read: a local folder or the hub's cache, never a pickle."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from diffagent_tools.devices import quiet_libraries, require
from tool_specs.exceptions import ConfigError, WeightsError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

T = TypeVar("T")

HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
FILES: Final = ("*.json", "*.txt", "model*.safetensors")
"""What is fetched from the hub: configurations, vocabularies, weights. Pickles stay there."""
NEEDED: Final = (
    ("config.json",),
    ("tokenizer.json", "vocab.json", "vocab.txt"),
    ("preprocessor_config.json", "processor_config.json"),
)
"""A folder has one file of each row: the network's sizes, the tokenizer, the image processor."""
PICKLES: Final = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def find_folder(source: Path | str) -> Path:
    """The local folder of a model; one that the hub has is fetched into the hub's cache unless it is there already.

    Args:
        source: A folder, or a text that is one or the id of a model on the Hugging Face hub ("owner/name").

    Raises:
        ConfigError: It is no folder with what a reward needs, and the hub does not give it.
    """
    folder = Path(source)
    on_hub = isinstance(source, str) and not folder.exists() and HUB_ID.fullmatch(source) is not None
    if on_hub:
        folder = _hub_folder(str(source))
    if lacking := _lacking(folder):
        msg = (
            f"{folder} is not a transformers folder with a model, its tokenizer and its image processor (it has no "
            f"{', no '.join(lacking)}); add the files of the model it was trained from, or give a whole folder"
        )
        raise ConfigError(msg)
    return folder


def _lacking(folder: Path) -> list[str]:
    """The files of `NEEDED` that a folder does not have in any form."""
    return [names[0] for names in NEEDED if not any((folder / name).is_file() for name in names)]


def _hub_folder(source: str) -> Path:
    """The snapshot of a hub model in the cache, asking the network only where it is not complete."""
    require("huggingface_hub")
    import httpx
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        cached = Path(snapshot_download(source, allow_patterns=list(FILES), local_files_only=True))
        if not _lacking(cached) and any(cached.glob("*.safetensors")):
            return cached
    except LocalEntryNotFoundError:
        pass
    try:
        return Path(snapshot_download(source, allow_patterns=list(FILES)))
    except (OSError, ValueError, httpx.HTTPError) as error:
        msg = (
            f"the model {source!r} is not in the hub's cache and cannot be fetched ({_reason(error)}); run "
            f"`hf download {source}` where there is a network, or give a local folder"
        )
        raise ConfigError(msg) from error


def load_model(kind: type[PreTrainedModel], folder: Path) -> PreTrainedModel:
    """Load a whole model from a folder in float32, without the network.

    Raises:
        WeightsError: The weights are missing, pickled, damaged, or those of another architecture.
    """
    if not any(folder.glob("*.safetensors")):
        pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
        found = (
            f"only {', '.join(pickles)}, and a pickle can run code when it is read"
            if pickles
            else "no weights in safetensors"
        )
        msg = f"{folder} holds {found}; it needs model.safetensors (docs/rewards.md says how to get it)"
        raise WeightsError(msg)

    import torch

    model, info = read(
        lambda: kind.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        ),
        folder,
    )
    if missing := sorted(info["missing_keys"]):
        msg = (
            f"the weights in {folder} are not those of a {kind.__name__}: {len(missing)} tensors are missing, such as "
            f"{missing[0]}; weights under their authors' names are converted first (docs/rewards.md)"
        )
        raise WeightsError(msg)
    loaded: PreTrainedModel = model.eval()
    return loaded


def read(load: Callable[[], T], folder: Path) -> T:
    """What `load` reads from a folder, in silence; whatever is wrong with the folder becomes one kind of error.

    Raises:
        WeightsError: It cannot be read.
    """
    with quiet_libraries():
        try:
            return load()
        except Exception as error:
            msg = f"the model in {folder} cannot be loaded ({_reason(error)}); download or train it again"
            raise WeightsError(msg) from error


def _reason(error: Exception) -> str:
    """The first line of an error that is not empty, bounded."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__)[:200]
