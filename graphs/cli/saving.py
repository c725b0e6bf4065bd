"""Copying the best picture to a folder of the person's choice, under a name that people can read."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
import unicodedata
from pathlib import Path

from graphs.state import Attempt, ImageReference
from tool_specs.exceptions import ArtifactError

MAX_WORDS = 40
"""Longest part of a file name that comes from the request, in characters."""
MAX_NAMESAKES = 10_000


def save_picture(reference: ImageReference, folder: Path, name: str) -> Path:
    """Copy a stored picture to `folder/name.png`, or `name-2.png` and so on where that exists already.

    The copy appears whole or not at all, and replaces no file of anyone's.

    Raises:
        ArtifactError: It cannot be written; the message says where the picture is kept anyway.
    """
    kept = Path(reference["path"])
    temporary: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".", suffix=".part", delete=False) as file:
            temporary = Path(file.name)
            with kept.open("rb") as source:
                shutil.copyfileobj(source, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        target = _claimed(folder, name)
        temporary.replace(target)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        msg = f"the picture cannot be copied to {folder}: {error.strerror or error}; it is kept as {kept}"
        raise ArtifactError(msg) from error
    return target


def picture_name(request: str, attempt: Attempt, model_name: str) -> str:
    """A file name without ending: the request, the model and the seed, in plain letters."""
    seed = (attempt["call"] or {}).get("seed")
    return f"{slug(request, MAX_WORDS) or 'picture'}-{slug(model_name, 24) or 'model'}-{seed}"


def slug(text: str, limit: int) -> str:
    """Text as lower-case letters, digits and dashes, at most `limit` characters, cut between words where possible."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if len(words) <= limit:
        return words
    return (words[: limit + 1].rpartition("-")[0] or words[:limit]).strip("-")


def _claimed(folder: Path, name: str) -> Path:
    """A file name that was free, taken by an empty file so that no other process takes it too."""
    for number in range(1, MAX_NAMESAKES):
        target = folder / (f"{name}.png" if number == 1 else f"{name}-{number}.png")
        try:
            target.touch(exist_ok=False)
        except FileExistsError:
            continue
        return target
    raise FileExistsError(errno.EEXIST, f"there are {MAX_NAMESAKES} pictures of this name already", str(folder))


def _umask() -> int:
    """This process's mask for new files. It can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
