"""Checkpoints in Hugging Face layout: what they hold, and whether it is whole."""
