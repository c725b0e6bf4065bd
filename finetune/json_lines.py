"""Rows in a file, one JSON object a line, written as they come: what is there after a kill is read again."""

from __future__ import annotations

from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from tool_specs.exceptions import ConfigError
from tool_specs.validation import one_line

Row = TypeVar("Row", bound=BaseModel)


class JsonLines(Generic[Row]):
    """A file of rows of one kind.

    Args:
        path: The file; its folder is made with the first row.
        kind: What a row is.
    """

    def __init__(self, path: Path, kind: type[Row]) -> None:
        self.path = path
        self._kind = kind

    def read(self) -> list[Row]:
        """All rows, in the order in which they were written; a last line that was torn is cut off the file.

        Raises:
            ConfigError: The file cannot be read, or a line in it is no such row.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._failed("read", error) from error
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            self._cut(whole)
        return [self._row(number, line) for number, line in enumerate(content[:whole].splitlines(), 1)]

    def append(self, row: Row) -> None:
        """Write a row; it is on its way to the disk when this returns.

        Raises:
            ConfigError: The file cannot be written to.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.write(row.model_dump_json().encode() + b"\n")
        except OSError as error:
            raise self._failed("written to", error) from error

    def _row(self, number: int, line: bytes) -> Row:
        try:
            return self._kind.model_validate_json(line)
        except ValidationError as error:
            msg = f"line {number} of {self.path} is no {self._kind.__name__.lower()}: {one_line(error)}; take it out"
            raise ConfigError(msg) from error

    def _cut(self, size: int) -> None:
        try:
            with self.path.open("r+b") as file:
                file.truncate(size)
        except OSError as error:
            raise self._failed("written to", error) from error

    def _failed(self, done: str, error: OSError) -> ConfigError:
        return ConfigError(f"{self.path} cannot be {done} ({error.strerror or error}); choose another folder")
