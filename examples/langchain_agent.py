"""DiffAgent inside a LangChain agent: `python -m examples.langchain_agent "a fox in pixel art"`.

The agent's model is DiffAgent's own planner, so that this runs offline. Put any chat model in its place, for example
`init_chat_model("openai:gpt-5")`: the middleware gives it one tool to look for models with, and those that it finds
become tools of their own.
"""

from __future__ import annotations

import sys

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from diffagent_tools import DiffAgentMiddleware, DiffAgentToolkit


def main() -> None:
    """Ask the agent, and show what it did."""
    request = " ".join(sys.argv[1:]) or "a fox in pixel art on a blue background"
    toolkit = DiffAgentToolkit.pocket()
    agent = create_agent(toolkit.planner, middleware=[DiffAgentMiddleware(toolkit=toolkit)])

    print(request)
    for update in agent.stream({"messages": [HumanMessage(request)]}, stream_mode="updates"):
        for message in (message for part in update.values() if part for message in part.get("messages", [])):
            if isinstance(message, AIMessage) and message.tool_calls:
                print("->", message.tool_calls[0]["name"], message.tool_calls[0]["args"])
            elif isinstance(message, ToolMessage):
                print("<-", message.text[:100])
            else:
                print(message.text)


if __name__ == "__main__":
    main()
