"""Where the weights of a spec are: inside this package, on this disk already, or downloaded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Self

from tool_specs.downloads.downloader import Downloader
from tool_specs.downloads.known_files import KnownFiles
from tool_specs.downloads.model_folder import ModelFolder
from tool_specs.downloads.transfer import OnStep
from tool_specs.exceptions import WeightsError
from tool_specs.home import named_folder
from tool_specs.pocket import pocket_file
from tool_specs.spec import ToolSpec
from tool_specs.store.rows import LocalFile

FOLDERS_VARIABLE: Final = "DIFFAGENT_MODELS"


class WeightsFiles:
    """Gives the weights file of a spec, as backends want it: `DiffusersBackend(catalog, files=WeightsFiles(...))`.

    Args:
        folders: Looked through, in this order, for what was not downloaded before.
        downloader: Fetches what no folder has; None to download nothing.
        known: Files whose hashes are known, as `diffagent import` stores them; they may lie anywhere.
    """

    def __init__(
        self,
        folders: Sequence[ModelFolder] = (),
        downloader: Downloader | None = None,
        *,
        known: Iterable[LocalFile] = (),
    ) -> None:
        self._folders = tuple(folders)
        self._downloader = downloader
        self._known = KnownFiles(known)
        self._found_in: dict[str, ModelFolder] = {}

    @classmethod
    def from_environment(cls, *, known: Iterable[LocalFile] = (), on_step: OnStep | None = None) -> Self:
        """Look among known files and in the folders that DIFFAGENT_MODELS names, then download into the home folder.

        Args:
            known: Files whose hashes are known, as `diffagent import` stores them.
            on_step: Told what is done, the bytes so far and the bytes at the end.

        Raises:
            ConfigError: A setting of the downloads is wrong, or a folder is that of a user whom nobody knows.
        """
        hashed = tuple(known)
        paths = filter(None, os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep))
        folders = [ModelFolder(named_folder(path, FOLDERS_VARIABLE), known=hashed, on_step=on_step) for path in paths]
        return cls(folders, Downloader(on_step=on_step), known=hashed)

    def __call__(self, spec: ToolSpec) -> Path:
        """The file.

        Raises:
            WeightsError: It is nowhere, or may not be used.
            DownloadError: It cannot be downloaded.
            ConfigError: A folder is not there, or cannot be written to.
        """
        if spec.is_shipped and spec.primary_file is not None:
            shipped = pocket_file(spec.primary_file.name)
            if shipped.is_file():
                return shipped
        if (known := self._known.find(spec)) is not None:
            return known
        if self._downloader is not None and (present := self._downloader.present(spec)) is not None:
            return present
        # To see that a folder does not have it takes a look through all of it, so the one that had it comes first.
        latest = self._found_in.get(spec.id)
        for folder in sorted(self._folders, key=lambda folder: folder is not latest):
            if (found := folder.find(spec)) is not None:
                self._found_in[spec.id] = folder
                return found
        if self._downloader is None:
            msg = (
                f"the weights of {spec.id} ({spec.model_name}) are not on this machine: run `diffagent fetch {spec.id}`"
            )
            raise WeightsError(msg)
        return self._downloader.fetch(spec)
