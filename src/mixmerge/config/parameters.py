"""How many weights a model has, by its entry."""

from mixmerge.config.models import EmbeddedBase, Model


def parameters_of(entry: Model) -> int | None:
    """Number of a model's weights; None where its entry does not tell."""
    if entry.parameters is None and isinstance(entry, EmbeddedBase):
        return entry.model.parameters()
    return entry.parameters
