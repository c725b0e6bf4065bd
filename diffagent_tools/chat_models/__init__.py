"""Chat models that pick among drawing tools."""
