"""How a vLLM server is started and stopped, with a stand-in for vLLM; `test_served_planner` has the real one."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from uuid import uuid4

import pytest

from diffagent_tools.serving.vllm import command, environment, running
from tests.diffagent_tools.serving.processes import processes_with
from tests.diffagent_tools.serving.stand_in import interpreter_with_vllm, model_folder
from tool_specs.exceptions import BackendError, ConfigError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return model_folder(tmp_path / "model")


@pytest.fixture
def python(tmp_path: Path) -> Path:
    return interpreter_with_vllm(tmp_path / "cpu")


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A key for the server, by which its processes are found; logs go to a home of their own."""
    word = uuid4().hex
    monkeypatch.setenv("DIFFAGENT_API_KEY", word)
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    return word


def test_a_cpu_build_is_served_in_single_precision_and_not_compiled(folder: Path, python: Path) -> None:
    told = command(folder, port=8000, python=python, extra=["--max-model-len", "2048"])

    assert told[1:3] == ["-m", "vllm.entrypoints.openai.api_server"]
    assert told[told.index("--host") + 1] == "127.0.0.1"
    assert told[told.index("--dtype") + 1] == "float32"
    assert "--enforce-eager" in told
    assert told[-2:] == ["--max-model-len", "2048"]
    assert environment(python)["VLLM_TARGET_DEVICE"] == "cpu"


def test_a_cuda_build_chooses_for_itself(folder: Path, tmp_path: Path) -> None:
    python = interpreter_with_vllm(tmp_path / "cuda", "vllm")

    assert "--enforce-eager" not in command(folder, port=8000, python=python)
    assert "VLLM_TARGET_DEVICE" not in environment(python)


def test_calls_are_read_in_the_form_that_the_export_names(folder: Path, python: Path) -> None:
    def parser() -> str:
        told = command(folder, port=8000, python=python)
        return told[told.index("--tool-call-parser") + 1]

    assert parser() == "diffagent"
    (folder / "serving.json").write_text('{"tool_call_parser": "hermes"}')
    assert parser() == "diffagent"
    (folder / "serving.json").write_text('{"tool_call_parser": "qwen3_xml"}')
    assert parser() == "qwen3_xml"


def test_weights_are_served_in_the_precision_that_the_export_names(folder: Path, python: Path, tmp_path: Path) -> None:
    cuda = interpreter_with_vllm(tmp_path / "cuda", "vllm")

    assert "--dtype" not in command(folder, port=8000, python=cuda)
    (folder / "serving.json").write_text('{"tool_call_parser": "hermes", "dtype": "bfloat16"}')
    told = command(folder, port=8000, python=cuda)
    assert [told[n + 1] for n, flag in enumerate(told) if flag == "--dtype"] == ["bfloat16"]
    assert command(folder, port=8000, python=cuda, extra=["--dtype", "float16"])[-2:] == ["--dtype", "float16"]
    told = command(folder, port=8000, python=python)
    assert [told[n + 1] for n, flag in enumerate(told) if flag == "--dtype"] == ["float32"]


@pytest.mark.parametrize("text", ["{", "{}", "[]"])
def test_a_damaged_export_is_named(folder: Path, python: Path, text: str) -> None:
    (folder / "serving.json").write_text(text)

    with pytest.raises(ConfigError, match=r"serving\.json.*diffagent-train export"):
        command(folder, port=8000, python=python)


def test_the_variables_of_the_template_are_those_of_the_training(folder: Path, python: Path) -> None:
    flag = "--default-chat-template-kwargs"
    assert flag not in command(folder, port=8000, python=python)
    record = folder / "chat_template_kwargs.json"
    record.write_text('{"enable_thinking": false}')
    told = command(folder, port=8000, python=python, extra=(flag, "{}"))
    assert [told[place + 1] for place, word in enumerate(told) if word == flag] == ['{"enable_thinking": false}', "{}"]
    record.write_text("[]")
    with pytest.raises(ConfigError, match=r"chat_template_kwargs\.json"):
        command(folder, port=8000, python=python)


def test_the_key_is_in_the_environment_and_not_in_the_command(folder: Path, python: Path, key: str) -> None:
    assert environment(python)["VLLM_API_KEY"] == key
    assert key not in " ".join(command(folder, port=8000, python=python))


def test_what_a_person_has_set_wins(python: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "4")

    assert environment(python)["VLLM_CPU_KVCACHE_SPACE"] == "4"


def test_what_is_missing_is_named(folder: Path, python: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no-model.*config\.json"):
        command(tmp_path / "no-model", port=8000, python=python)
    with pytest.raises(ConfigError, match=r"no-python.*make vllm"):
        command(folder, port=8000, python=tmp_path / "no-python")
    with pytest.raises(ConfigError, match=r"has no vLLM.*make vllm"):
        command(folder, port=8000, python=interpreter_with_vllm(tmp_path / "other", "another-package"))


@pytest.mark.parametrize("flags", [[], ["--deaf"]])
def test_it_runs_as_long_as_the_block_and_leaves_no_process(
    folder: Path, python: Path, key: str, flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diffagent_tools.serving.vllm.STOP_SECONDS", 1.0)
    waited: list[float] = []
    with running(folder, python=python, extra=flags, watch=waited.append) as url:
        assert urllib.request.urlopen(url.replace("/v1", "/health")).status == 200
        assert processes_with(key)
    assert processes_with(key) == []
    assert waited


def test_no_proxy_is_asked_for_a_server_on_this_machine(
    folder: Path, python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr("diffagent_tools.serving.vllm.START_SECONDS", 20.0)

    with running(folder, python=python) as url:
        assert url.startswith("http://127.0.0.1:")


def test_it_stops_when_the_block_fails(folder: Path, python: Path, key: str) -> None:
    with pytest.raises(ZeroDivisionError), running(folder, python=python):
        _ = 1 / 0
    assert processes_with(key) == []


def test_a_server_that_ends_at_once_says_why(folder: Path, python: Path, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "server.log"
    with (
        pytest.raises(BackendError, match=r"code 1[\s\S]*no memory left for the weights"),
        running(folder, python=python, extra=["--broken"], log=log),
    ):
        pass
    assert "device: cpu" in log.read_text()


def test_a_port_that_is_taken_is_named(folder: Path, python: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"{port} is taken"), running(folder, python=python, port=port):
            pass


class TestCommand:
    @staticmethod
    def start(*arguments: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "diffagent_tools.serving.vllm", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_it_prints_the_variable_and_stops_when_asked(
        self, folder: Path, python: Path, key: str, number: signal.Signals, code: int
    ) -> None:
        process = self.start(folder, "--python", python, "--port", "0", "--max-model-len", "2048")
        assert process.stdout is not None
        assert process.stdout.readline().startswith("export DIFFAGENT_BASE_URL=http://127.0.0.1:")
        process.send_signal(number)

        assert process.wait(60) == code
        assert processes_with(key) == []
        process.communicate()

    def test_it_does_not_outlive_its_server(self, folder: Path, python: Path) -> None:
        process = self.start(folder, "--python", python, "--port", "0", "--short")
        _, said = process.communicate(timeout=60)

        assert process.returncode == 1
        assert "vLLM ended" in said

    def test_a_fault_is_one_line(self, tmp_path: Path) -> None:
        process = self.start(tmp_path / "nothing")
        _, said = process.communicate(timeout=60)

        assert process.returncode == 1
        assert "there is no model in" in said
        assert "Traceback" not in said
