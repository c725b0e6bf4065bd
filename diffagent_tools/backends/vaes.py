"""A VAE that takes the place of a pipeline's own for one call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from diffagent_tools.backends.networks import FileStamp, Network
from diffagent_tools.backends.pipelines import first_line, out_of_memory
from diffagent_tools.devices import one_load_at_a_time
from tool_specs.exceptions import WeightsError
from tool_specs.spec import ToolSpec

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, StableDiffusionPipeline
    from torch import Tensor


class OtherVae:
    """The VAE that calls have put into a pipeline; the latest one is kept for the next call."""

    def __init__(self, pipeline: StableDiffusionPipeline, checkpoint: ToolSpec) -> None:
        """Begin with the pipeline's own.

        Args:
            pipeline: What is decoded with it.
            checkpoint: The spec of its checkpoint.
        """
        self._pipeline = pipeline
        self._checkpoint = checkpoint
        self._kept: tuple[FileStamp, AutoencoderKL] | None = None

    @contextmanager
    def in_place(self, vae: Network | None) -> Iterator[None]:
        """Decode with another VAE; the pipeline's own is back afterwards, untouched.

        Args:
            vae: The VAE; its weight means nothing. None leaves the pipeline's own.

        Raises:
            WeightsError: The file cannot be used.
        """
        if vae is None:
            yield
            return
        own = self._pipeline.vae
        stamp = FileStamp.of(vae.path)
        if self._kept is None or self._kept[0] != stamp:
            self._kept = None
            self._kept = stamp, self._load(vae, own)
        other = self._kept[1].to(own.device)
        self._pipeline.vae = other
        try:
            yield
        finally:
            self._pipeline.vae = own

    def let_go(self) -> None:
        """Keep no VAE for the next call."""
        self._kept = None

    def tensors(self) -> Iterator[Tensor]:
        """The weights of the VAE that is kept."""
        if self._kept is not None:
            yield from self._kept[1].parameters()

    def _load(self, vae: Network, own: AutoencoderKL) -> AutoencoderKL:
        """A VAE of the pipeline's configuration, with the weights of a file."""
        with TemporaryDirectory() as folder, one_load_at_a_time():
            try:
                own.save_config(folder)
                loaded: AutoencoderKL = type(own).from_single_file(
                    str(vae.path), config=folder, local_files_only=True, torch_dtype=own.dtype
                )
                return loaded.to(own.device)
            except Exception as error:
                if out_of_memory(error):
                    raise
                # diffusers leaves a tensor that is not in the file on the meta device, and stumbles over it later.
                reason = "tensors are missing from it" if "meta tensor" in str(error) else first_line(error)
                msg = (
                    f"{vae.path} could not be loaded as the VAE of {self._checkpoint.model_name}: {reason}; choose one "
                    f"for {self._checkpoint.base_model}"
                )
                raise WeightsError(msg) from error
