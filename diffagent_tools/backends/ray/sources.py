"""What the replicas draw with. Each function runs on the node of its replica, and reads what is there.

A function of your own works as well: it takes `pictures` and gives a `DiffusersBackend`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, cast

from tool_specs.exceptions import ConfigError

if TYPE_CHECKING:
    from PIL.Image import Image

    from diffagent_tools.backends.diffusers_backend import DiffusersBackend

    BackendSource = Callable[[Callable[[str], Image]], DiffusersBackend]
    """Makes a backend; it is told what gives the picture that a call begins from by its SHA-256."""


def pocket_backend(pictures: Callable[[str], Image]) -> DiffusersBackend:
    """The models that ship, from the files that ship."""
    from diffagent_tools.backends.diffusers_backend import DiffusersBackend
    from tool_specs.catalog import Catalog

    return DiffusersBackend(Catalog.pocket(), pictures=pictures)


def stored_backend(pictures: Callable[[str], Image]) -> DiffusersBackend:
    """The models of the node's catalog, from its folders or from Civitai, as the node's environment says.

    Raises:
        CatalogError: There is no catalog on this node, or it cannot be read.
        ConfigError: A setting of the node is wrong.
    """
    from diffagent_tools.backends.diffusers_backend import DiffusersBackend
    from tool_specs.downloads import WeightsFiles
    from tool_specs.store.catalog import StoredCatalog
    from tool_specs.store.database import CatalogDatabase

    database = CatalogDatabase.open(read_only=True)
    files = WeightsFiles.from_environment(known=database.local_files())
    return DiffusersBackend(StoredCatalog(database), files=files, pictures=pictures)


def source_at(path: str) -> BackendSource:
    """The function with this import path.

    Args:
        path: `module:function`.

    Raises:
        ConfigError: There is none.
    """
    module, _, name = path.partition(":")
    try:
        return cast("BackendSource", getattr(import_module(module), name))
    except (ImportError, AttributeError) as error:
        msg = f"backend {path!r} cannot be imported on this node ({error}); name a function as module:function"
        raise ConfigError(msg) from error
