"""A network of a call: its spec, its file and its weight, and whether the file is what the spec says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tool_specs.exceptions import WeightsError
from tool_specs.families import FAMILIES
from tool_specs.spec import ToolSpec
from tool_specs.weight_files import identify


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


def check_network(network: Network, kind: str, checkpoint: ToolSpec) -> None:
    """Compare what a network's file is with what it should be.

    Args:
        network: The network.
        kind: The kind of weights that its type has, a `tool_specs.weight_identity.Kind`.
        checkpoint: What it is to be loaded into.

    Raises:
        WeightsError: The file cannot be read, holds something else, or is for another architecture.
    """
    identity = identify(network.path)
    ours = FAMILIES[checkpoint.family].architecture
    if identity.kind != kind:
        msg = f"{network.path} holds {identity.kind} weights, but {network.spec.id} is a {network.spec.type}"
        raise WeightsError(msg)
    if identity.architecture and identity.architecture != ours:
        msg = (
            f"{network.path} is a {kind} for {identity.architecture}, but {checkpoint.model_name} is {ours}: "
            f"choose one for {checkpoint.base_model}"
        )
        raise WeightsError(msg)
