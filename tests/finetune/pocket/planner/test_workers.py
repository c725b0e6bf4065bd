from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np

from finetune.pocket.planner.workers import workers

KEEPS_A_WORKER_BUSY = """
import os, time
from finetune.pocket.planner.workers import workers

if __name__ == "__main__":
    pool = workers(1)
    print(pool.submit(os.getpid).result(), flush=True)
    pool.submit(time.sleep, 60).result()
"""


def threads_of_torch() -> int:
    import torch

    return torch.get_num_threads()


def test_each_computes_with_one_thread() -> None:
    with workers(1) as pool:
        assert pool.submit(threads_of_torch).result() == 1
        assert pool.submit(np.square, 3).result() == 9


def test_they_end_with_the_process_they_work_for() -> None:
    parent = subprocess.Popen([sys.executable, "-c", KEEPS_A_WORKER_BUSY], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    try:
        parent.communicate(timeout=20)  # ends when nobody has the pipe any more
    except subprocess.TimeoutExpired:
        os.kill(worker, signal.SIGKILL)
        raise
