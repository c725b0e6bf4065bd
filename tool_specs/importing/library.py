"""The weights files of a folder tree, each linked to the spec that it holds the weights of."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from tool_specs.civitai.client import CivitaiClient
from tool_specs.exceptions import CatalogError, WeightsError
from tool_specs.importing.folders import Contents, shown_path, size_of
from tool_specs.importing.intake import Intake
from tool_specs.importing.local_specs import local_spec
from tool_specs.importing.looking_up import look_up
from tool_specs.importing.shapes import JsonObject
from tool_specs.importing.summary import PathSummary
from tool_specs.naming import local_id, spec_id
from tool_specs.spec import ToolSpec
from tool_specs.store.database import CatalogDatabase
from tool_specs.store.rows import LocalFile
from tool_specs.weight_files import read_header, sha256_of

_NO_SPEC: Final = ""
"""Stands for the spec of a file that has none, as yet or because it was refused."""

OnStep = Callable[[str, int, int], None]
"""Called with what is being done, how far it has come, and where it ends; in bytes, or in files or models."""


@dataclass(slots=True)
class SideFiles:
    """What the files beside the weights say.

    Attributes:
        hints: What a person wrote about a file, by the path of the file without its suffix.
        refused: Why a file may not be used, by its SHA-256.
    """

    hints: dict[Path, JsonObject] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


class Library:
    """Takes the weights files of one PATH into the catalog.

    Hashes are stored as soon as they are known, so that an interrupted import goes on where it stopped.

    Args:
        database: The catalog.
        contents: What the PATH holds.
        sides: What the side files say.
        client: Asked for files that the catalog does not know; None to ask nobody.
        on_step: Told the progress.
    """

    def __init__(
        self,
        database: CatalogDatabase,
        contents: Contents,
        sides: SideFiles,
        *,
        client: CivitaiClient | None = None,
        on_step: OnStep | None = None,
    ) -> None:
        self._database = database
        self._contents = contents
        self._sides = sides
        self._client = client
        self._on_step = on_step
        self._remembered = {file.path: file for file in database.local_files()}
        self._read: dict[str, LocalFile] = {}

    def take(self, intake: Intake, summary: PathSummary) -> None:
        """Read every file, and forget those that are gone."""
        self._hash_all(intake)
        known = self._known_specs()
        refused = dict(self._sides.refused)
        missing = {file.sha256 for file in self._read.values()} - known.keys() - refused.keys()
        if self._client is not None and missing:
            findings = look_up(self._client, missing, on_models=self._telling("asking Civitai"))
            summary.problem = findings.problem
            refused |= findings.refused
            for origin, spec in findings.specs.values():
                with self._database.transaction() as writing:
                    writing.put_specs([spec], origin=origin)
            known |= {sha256: spec.id for sha256, (_, spec) in findings.specs.items()}
        self._link(intake, known, refused)
        intake.store()
        summary.forgotten = self._tidy(known)

    def _hash_all(self, intake: Intake) -> None:
        """Make sure that every file's hash is known and its header is sound."""
        sizes = {path: size_of(path) for path in self._contents.weights}
        done, end = 0, sum(sizes.values())
        tell = self._telling("hashing")
        for path in self._contents.weights:
            so_far = partial(_add, tell, done, end)
            try:
                self._read[os.fspath(path)] = self._hashed(path, so_far)
            except (WeightsError, OSError) as error:
                intake.refuse(shown_path(path), _reason(error, path))
            done += sizes[path]

    def _hashed(self, path: Path, on_progress: Callable[[int, int], None]) -> LocalFile:
        status = path.stat()
        before = self._remembered.get(os.fspath(path))
        if before is not None and (before.size, before.mtime_ns) == (status.st_size, status.st_mtime_ns):
            return before
        read_header(path)
        sha256 = sha256_of(path, on_progress=on_progress)
        file = LocalFile(os.fspath(path), status.st_size, status.st_mtime_ns, sha256, spec_id=_NO_SPEC)
        with self._database.transaction() as writing:
            writing.put_local_files([file])
        return file

    def _known_specs(self) -> dict[str, str]:
        """Spec by the SHA-256 of one of its files, of specs that do not stem from a file here."""
        files = self._read.values()
        wanted = {file.sha256 for file in files}
        found = _holders(self._database.specs([file.spec_id for file in files]).values(), wanted)
        # Only now and then is there a file that no model is known for; then the whole catalog is looked through.
        return found if wanted <= found.keys() else _holders(self._database.all_specs(), wanted) | found

    def _link(self, intake: Intake, known: Mapping[str, str], refused: Mapping[str, str]) -> None:
        """Give every file a spec: the one that is known, else one of its own."""
        made = {file.spec_id: file.sha256 for path, file in self._remembered.items() if not self._belongs(path)}
        for path, file in self._read.items():
            spec, reason = None, refused.get(file.sha256, "")
            linked = replace(file, spec_id=known.get(file.sha256) or _own_id(file))
            if not reason and file.sha256 not in known:
                if linked.spec_id not in made:
                    spec, reason = self._own_spec(Path(path), file.sha256)
                    made[linked.spec_id] = file.sha256
                elif made[linked.spec_id] != file.sha256:
                    reason = "another file here has the same id, by chance: keep it in a catalog of its own"
            if reason:
                self._read[path] = replace(file, spec_id=_NO_SPEC)
                intake.refuse(shown_path(Path(path)), reason)
            else:
                self._read[path] = linked
                intake.take_file(linked, spec)

    def _own_spec(self, path: Path, sha256: str) -> tuple[ToolSpec | None, str]:
        """The spec of a file that nobody knows, or why it gets none."""
        try:
            return local_spec(path, read_header(path), sha256, self._sides.hints.get(path.with_suffix(""), {})), ""
        except (CatalogError, WeightsError, OSError) as error:
            return None, _reason(error, path)

    def _tidy(self, known: Mapping[str, str]) -> int:
        """Forget files that are gone and own specs that no file needs; return how many files are gone."""
        gone = [path for path in self._remembered if path not in self._read and self._belongs(path)]
        left = {path: file for path, file in {**self._remembered, **self._read}.items() if path not in gone}
        for path, file in left.items():
            # A copy elsewhere is linked like the one here.
            if file.spec_id and file.sha256 in known:
                left[path] = replace(file, spec_id=known[file.sha256])
        needed = {file.spec_id for file in left.values()}
        unneeded = {_own_id(file) for file in (*self._remembered.values(), *self._read.values())} - needed
        with self._database.transaction() as writing:
            writing.put_local_files(file for path, file in left.items() if file != self._remembered.get(path))
            writing.forget_local_files(gone)
            writing.remove(unneeded)
        return len(gone)

    def _belongs(self, path: str) -> bool:
        """Whether a file should have been found, had it still been there."""
        inside = Path(path).is_relative_to
        return inside(self._contents.root) and not any(inside(folder) for folder in self._contents.unreadable)

    def _telling(self, what: str) -> Callable[[int, int], None]:
        return lambda done, end: self._on_step(what, done, end) if self._on_step else None


def _add(tell: Callable[[int, int], None], before: int, end: int, read: int, _size: int) -> None:
    tell(before + read, end)


def _holders(specs: Iterable[ToolSpec], wanted: set[str]) -> dict[str, str]:
    """The first spec of a model that holds a file, by the file's SHA-256."""
    found: dict[str, str] = {}
    for spec in specs:
        for file in () if spec.is_local else spec.files:
            if file.sha256 in wanted:
                found.setdefault(file.sha256, spec.id)
    return found


def _own_id(file: LocalFile) -> str:
    number = local_id(file.sha256)
    return spec_id(number, number)


def _reason(error: Exception, path: Path) -> str:
    """What is wrong, without the path: that is told apart."""
    if isinstance(error, OSError):
        return f"it cannot be read ({error.strerror or error})"
    return str(error).removeprefix(f"{path} ")
