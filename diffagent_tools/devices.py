"""Where tensors live, and how many threads work on them."""

from __future__ import annotations

import importlib.util
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from tool_specs.exceptions import ConfigError

if TYPE_CHECKING:
    import torch

SMALL_NETWORK = 50_000_000
"""Parameters below which a step is call overhead rather than arithmetic, so that a second thread only costs."""


def require(*modules: str, extra: str = "local") -> None:
    """Check that modules of an extra are installed, without importing them.

    Raises:
        ConfigError: One is not.
    """
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        msg = f"{', '.join(missing)} not installed; this needs it: pip install 'diffagent-tools[{extra}]'"
        raise ConfigError(msg)


def torch_device(device: str) -> torch.device:
    """The device that a name means.

    Args:
        device: A torch device ("cpu", "cuda", "cuda:1"), or "auto" for CUDA where there is any and the CPU elsewhere.

    Raises:
        ConfigError: torch is not installed, or the device does not exist here.
    """
    require("torch")
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        msg = f"the device {device!r} cannot be used here ({reason}); choose 'auto', 'cpu' or 'cuda'"
        raise ConfigError(msg) from error
    return found


@contextmanager
def fitting_threads(parameters: int) -> Iterator[None]:
    """Run a small network on one CPU thread, unless the user has set a number of threads.

    Args:
        parameters: Parameters of the network that runs inside.
    """
    import torch

    chosen = "OMP_NUM_THREADS" in os.environ or "MKL_NUM_THREADS" in os.environ
    before = torch.get_num_threads()
    if chosen or parameters >= SMALL_NETWORK or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def without_model_bars() -> Iterator[None]:
    """Keep the bars with which transformers loads and saves models off the screen; warnings are still shown."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


_loading = threading.RLock()


@contextmanager
def one_load_at_a_time() -> Iterator[None]:
    """Keep other threads of this process from making or loading modules.

    While accelerate and diffusers build an empty model they patch `torch.nn.Module` for the whole process: a module
    that another thread makes in that moment would be left without its weights.
    """
    with _loading:
        yield


_quiet = ExitStack()
_quiet_users = 0
_quiet_lock = threading.Lock()


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep the progress bars, warnings and advice of transformers, diffusers and peft off the user's screen.

    The switches belong to the whole process: the first thread that enters turns them, the last one to leave turns them
    back.
    """
    global _quiet_users
    with _quiet_lock:
        if _quiet_users == 0:
            _silence(_quiet)
        _quiet_users += 1
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_users -= 1
            if _quiet_users == 0:
                _quiet.close()


def _silence(undo: ExitStack) -> None:
    """Turn the switches, and note how to turn them back."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for logging in (diffusers_logging, transformers_logging):
        undo.callback(logging.set_verbosity, logging.get_verbosity())
        logging.set_verbosity_error()
        if logging.is_progress_bar_enabled():
            undo.callback(logging.enable_progress_bar)
            logging.disable_progress_bar()
    undo.enter_context(warnings.catch_warnings())
    warnings.simplefilter("ignore")
