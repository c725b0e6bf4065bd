"""A planner on vLLM: the command that serves a model folder, and a server that runs for as long as it is needed.

vLLM lives in a virtual environment of its own (`make vllm` makes it), because it pins torch and transformers.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO, Final

import click

from diffagent_tools.chat_models.template_variables import recorded_variables, server_flags
from diffagent_tools.serving.endpoint import BASE_URL_VARIABLE, HOST, PORT, SERVED_NAME, chosen_api_key
from tool_specs.exceptions import BackendError, ConfigError
from tool_specs.home import home_folder

PYTHON: Final = Path(".venv-vllm/bin/python")
"""The interpreter that has vLLM, from the root of the project."""
FLAGS: Final = (
    *("--served-model-name", SERVED_NAME),
    *("--host", HOST),
    "--enable-auto-tool-choice",
    # Arguments are pinned to their schema also for clients that do not ask for it.
    *("--tool-strict-level", "parameter"),
    # `disable_any_whitespace` needs a named backend, and only xgrammar knows strict tools.
    *("--structured-outputs-config", '{"backend": "xgrammar", "disable_any_whitespace": true}'),
)
"""For every model and device."""
HERMES: Final = (
    *("--tool-parser-plugin", str(Path(__file__).with_name("compact_tool_calls.py"))),
    *("--tool-call-parser", "diffagent"),
)
"""For models that write calls in Hermes form: the pocket planner, Qwen3 and many more."""
CPU_FLAGS: Final = (*("--dtype", "float32"), "--enforce-eager")
"""For the CPU build, whatever the weights are: half precision is slow or missing there, and compiling takes minutes."""
CPU_ENVIRONMENT: Final = {"VLLM_TARGET_DEVICE": "cpu", "VLLM_CPU_KVCACHE_SPACE": "1"}
"""The build does not know its own device, and would take half of the memory for its cache; in GiB."""
QUIET: Final = {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
"""A folder is all it needs: nothing is reported and nothing fetched."""
START_SECONDS: Final = 1800.0
"""A big model is compiled first; a server that ends is noticed at once."""
STOP_SECONDS: Final = 20.0
RECORD: Final = "serving.json"
"""Beside an exported model: how its calls are to be read, and in which precision it is to be served."""
_LOG_LINES: Final = 15


def command(folder: Path, *, port: int, python: Path = PYTHON, extra: Sequence[str] = ()) -> list[str]:
    """The command that serves a model.

    The module is named, not `vllm serve`: the CPU build's own command does not start.

    Args:
        folder: A transformers folder with the model, its tokenizer and its chat template.
        port: On this machine.
        python: The interpreter that has vLLM.
        extra: More of vLLM's flags; they win over ours.

    Raises:
        ConfigError: There is no such folder or interpreter, the interpreter has no vLLM, or what the folder says of
            itself is damaged.
    """
    if not (folder / "config.json").is_file():
        msg = f"there is no model in {folder}; name a folder with config.json, as `diffagent-train export` writes it"
        raise ConfigError(msg)
    parser, dtype = _recorded(folder)
    device = CPU_FLAGS if is_cpu_build(python) else dtype
    serving = (str(python), "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder.resolve()))
    template = server_flags(recorded_variables(folder))
    return [*serving, "--port", str(port), *FLAGS, *parser, *template, *device, *extra]


def _recorded(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The flags for the form of calls that a model was trained to write, and for its numbers.

    Where nothing is said it is Hermes, and vLLM chooses the dtype: it turns float32 weights into half precision.
    """
    record = folder / RECORD
    if not record.exists():
        return HERMES, ()
    try:
        told = json.loads(record.read_bytes())
        parser, dtype = str(told["tool_call_parser"]), str(told.get("dtype") or "")
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{record} names no tool_call_parser ({error!r}); write the folder again with `diffagent-train export`"
        raise ConfigError(msg) from error
    return HERMES if parser == "hermes" else ("--tool-call-parser", parser), ("--dtype", dtype) if dtype else ()


def environment(python: Path = PYTHON) -> dict[str, str]:
    """The environment to serve in: ours, and what vLLM needs that is not set yet.

    `DIFFAGENT_API_KEY` becomes the key that the server asks for; it is not in the command, which others can read.

    Raises:
        ConfigError: There is no such interpreter, or it has no vLLM.
    """
    key = chosen_api_key()
    wanted = {**QUIET, **(CPU_ENVIRONMENT if is_cpu_build(python) else {}), **({"VLLM_API_KEY": key} if key else {})}
    return {**wanted, **os.environ}


