"""The evaluate stage: completions of a checkpoint, and their scores."""
