"""Run every benchmark: `python -m diffagent_tools.benchmarks`."""

from diffagent_tools.benchmarks.drawing import main

main()
