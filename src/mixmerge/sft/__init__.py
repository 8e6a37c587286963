"""Supervised fine-tuning: from a base checkpoint and a training set to a specialist."""
