"""The catalog on disk: specs, evidence and what was set aside, in one SQLite file."""
