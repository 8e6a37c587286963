"""Weight-space analysis: how far checkpoints moved, and whether their updates agree."""