@cache
def is_cpu_build(python: Path = PYTHON) -> bool:
    """Whether the vLLM of an interpreter is the CPU build.

    Raises:
        ConfigError: There is no such interpreter, or it has no vLLM.
    """
    code = "from importlib.metadata import distributions as d; print(*{x.name.lower() for x in d()})"
    try:
        told = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError) as error:
        msg = f"{python} does not run ({error}); `make vllm` installs vLLM in an environment of its own"
        raise ConfigError(msg) from error
    installed = set(told.stdout.split())
    if not installed & {"vllm", "vllm-cpu"}:
        msg = f"{python} has no vLLM; `make vllm` installs it"
        raise ConfigError(msg)
    return "vllm-cpu" in installed


@contextmanager
def running(
    folder: Path,
    *,
    port: int = 0,
    python: Path = PYTHON,
    extra: Sequence[str] = (),
    log: Path | None = None,
    watch: Callable[[float], None] = lambda _seconds: None,
) -> Iterator[str]:
    """A server that answers, for as long as the `with` block runs; all its processes end with it.

    Args:
        folder: The model.
        port: On this machine; 0 for any free one.
        python: The interpreter that has vLLM.
        extra: More of vLLM's flags.
        log: Where its output goes. Default: `vllm-PORT.log` in the project's home folder.
        watch: Told the seconds of waiting, about twice a second.

    Yields:
        The base URL of its chat interface.

    Raises:
        ConfigError: Model, interpreter or vLLM are missing, or the port is taken.
        BackendError: The server ended, or did not answer in time.
    """
    port = _free_port(port)
    log = log or home_folder() / f"vllm-{port}.log"
    serving, settings = command(folder, port=port, python=python, extra=extra), environment(python)
    with _opened(log) as output:
        server = subprocess.Popen(  # noqa: S603
            serving, env=settings, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        _wait(server, f"http://{HOST}:{port}/health", log, watch)
        yield f"http://{HOST}:{port}/v1"
    finally:
        _stop(server)


def _free_port(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            msg = f"port {port} is taken ({error}); choose another with --port"
            raise ConfigError(msg) from error
        return int(probe.getsockname()[1])


def _opened(log: Path) -> BinaryIO:
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        return log.open("wb")
    except OSError as error:
        msg = f"the log cannot be written ({error}); set DIFFAGENT_HOME to a folder of yours"
        raise ConfigError(msg) from error


def _wait(server: subprocess.Popen[bytes], health: str, log: Path, watch: Callable[[float], None]) -> None:
    """Come back when the server answers. No proxy is asked, whatever the environment says: it is this machine."""
    asking = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    begun = time.monotonic()
    while (waited := time.monotonic() - begun) < START_SECONDS:
        watch(waited)
        if server.poll() is not None:
            last = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:])
            msg = f"vLLM ended with code {server.returncode} before it answered; the end of {log}:\n{last}"
            raise BackendError(msg)
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            asking.open(health, timeout=2).close()
            return
        time.sleep(0.5)
    msg = f"vLLM did not answer at {health} within {START_SECONDS:.0f} s; see {log}"
    raise BackendError(msg)


def _stop(server: subprocess.Popen[bytes]) -> None:
    """End the whole family of processes: asked at first, then without asking."""
    for number, patience in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
        deadline = time.monotonic() + patience
        alive = _signalled(server.pid, number)
        while alive and time.monotonic() < deadline:
            time.sleep(0.1)
            server.poll()
            alive = _signalled(server.pid, 0)
        if not alive:
            break
    server.wait()


def _signalled(group: int, number: int) -> bool:
    """Send a signal to all processes of a group; whether there were any. Signal 0 only asks."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


@click.command(name="vllm", context_settings={"ignore_unknown_options": True})
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--port", type=int, default=PORT, show_default=True, help="On this machine; 0 for any free one.")
@click.option("--python", type=click.Path(path_type=Path), default=PYTHON, show_default=True, help="Has vLLM.")
@click.argument("extra", nargs=-1, type=click.UNPROCESSED, metavar="[VLLM_FLAGS]...")
def main(folder: Path, port: int, python: Path, extra: tuple[str, ...]) -> None:
    """Serve the model in FOLDER with vLLM until Ctrl-C; more of vLLM's own flags may follow."""
    from rich.console import Console

    screen = Console(stderr=True, highlight=False)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: sys.exit(128 + received))
    try:
        with screen.status("starting vLLM") as status:
            server = running(
                folder,
                port=port,
                python=python,
                extra=extra,
                watch=lambda seconds: status.update(f"starting vLLM, {seconds:.0f} s (about a minute on a CPU)"),
            )
            with server as url:
                ended = threading.Event()
                signal.signal(signal.SIGCHLD, lambda *_: ended.set())
                status.stop()
                screen.print(f"{SERVED_NAME!r} answers at {url}; stop it with Ctrl-C. Elsewhere:", soft_wrap=True)
                click.echo(f"export {BASE_URL_VARIABLE}={url}")
                while not ended.wait(timeout=1.0):
                    pass
        raise click.ClickException("vLLM ended by itself; see vllm-*.log in the project's home folder")
    except KeyboardInterrupt:
        sys.exit(130)
    except (ConfigError, BackendError) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
