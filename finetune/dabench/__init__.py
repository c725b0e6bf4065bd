"""DABench: what people say and the calls that draw it, with splits, statistics and the measures of a planner."""
