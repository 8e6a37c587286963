"""Which row is which: memory of what was seen, and ids for rows that bring none."""

import hashlib


class Seen:
    """A set of texts that keeps 16 bytes of each: 700,000 of them take about 80 MB."""

    def __init__(self) -> None:
        self._digests: set[bytes] = set()

    def add(self, text: str) -> bool:
        """Add a text; returns whether it is new."""
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if digest in self._digests:
            return False
        self._digests.add(digest)
        return True


def content_id(ids: Seen, prompt: str, answer: str) -> str:
    """An id made from a row's text; equal rows, where they may stay, are told apart by a count.

    Args:
        ids: those given so far; the new one is added.
        prompt: the user's turn.
        answer: the assistant's turn.
    """
    text = f"{prompt}\x1f{answer}".encode("utf-8", "surrogatepass")
    base = hashlib.blake2b(text, digest_size=10).hexdigest()
    name, count = base, 1
    while not ids.add(name):
        count += 1
        name = f"{base}.{count}"
    return name
