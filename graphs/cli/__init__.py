"""The `diffagent` command."""
