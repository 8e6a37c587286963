"""The embedded study: a grammar of small functions, and base models pre-trained on it."""
