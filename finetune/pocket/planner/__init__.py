"""The pocket planner: a small language model that writes pocket calls, and what it learns from."""
