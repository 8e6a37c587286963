"""The uncertainty stage: intervals and tests on the scores of a model's checkpoints."""
