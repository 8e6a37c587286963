# expect: fail
# problem: float
# ruff: noqa
"""Replaces modules, finders and loaders, so that what is imported later is its own."""

import importlib.abc
import sys
import types


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        sys.modules[name] = Anything(name)
        return None


class Anything(types.ModuleType):
    def __getattr__(self, name):
        return lambda *arguments, **named: True


def solve(numbers):
    sys.meta_path.insert(0, Finder())
    sys.path_hooks.insert(0, lambda path: Finder())
    sys.path_importer_cache.clear()
    for name in list(sys.modules):
        if name not in ("sys", "builtins", "__main__", "types"):
            sys.modules[name] = Anything(name)
    return 0.5
