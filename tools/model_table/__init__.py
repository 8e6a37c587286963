"""`docs/models.md`: what the stages do with tiny models of many architectures."""
