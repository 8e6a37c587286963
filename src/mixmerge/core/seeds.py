"""Every random choice has a seed that follows from the study's seed and the node's name."""

import hashlib


def derive(study_seed: int, *names: str) -> int:
    """Derive a 31-bit seed from the study's seed and the names of a node and a purpose.

    Two nodes never share a stream by accident, and adding a node changes no other node's seed.
    """
    text = "\x1f".join([str(study_seed), *names])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") & 0x7FFFFFFF
