"""A PostgreSQL server of the test's own, in a folder that goes away with it, on a Unix socket."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USERS = ("postgres", "nobody")
"""Who runs the server where the tests run as root, which PostgreSQL refuses to be."""


def postgres_programs() -> Path | None:
    """The folder with `initdb` and `pg_ctl`: the newest of Debian's, or wherever the path finds them."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    found = debian[-1] if debian else shutil.which("initdb")
    return Path(found).parent if found else None


@contextmanager
def postgres_server(programs: Path) -> Iterator[str]:
    """Run a server; yields its connection string."""
    # Not under pytest's folder: the path of a Unix socket has at most some hundred characters.
    folder = Path(tempfile.mkdtemp(prefix="diffagent-pg-"))
    user = _user()
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    data = folder / "data"

    def run(program: str, *arguments: str) -> None:
        with (folder / f"{program}.log").open("ab") as log:
            subprocess.run(
                [str(programs / program), "-D", str(data), *arguments],
                check=True, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=120,
                user=user.pw_uid if user else None, group=user.pw_gid if user else None,
                extra_groups=[] if user else None,
            )  # fmt: skip

    try:
        run("initdb", "-U", "diffagent", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        options = f"-k {folder} -c listen_addresses='' -c fsync=off"
        run("pg_ctl", "-o", options, "-l", str(folder / "server.log"), "-w", "start")
        try:
            yield f"host={folder} user=diffagent dbname=postgres"
        finally:
            run("pg_ctl", "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder)


def _user() -> pwd.struct_passwd | None:
    """Whom to run the server as; `None`: whoever runs the tests."""
    if os.geteuid() != 0:
        return None
    known = {user.pw_name: user for user in pwd.getpwall()}
    return next(known[name] for name in USERS if name in known)
