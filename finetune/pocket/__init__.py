"""The recipe of the pocket world: every shipped weight is retrained from nothing by `python -m finetune.pocket.train`."""
