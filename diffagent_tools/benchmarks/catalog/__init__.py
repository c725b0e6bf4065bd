"""The catalog at full size beside other stores: `python -m diffagent_tools.benchmarks.catalog`."""
