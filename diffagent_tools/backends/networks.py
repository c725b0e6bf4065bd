"""A network of a call: its spec, its file and its weight, and whether the file is what the spec says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tool_specs.compatibility import architecture_of, architectures_fit, refused_variant
from tool_specs.exceptions import CallError, WeightsError
from tool_specs.pipelines import PIPELINES
from tool_specs.spec import ToolSpec
from tool_specs.weight_files import identify, read_header
from tool_specs.weight_identity import lora_variant

_KIND_OF_TYPE: Final = MappingProxyType({"TextualInversion": "embedding", "VAE": "vae"})
"""Model type to the kind of weights that its file holds; every other network is a "lora"."""


@dataclass(frozen=True, slots=True)
class Network:
    """A network of a call with its file."""

    spec: ToolSpec
    path: Path
    weight: float


@dataclass(frozen=True, slots=True)
class FileStamp:
    """Which content a path had when it was loaded."""

    path: Path
    size: int
    modified: int

    @classmethod
    def of(cls, path: Path) -> FileStamp:
        """The stamp of a file as it is now.

        Raises:
            WeightsError: The file is not there.
        """
        try:
            status = path.stat()
        except OSError as error:
            msg = f"the weights file {path} cannot be read ({error.strerror}); download it again"
            raise WeightsError(msg) from error
        return cls(path, status.st_size, status.st_mtime_ns)


def check_networks(networks: Sequence[Network], checkpoint: ToolSpec) -> None:
    """Compare what the files of a call's networks are with what they should be; only their headers are read.

    Args:
        networks: The networks.
        checkpoint: What they are to be loaded into.

    Raises:
        CallError: More than one VAE is to take the place of the checkpoint's own.
        WeightsError: A file cannot be read, holds something else, is for another architecture, or of a kind that is
            not computed here.
    """
    for network in networks:
        _check(network, checkpoint)
    vaes = [network.spec.id for network in networks if network.spec.type == "VAE"]
    if len(vaes) > 1:
        msg = f"the call names {len(vaes)} VAEs, {' and '.join(vaes)}; a picture is decoded by one: leave one out"
        raise CallError(msg)


def _check(network: Network, checkpoint: ToolSpec) -> None:
    kind = _KIND_OF_TYPE.get(network.spec.type, "lora")
    pipeline = PIPELINES[checkpoint.family]
    if kind == "embedding" and not pipeline.encoders:
        msg = f"diffusers cannot load the embedding {network.spec.id} into {checkpoint.family}; leave it out"
        raise CallError(msg)
    identity = identify(network.path)
    if identity.kind != kind:
        msg = f"{network.path} holds {identity.kind} weights, but {network.spec.id} is a {network.spec.type}"
        raise WeightsError(msg)
    refusal = refused_variant(network.path) if kind == "lora" else ""
    if kind == "lora" and pipeline.is_flow and lora_variant(read_header(network.path).tensors) == "lycoris":
        refusal = f"it is a LyCORIS network, which is not computed for {checkpoint.family}"
    if refusal:
        msg = f"{network.path} cannot be used: {refusal}; choose another one for {checkpoint.base_model}"
        raise WeightsError(msg)
    ours = architecture_of(checkpoint) or checkpoint.family
    if identity.architecture and not architectures_fit(network.spec.type, identity.architecture, ours):
        msg = (
            f"{network.path} is a {kind} for {identity.architecture}, but {checkpoint.model_name} is {ours}: "
            f"choose one for {checkpoint.base_model}"
        )
        raise WeightsError(msg)
