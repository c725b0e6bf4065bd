"""The backend beside a plain diffusers script: `python -m diffagent_tools.benchmarks.backend`."""
