"""Whether files still hold what was written: SHA-256 against the manifests."""
