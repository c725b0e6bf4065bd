"""Servers: the planner on vLLM, behind OpenAI's chat interface."""
