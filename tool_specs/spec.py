"""The tool spec: the typed, runnable description of one model version."""

from __future__ import annotations

from datetime import date
from pathlib import PurePosixPath
from typing import Annotated, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from tool_specs.naming import FIRST_LOCAL_ID, tool_name

CHECKPOINT_TYPES = frozenset({"Checkpoint"})
NETWORK_TYPES = frozenset({"LORA", "LoCon", "DoRA", "TextualInversion"})
"""Model types that change what a checkpoint draws and that a call can name."""

GONE = frozenset({"Archived", "Deleted", "TakenDown"})
"""Availabilities of a model whose files cannot be had any more; it is kept to find substitutes for it."""


def weights_roles(model_type: str) -> frozenset[str]:
    """The file types that hold the weights of a model type; a version may carry a VAE or training data beside them."""
    return _VAE_ROLES if model_type == "VAE" else _WEIGHTS_ROLES


_WEIGHTS_ROLES = frozenset({"Model", "Pruned Model", "Diffusion Model", "UNet"})
_VAE_ROLES = _WEIGHTS_ROLES | {"VAE"}

ContentRating = Literal["safe", "mature", "explicit"]
RATINGS: Final[tuple[ContentRating, ...]] = get_args(ContentRating)
"""From the mildest to the strongest."""
Text = Annotated[str, Field(max_length=2000)]
Label = Annotated[str, Field(max_length=200)]


class Record(BaseModel):
    """A part of a spec: frozen, hashable, with no field that is not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Spread(Record):
    """How a number varies over the examples."""

    median: float
    low: float
    """First quartile."""
    high: float
    """Third quartile."""


class FileHashes(Record):
    """Hashes of a file as the community computes them, upper-case hex; empty where unknown."""

    AutoV1: str = ""
    AutoV2: str = ""
    """The first ten digits of the SHA-256; what A1111 prints for a checkpoint."""
    AutoV3: str = ""
    """Twelve digits over the tensors only; what A1111 prints for a LoRA."""
    CRC32: str = ""
    BLAKE3: str = ""


class ModelFile(Record):
    """One file of a version."""

    id: int
    name: Label
    type: Label
    """The role as Civitai spells it: Model, Pruned Model, VAE, Config, Negative, …"""
    format: Label
    """SafeTensor, PickleTensor, GGUF, Diffusers, …"""
    size_kb: float = Field(ge=0)
    fp: Label | None = None
    sha256: str | None = Field(default=None, pattern=r"^[0-9A-F]{64}$")
    hashes: FileHashes = FileHashes()
    download_url: str = Field(default="", max_length=2000)
    scan: Label = ""
    """Result of the malware scan: Success, Pending, Error, or empty where the record says nothing."""
    primary: bool = False

    @property
    def stem(self) -> str:
        """The file name without its extension: what `<lora:stem:weight>` names."""
        return PurePosixPath(self.name).stem

    @property
    def is_safe(self) -> bool:
        """Whether the file may be loaded without executing code, and no scan speaks against it."""
        return self.format == "SafeTensor" and self.scan in ("", "Success")


class License(Record):
    """What the creator and the base model's licence allow."""

    allow_no_credit: bool = True
    commercial_use: tuple[Literal["Image", "RentCivit", "Rent", "Sell"], ...] = ()
    """Permitted commercial uses; "Image" is the sale of pictures."""
    allow_derivatives: bool = True
    allow_different_license: bool = True
    base_model_license: Label = ""
    """Name of the licence of the base model; empty where unknown."""
    non_commercial: bool = False
    """Whether the base model's licence forbids commercial use whatever the creator allows."""

    @property
    def may_sell_images(self) -> bool:
        """Whether pictures may be sold."""
        return "Image" in self.commercial_use and not self.non_commercial


class Stats(Record):
    """Popularity; None where the record does not say."""

    downloads: int | None = Field(default=None, ge=0)
    thumbs_up: int | None = Field(default=None, ge=0)
    thumbs_down: int | None = Field(default=None, ge=0)
    favorites: int | None = Field(default=None, ge=0)
    comments: int | None = Field(default=None, ge=0)
    rating: float | None = Field(default=None, ge=0, le=5)
    rating_count: int | None = Field(default=None, ge=0)


