"""The plan of a study: its checkpoints by name and the files that stand for them."""
