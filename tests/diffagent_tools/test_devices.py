from __future__ import annotations

import subprocess
import sys
import threading
import warnings

import pytest
import torch

from diffagent_tools.devices import SMALL_NETWORK, fitting_threads, quiet_libraries, torch_device
from tool_specs.exceptions import ConfigError


def test_auto_takes_the_accelerator_where_there_is_one() -> None:
    assert torch_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert torch_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("device", ["abacus", "cuda:77", ""])
def test_a_device_that_is_not_there_is_named(device: str) -> None:
    with pytest.raises(
        ConfigError, match=f"the device '{device}' cannot be used here .*choose 'auto', 'cpu' or 'cuda'"
    ):
        torch_device(device)


def test_missing_libraries_are_named_with_their_remedy() -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['peft'] = None\n"
        "from diffagent_tools.devices import require, torch_device\n"
        "for check in (lambda: torch_device('auto'), lambda: require('torch', 'PIL', 'peft')):\n"
        "    try: check()\n"
        "    except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        f"ConfigError {missing} not installed; this needs it: pip install 'diffagent-tools[local]'"
        for missing in ("torch", "torch, peft")
    ]


@pytest.mark.parametrize(
    ("chosen", "parameters", "threads"),
    [(None, 1000, 1), (None, SMALL_NETWORK, 3), ("3", 1000, 3)],
    ids=["small", "large", "the user has chosen"],
)
def test_a_small_network_gets_one_thread(
    monkeypatch: pytest.MonkeyPatch, chosen: str | None, parameters: int, threads: int
) -> None:
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if chosen is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", chosen)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with fitting_threads(parameters):
            assert torch.get_num_threads() == threads
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_the_libraries_talk_again_when_the_last_thread_has_left() -> None:
    from diffusers.utils import logging

    def state() -> tuple[object, ...]:
        return logging.get_verbosity(), logging.is_progress_bar_enabled(), list(warnings.filters)

    before = state()
    inside, leave = threading.Event(), threading.Event()

    def stay() -> None:
        with quiet_libraries():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=stay)
    with quiet_libraries():
        thread.start()
        assert inside.wait(10)
    assert state()[:2] == (logging.ERROR, False)
    leave.set()
    thread.join()
    assert state() == before
