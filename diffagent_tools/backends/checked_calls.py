"""A call with everything that it names, checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from diffagent_tools.backends.networks import Network, check_networks
from diffagent_tools.backends.pipelines import check_call, pipeline_kind
from tool_specs.calls import Call
from tool_specs.compatibility import compatible
from tool_specs.exceptions import CallError, CatalogError, ConfigError
from tool_specs.spec import ToolSpec

if TYPE_CHECKING:
    from PIL.Image import Image

    from tool_specs.catalog import AnyCatalog


@dataclass(frozen=True, slots=True)
class CheckedCall:
    """A call that fits together.

    Attributes:
        call: The call.
        checkpoint: Its checkpoint.
        networks: Its networks with their files.
        start: The picture that it begins from; None for text-to-image.
    """

    call: Call
    checkpoint: ToolSpec
    networks: Sequence[Network]
    start: Image | None


class CallCheck:
    """Looks up what calls name, and sees that it fits together."""

    def __init__(
        self, catalog: AnyCatalog, files: Callable[[ToolSpec], Path], pictures: Callable[[str], Image] | None
    ) -> None:
        """Look in these places.

        Args:
            catalog: Has the specs.
            files: Gives the weights file of a spec.
            pictures: Gives the picture that a call begins from by its SHA-256.
        """
        self._catalog = catalog
        self._files = files
        self._pictures = pictures

    def checked(self, call: Call) -> CheckedCall:
        """The call with its checkpoint, networks and picture.

        Raises:
            CallError: It names a model that does not exist or does not fit.
            WeightsError: The file of a network is missing, damaged, pickled or of another architecture.
            BackendError: The family is not drawn here.
            ArtifactError: The picture that it begins from is not in the store.
            ConfigError: There is no store.
        """
        checkpoint = self._spec(call.checkpoint)
        return CheckedCall(call, checkpoint, self._networks(call, checkpoint), self._start(call))

    def _spec(self, spec_id: str) -> ToolSpec:
        try:
            return self._catalog.get(spec_id)
        except CatalogError as error:
            raise CallError(str(error)) from error

    def _networks(self, call: Call, checkpoint: ToolSpec) -> Sequence[Network]:
        pipeline_kind(checkpoint)
        if not checkpoint.is_checkpoint:
            msg = f"{checkpoint.id} ({checkpoint.model_name}) is a {checkpoint.type}; a call draws with a Checkpoint"
            raise CallError(msg)
        if call.family != checkpoint.family:
            msg = (
                f"the call is for {call.family!r}, but {checkpoint.id} is {checkpoint.family!r}; use that family's call"
            )
            raise CallError(msg)
        check_call(call, checkpoint)
        networks = []
        for use in call.loras:
            network = self._spec(use.id)
            fit = compatible(network, checkpoint)
            if not fit.ok:
                msg = f"{network.id} does not load into {checkpoint.id}: {fit.reason}"
                raise CallError(msg)
            networks.append(Network(network, self._files(network), use.weight))
        check_networks(networks, checkpoint)
        return networks

    def _start(self, call: Call) -> Image | None:
        if call.init_image is None:
            return None
        if self._pictures is None:
            msg = (
                f"the call begins from the picture {call.init_image[:12]}…, but this backend knows no store: "
                "DiffusersBackend(catalog, pictures=store.load)"
            )
            raise ConfigError(msg)
        return self._pictures(call.init_image)
