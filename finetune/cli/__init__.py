"""The `diffagent-train` command."""