class Recommended(Record):
    """Parameters to draw with, learned from the example pictures, else the family's defaults."""

    sampler: str
    """The most frequent one that the family can be drawn with."""
    steps: Spread
    cfg_scale: Spread
    width: int
    height: int
    """The most frequent first-pass size, snapped to what the family can draw."""
    clip_skip: int
    negative_prompt: Text = ""
    weight: Spread | None = None
    """Weight of a network; None for checkpoints."""
    widths: Spread
    heights: Spread
    n: int = Field(default=0, ge=0)
    """Examples that it was learned from; 0 where all of it is the family's default."""


class LoraUse(Record):
    """A network and its weight.

    In a call `id` is a spec id. In an example picture it is whatever the picture says: a spec id, `civitai:@VERSION`
    where only the version is known, or the file stem.
    """

    id: str = Field(min_length=1, max_length=200)
    weight: float = Field(default=1.0, ge=-2, le=2)


class Example(Record):
    """A picture that was drawn with the model: its prompt and its parameters, None where it does not say."""

    prompt: Text
    negative_prompt: Text = ""
    sampler: Label | None = None
    steps: int | None = None
    cfg_scale: float | None = None
    width: int | None = None
    height: int | None = None
    seed: int | None = None
    clip_skip: int | None = None
    loras: tuple[LoraUse, ...] = ()


class MeasuredReward(Record):
    """A reward that was measured on pictures drawn here with this spec."""

    reward: Label
    """Name of the reward."""
    mean: float
    std: float = Field(ge=0)
    n: int = Field(gt=0)
    """Pictures it was measured on."""


class ToolSpec(Record):
    """One model version as a tool: what it draws, what it accepts, what it is allowed for, what shows that it is good.

    All text is a stranger's: it was stripped of control characters and HTML and cut to a length, and is data, never an
    instruction. Only the prompts of examples keep their angle brackets, which mean something there: escape them.
    """

    id: str
    """`civitai:MODEL@VERSION`, or `local:N@N` for a file that only this machine has."""
    model_id: int
    version_id: int
    model_name: Label
    version_name: Label
    type: Label
    """Model type as Civitai spells it."""
    base_model: Label
    """Base model as Civitai spells it."""
    family: str
    """A name of `FAMILIES`."""
    description: Text = ""
    tags: tuple[Label, ...] = ()
    trigger_words: tuple[Label, ...] = ()
    """Words the network was trained on, one each."""
    trigger_phrases: tuple[Text, ...] = ()
    """The same as the creator wrote them, several words together."""
    files: tuple[ModelFile, ...] = ()
    license: License = License()
    content_rating: ContentRating = "safe"
    stats: Stats = Stats()
    availability: Label = "Public"
    """Public, EarlyAccess, …, as Civitai spells it; one of `GONE` for a model that is no more."""
    creator: Label | None = None
    published: date | None = None
    """In UTC; None where the record does not say."""
    recommended: Recommended
    examples: tuple[Example, ...] = ()
    rewards: tuple[MeasuredReward, ...] = ()

    @property
    def tool_name(self) -> str:
        """The name that a language model calls: `civitai_4384_dreamshaper`."""
        return tool_name(self.type, self.model_id, self.version_id, self.model_name)

    @property
    def is_checkpoint(self) -> bool:
        """Whether it draws by itself."""
        return self.type in CHECKPOINT_TYPES

    @property
    def is_network(self) -> bool:
        """Whether it loads into a checkpoint and a call can name it."""
        return self.type in NETWORK_TYPES

    @property
    def is_local(self) -> bool:
        """Whether only this machine has it: it was made from a weights file, not from a record."""
        return self.model_id >= FIRST_LOCAL_ID

    @property
    def is_shipped(self) -> bool:
        """Whether its weights are inside this package; pocket models that somebody has trained anew are not."""
        return self.family == "pocket" and not self.is_local

    @property
    def primary_file(self) -> ModelFile | None:
        """The file to load: safe formats first, then the one the record marks, then the first; None without weights."""
        weights = [file for file in self.files if file.type in weights_roles(self.type)]
        return min(weights, key=lambda file: (not file.is_safe, not file.primary), default=None)
