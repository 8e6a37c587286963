"""Integrity: whether files still hold what was written, by SHA-256 against manifests and lists."""
