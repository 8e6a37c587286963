"""The typed configuration of a study. `mixmerge.config.load` reads it."""
