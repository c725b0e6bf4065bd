"""The shortlist beside simple methods, on real requests: `python -m diffagent_tools.benchmarks.shortlist`."""
