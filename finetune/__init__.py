"""Training: the pocket world today, DABench and SFTA on top of it."""
