"""The ranking of models for a request: the search index over a stored catalog, and what was learned."""
