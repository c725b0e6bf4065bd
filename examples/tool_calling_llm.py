"""DiffAgent's model as a tool-calling LLM: `python -m examples.tool_calling_llm "an owl at night"`.

It reads any tools that describe image models, wherever they are executed. `ChatDiffAgent()` is the same model behind an
OpenAI-compatible server (`make vllm`), and goes wherever `ChatOpenAI` does.
"""

from __future__ import annotations

import json
import os
import sys

from langchain_core.language_models import BaseChatModel

from diffagent_tools import ChatDiffAgent, DiffAgentToolkit


def main() -> None:
    """Bind the tools of a shortlist, and print the call."""
    request = " ".join(sys.argv[1:]) or "an owl in the night as a watercolor painting"
    toolkit = DiffAgentToolkit.pocket()
    model: BaseChatModel = ChatDiffAgent() if os.environ.get("DIFFAGENT_BASE_URL") else toolkit.planner

    tools = toolkit.tools_for(request, k=4)
    answer = model.bind_tools(tools).invoke(request)
    print(answer.text or json.dumps(answer.tool_calls[0], indent=2))


if __name__ == "__main__":
    main()
