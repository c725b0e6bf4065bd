"""What a capable model would answer to the requests of LangChain's standard tests, as an OpenAI server writes it."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.diffagent_tools.chat_models.chat_server import Json, answer, call, call_pieces, streamed


def reply_to(asked: Json) -> Json | list[Json]:
    """The answer to a request: a call where tools are bound and wanted, a form where one is asked for, else words."""
    wanted = _call_for(asked)
    if wanted is not None:
        name, arguments = wanted
        if asked.get("stream"):
            half = len(arguments) // 2
            return streamed(*call_pieces(arguments[:half], arguments[half:], name=name), finish="tool_calls")
        return answer(calls=[call(arguments, name)], finish="tool_calls")
    text = _form_for(asked) or "Hello there."
    if asked.get("stream"):
        half = len(text) // 2
        return streamed({"role": "assistant", "content": text[:half]}, {"content": text[half:]})
    return answer(text)


def _call_for(asked: Json) -> tuple[str, str] | None:
    """The name and the arguments of the tool that the question asks for, or that must be called."""
    tools = {tool["function"]["name"]: tool["function"] for tool in asked.get("tools") or ()}
    choice = asked.get("tool_choice", "auto")
    if not tools or choice == "none" or asked["messages"][-1]["role"] == "tool":
        return None
    question = _question(asked)
    if isinstance(choice, dict):
        name = choice["function"]["name"]
    else:
        name = next((name for name in tools if f"{name}(" in question), next(iter(tools)))
    return name, json.dumps(_filled(tools[name].get("parameters") or {}, question), ensure_ascii=False)


def _form_for(asked: Json) -> str:
    """JSON in the form that is asked for; nothing where none is."""
    form = asked.get("response_format") or {}
    if form.get("type") == "json_schema":
        return json.dumps(_filled(form["json_schema"]["schema"], _question(asked)))
    if form.get("type") == "json_object":
        # The form stands in the words alone, as "with 'setup' and 'punchline' keys".
        return json.dumps(dict.fromkeys(re.findall(r"'(\w+)'", _question(asked)), "a cat"))
    return ""


def _question(asked: Json) -> str:
    content = [message for message in asked["messages"] if message["role"] == "user"][-1]["content"]
    return content if isinstance(content, str) else " ".join(block.get("text", "") for block in content)


def _filled(schema: Json, question: str) -> Any:
    """A value of a schema, with the numbers and the quoted words of the question."""
    kinds = [schema, *schema.get("anyOf", ())]
    kind = next(one["type"] for one in [*kinds, {"type": "object"}] if "type" in one)
    if kind == "object":
        numbers = iter(re.findall(r"-?\d+", question))
        return {
            name: int(next(numbers, 0)) if one.get("type") == "integer" else _filled(one, question)
            for name, one in schema.get("properties", {}).items()
        }
    quoted = re.search(r"'([^']+)'", question)
    return quoted[1] if quoted else question
