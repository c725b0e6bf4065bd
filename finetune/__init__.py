"""Training: today the recipe of the pocket world."""
