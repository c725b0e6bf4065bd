"""The recipe of the pocket world: `python -m finetune.pocket.train` retrains every shipped weight from nothing."""
