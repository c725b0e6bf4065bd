"""SFTA: supervised fine-tuning of the planner, then alignment by ranking."""
