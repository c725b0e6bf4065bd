"""Every error of the project. Each message says what is wrong, where, and what to do about it.

The type says who must act: the user (`ConfigError`, `RequestError`, `CatalogError`), the planner, which may try again
(`CallError`), or whoever runs the machine (`BackendError`, `WeightsError`, `ArtifactError`). `CivitaiError` says itself
whether waiting helps.
"""

from __future__ import annotations


class DiffAgentError(RuntimeError):
    """Base of all errors raised on purpose by this project.

    A `RuntimeError`, because LangGraph's server shows the messages of built-in errors and hides all others.
    """


class ConfigError(DiffAgentError):
    """A setting, an installed package or a file that the setup needs is missing or wrong."""


class RequestError(DiffAgentError):
    """The request itself cannot be used: empty, too long, not text."""


class CatalogError(DiffAgentError):
    """A record, a model id or the catalog as a whole cannot be used."""


class CallError(DiffAgentError):
    """A call names something invalid; the planner may correct it and try again."""


class BackendError(DiffAgentError):
    """Drawing failed on the machine: out of memory, a broken pipeline, a scheduler that raised."""


class WeightsError(BackendError):
    """A weights file is missing, truncated, pickled, corrupt or of another architecture."""


class PictureError(BackendError):
    """What was computed is no picture: the machine works, and other arguments or another model may give one."""


class ServerError(DiffAgentError):
    """A server could not be reached, refused, or gave something that is no answer.

    Attributes:
        status: HTTP status of the answer; None where there was none, or where it is not the server's doing.
        transient: Whether the same request may well succeed later.
        wait: Seconds that the server asked to wait; None where it did not say.
    """

    def __init__(
        self, message: str, *, status: int | None = None, transient: bool = False, wait: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.transient = transient
        self.wait = wait


class DownloadError(ServerError, BackendError):
    """A file could not be fetched, or is not the one that was promised.

    A status of 401 wants a valid key, 403 is early access or a file that this key may not have. The next download goes
    on where a transient one stopped.
    """


class CivitaiError(ServerError):
    """Civitai's API could not be reached, refused, or gave something that is no answer."""


class ArtifactError(DiffAgentError):
    """A picture could not be stored or read: no space, no permission, damaged file."""


class DrawingCancelled(DiffAgentError):  # noqa: N818 - not a fault: somebody asked for it
    """The drawing was stopped between two steps because the caller asked for it."""
