"""`diffagent fetch`: have the weights of models on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphs.cli.exits import DRAWN
from graphs.cli.options import json_option
from tool_specs.command_line import exit_code, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from tool_specs.spec import ToolSpec
    from tool_specs.store.database import CatalogDatabase


@click.command(name="fetch")
@click.argument("names", nargs=-1, required=True, metavar="SPEC_OR_VERSION_ID...")
@json_option
def command(names: tuple[str, ...], as_json: bool) -> int:
    """Have the weights of each SPEC_OR_VERSION_ID on this machine, and link them to the catalog.

    A file that was imported, or that the folders in DIFFAGENT_MODELS hold, is used where it is, and nothing there is
    changed; any other is downloaded from Civitai into DIFFAGENT_HOME. Stop it at any time: the same command goes on
    where it stopped.

    \b
    Examples:
      diffagent fetch 128713
      diffagent fetch civitai:4384@128713 civitai:9652
      DIFFAGENT_MODELS=~/ComfyUI/models diffagent fetch 128713 --json

    CIVITAI_API_KEY holds your key, which some files need. CIVITAI_API_URL is another address of the API, and
    DIFFAGENT_DOWNLOAD_HOSTS names further hosts that files may come from.
    """  # noqa: D301 - the \b is click's mark for lines to keep
    from graphs.cli.import_progress import ImportProgress
    from graphs.cli.tables import console
    from tool_specs.civitai.client import CivitaiClient
    from tool_specs.downloads import WeightsFiles
    from tool_specs.downloads.named_specs import spec_named
    from tool_specs.exceptions import DiffAgentError
    from tool_specs.store.database import CatalogDatabase

    rows: list[dict[str, object]] = []
    code = DRAWN
    with CatalogDatabase.open() as database, ImportProgress(console(stderr=True)) as progress:
        show = progress.show
        files = WeightsFiles.from_environment(known=database.local_files(), on_step=show)
        client = CivitaiClient(on_wait=lambda reason, _: show(reason, 0, 0))
        for name in names:
            try:
                spec = spec_named(name, database, client)
                show(spec.model_name, 0, 0)
                path = files(spec)
                _link(database, spec, path, show)
            except DiffAgentError as error:
                # One that cannot be had does not keep the others away.
                code = code or exit_code(error)
                fault = {"type": type(error).__name__, "message": one_line(error), "exit_code": exit_code(error)}
                rows.append({"name": name, "error": fault})
                if not as_json:
                    click.echo(f"diffagent: {one_line(error)}", err=True)
            else:
                rows.append({"name": name, "id": spec.id, "path": str(path), "error": None})
                if not as_json:
                    click.echo(f"{spec.id}  {path}")
    if as_json:
        click.echo(json.dumps({"files": rows}, ensure_ascii=False))
    return code


def _link(database: CatalogDatabase, spec: ToolSpec, path: Path, show: Callable[[str, int, int], None]) -> None:
    """Remember the file, as an import of its folder would; the weights inside the package need no link."""
    from tool_specs.store.rows import LocalFile
    from tool_specs.weight_files import sha256_of

    place, status, file = path.resolve(), path.stat(), spec.primary_file
    if spec.is_shipped or file is None:
        return
    sha256 = file.sha256 or sha256_of(place, on_progress=lambda done, end: show("hashing", done, end))
    link = LocalFile(str(place), status.st_size, status.st_mtime_ns, sha256, spec.id)
    with database.transaction() as writing:
        writing.put_local_files([link])
