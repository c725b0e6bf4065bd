"""Downloads of weights files: resumed, checked while they arrive, and each one once however many ask."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from tool_specs.civitai.answers import seconds_to_wait
from tool_specs.downloads.file_names import file_name
from tool_specs.downloads.partial_file import PartialFile
from tool_specs.downloads.transfer import OnStep, Transfer, Wanted, free_bytes
from tool_specs.exceptions import ConfigError, DownloadError, WeightsError
from tool_specs.home import models_folder
from tool_specs.spec import GONE, ModelFile, ToolSpec
from tool_specs.weight_files import read_header

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_logger = logging.getLogger(__name__)


class Downloader:
    """Downloads weights files from Civitai into a folder, each version into one of its own.

    A file shows under its name only when all of it is there and was checked. Interrupted at any time, in any way, the
    next download goes on from there.
    """

    def __init__(
        self,
        folder: Path | None = None,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        hosts: Sequence[str] | None = None,
        attempts: int = 6,
        backoff: float = 1.0,
        timeout: float = 60.0,
        free_space: Callable[[Path], int] = free_bytes,
        on_step: OnStep | None = None,
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            folder: Where files go; by default `models` in the home folder.
            base_url: Address of Civitai's API; by default that in CIVITAI_API_URL, else Civitai's.
            api_key: Sent to that server only; by default the one in CIVITAI_API_KEY, else none.
            hosts: Other hosts that files may come from, `*` standing for any letters; by default Civitai's own and
                those in DIFFAGENT_DOWNLOAD_HOSTS, separated by commas.
            attempts: Attempts in a row that may bring nothing new.
            backoff: Seconds before the second attempt; doubled before each further one, up to 30 times as long.
            timeout: Seconds to wait for the next bytes.
            free_space: Gives the bytes that are free on a folder's disk; 512 MiB of them stay free.
            on_step: Told the progress, in the thread that asked.

        Raises:
            ConfigError: An address, a host or the key is none, or the key would travel unencrypted.
        """
        from tool_specs.civitai.client import BASE_URL
        from tool_specs.civitai.connection import KEY_VARIABLE, URL_VARIABLE
        from tool_specs.downloads.source import HOSTS_VARIABLE, STORAGE_HOSTS, Source

        if hosts is None:
            hosts = (*STORAGE_HOSTS, *filter(None, os.environ.get(HOSTS_VARIABLE, "").split(",")))
        source = Source(
            base_url or os.environ.get(URL_VARIABLE) or BASE_URL,
            api_key=os.environ.get(KEY_VARIABLE) if api_key is None else api_key,
            hosts=hosts,
            timeout=timeout,
        )
        self._source = source
        self._transfer = Transfer(source, free_space, self._tell)
        self._folder = models_folder() if folder is None else folder
        self._attempts = attempts
        self._backoff = backoff
        self._on_step = on_step

    def present(self, spec: ToolSpec) -> Path | None:
        """The weights file of a spec that was downloaded before; None where there is none.

        What Civitai has taken down since then stays of use.
        """
        with suppress(WeightsError):
            target = self._target(spec, _weights_of(spec, even_if_gone=True))
            return target if _is_whole(target) else None
        return None

    def fetch(self, spec: ToolSpec) -> Path:
        """The weights file of a spec, downloaded unless it is there already.

        Who asks for a file that another thread or process downloads waits for it.

        Raises:
            DownloadError: It cannot be had, or what came is not what the record promises.
            WeightsError: It has no weights, they are pickled, or Civitai does not have them.
            ConfigError: The folder cannot be written to.
        """
        if (present := self.present(spec)) is not None:
            return present
        wanted = self._wanted(spec)
        try:
            wanted.target.parent.mkdir(parents=True, exist_ok=True)
            return self._fetched_once(wanted)
        except OSError as error:
            if error.errno in _FULL:
                msg = f"{wanted.place}: the disk of {self._folder} is full; free some space, what has arrived is kept"
                raise DownloadError(msg) from error
            msg = (
                f"{wanted.place}: cannot write to {wanted.target.parent} ({error.strerror or error}); check the folder"
            )
            raise ConfigError(msg) from error

    def _wanted(self, spec: ToolSpec) -> Wanted:
        file = _weights_of(spec)
        size = round(file.size_kb * 1024)
        place = f"{spec.id} ({file_name(file)})"
        return Wanted(place, self._source.address(spec, file), self._target(spec, file), file.sha256 or "", size)

    def _target(self, spec: ToolSpec, file: ModelFile) -> Path:
        # A version whose file is replaced keeps its number; the hash tells the two apart.
        told_apart = (file.sha256 or "")[:10] or str(file.id or "")
        return self._folder / "-".join(filter(None, [str(spec.version_id), told_apart])) / file_name(file)

    def _fetched_once(self, wanted: Wanted) -> Path:
        from filelock import FileLock, Timeout

        lock = FileLock(wanted.target.with_name(f".{wanted.target.name}.lock"))
        try:
            lock.acquire(blocking=False)
        except Timeout:
            self._tell("waiting for another download of it", 0, wanted.size)
            lock.acquire()
        try:
            if not _is_whole(wanted.target):
                self._download(wanted)
        finally:
            lock.release()
        return wanted.target

    def _download(self, wanted: Wanted) -> None:
        """Try until all of it is there."""
        if not wanted.sha256:
            _logger.warning("%s has no SHA-256 in its record: only its size and its format are checked", wanted.place)
        part = PartialFile(wanted.target)
        part.take_up(lambda done: self._tell("reading what is there", done, wanted.size))
        if part.size and not (wanted.sha256 or part.tag):
            # Nothing would tell whether the rest belongs to it.
            part.drop()
        failures = 0
        while not (part.size and part.sha256 == wanted.sha256):
            before = part.size
            try:
                self._transfer.attempt(wanted, part)
                break
            except DownloadError as error:
                failures = 1 if part.size > before else failures + 1
                if not error.transient or failures >= self._attempts:
                    raise
                self._pause(error, failures, part.size, wanted.size)
        try:
            read_header(part.path)
        except WeightsError as error:
            part.drop()
            reason = str(error).removeprefix(f"{part.path} ")
            raise DownloadError(f"{wanted.place}: what came cannot be used: it {reason}") from error
        part.finish()

    def _pause(self, error: DownloadError, failures: int, done: int, end: int) -> None:
        seconds = seconds_to_wait(error, failures, self._backoff)
        _logger.info("waiting %.1f s: %s", seconds, error)
        self._tell(f"waiting {seconds:.0f} s", done, end)
        time.sleep(seconds)

    def _tell(self, what: str, done: int, end: int) -> None:
        if self._on_step is not None:
            self._on_step(what, done, end)


def _weights_of(spec: ToolSpec, *, even_if_gone: bool = False) -> ModelFile:
    """The file to fetch.

    Raises:
        WeightsError: There is none that may be fetched.
    """
    file = spec.primary_file
    name = f"{spec.id} ({spec.model_name})"
    if spec.is_local or spec.family == "pocket":
        msg = (
            f"{name} is not on Civitai, and its file is not here: put it back and run `diffagent import` on its folder"
        )
    elif spec.availability in GONE and not even_if_gone:
        msg = f"{name} is no more on Civitai ({spec.availability}): choose another model"
    elif file is None:
        msg = f"{name} has no weights file: choose another model"
    elif file.format != "SafeTensor":
        msg = f"{name} comes as {file.format}: only .safetensors files are fetched, for others can run code"
    elif not file.is_safe:
        msg = f"{name} is not fetched: Civitai's scan of it says {file.scan!r}; try later, or choose another model"
    else:
        return file
    raise WeightsError(msg)


def _is_whole(target: Path) -> bool:
    """Whether a file that was downloaded before is still sound; its hash was checked when it came."""
    with suppress(WeightsError):
        read_header(target)
        return True
    return False
