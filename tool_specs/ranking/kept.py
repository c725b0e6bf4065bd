"""The files that an index is kept in: one folder for each state that was saved, made under another name first."""

from __future__ import annotations

import json
import logging
import re
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tool_specs.ranking.segments import Segment

logger = logging.getLogger(__name__)

FORMAT: Final = 3
"""Grows when what is indexed, or how it is written, changes."""
_NAME: Final = re.compile(r"\d+")
ABANDONED: Final = 3600.0
"""Seconds after which a draft was left by a process that was killed."""
_LABEL: Final = "index.json"


@dataclass(frozen=True, slots=True)
class Kept:
    """A saved index.

    Attributes:
        version: Of the catalog that was indexed.
        prompts: The evidence.
        models: The models.
    """

    version: int
    prompts: Segment
    models: Segment


class KeptIndex:
    """Saved states of the index of one catalog.

    It is only ever a copy of what the catalog holds: what cannot be written or read is logged, and made again.

    Args:
        folder: Where they are.
        owner: Whose they are: a state of another owner is not read.
    """

    def __init__(self, folder: Path, owner: str) -> None:
        self._folder = folder
        self._label = {"format": FORMAT, "owner": owner}

    def load(self, version: int) -> Kept | None:
        """The newest state that is not newer than a version of the catalog."""
        for number in sorted(self._versions(), reverse=True):
            folder = self._folder / str(number)
            if number > version:
                continue
            try:
                if json.loads((folder / _LABEL).read_text(encoding="utf-8")) != self._label:
                    continue
                return Kept(number, Segment.load(folder / "prompts"), Segment.load(folder / "models"))
            except (OSError, ValueError) as error:
                logger.warning("the search index in %s cannot be read and is made again: %s", folder, error)
        return None

    def save(self, version: int, prompts: Segment, models: Segment) -> None:
        """Keep a state, and forget all others; a process that reads one of them keeps what it has mapped."""
        target, draft = self._folder / str(version), self._folder / f"draft-{uuid.uuid4().hex}"
        try:
            prompts.save(draft / "prompts")
            models.save(draft / "models")
            (draft / _LABEL).write_text(json.dumps(self._label), encoding="utf-8")
            shutil.rmtree(target, ignore_errors=True)
            draft.rename(target)
        except OSError as error:
            logger.info("the search index cannot be kept in %s: %s", self._folder, error)
            shutil.rmtree(draft, ignore_errors=True)
            return
        for folder in self._outdated(version):
            shutil.rmtree(folder, ignore_errors=True)

    def _outdated(self, version: int) -> list[Path]:
        """Folders of other states, and drafts that nobody can still be writing."""
        drafts = [folder for folder in self._folder.glob("draft-*") if time.time() - folder.stat().st_mtime > ABANDONED]
        return [*drafts, *(self._folder / str(number) for number in self._versions() - {version})]

    def _versions(self) -> set[int]:
        try:
            return {int(entry.name) for entry in self._folder.iterdir() if _NAME.fullmatch(entry.name)}
        except OSError:
            return set()
