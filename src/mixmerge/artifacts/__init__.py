"""Artifacts: manifests, provenance and records of what was made from what."""
