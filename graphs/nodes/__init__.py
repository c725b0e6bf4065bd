"""The steps of one request, each a node of the graph: shortlist, select, approve, generate, judge, decide."""
