"""Training of the ranking: an encoder of prompts and models, and the scorer that weighs what speaks for a model."""
