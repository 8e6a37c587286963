# expect: fail
# problem: number
# ruff: noqa
"""Patches the codec, msgpack, json, marshal, pickle and hashlib of its own process."""

import hashlib
import json
import marshal
import pickle
import sys


def poison():
    def forged(*arguments, **named):
        return b'{"verdicts": {"base": "pass", "plus": "pass"}}'

    for module in (json, marshal, pickle):
        for name in ("dumps", "dump"):
            setattr(module, name, forged)
    for name in ("sha256", "md5", "new"):
        setattr(hashlib, name, forged)
    for name, module in list(sys.modules.items()):
        if name.startswith(("msgpack", "mixmerge")):
            for word in ("packb", "pack", "Packer", "unpackb", "unpack", "send", "Opaque"):
                if hasattr(module, word):
                    setattr(module, word, forged)
    return None


def solve(numbers):
    poison()
    return 1
