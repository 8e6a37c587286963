"""The module `solution` that tests import; its names are the solution's."""

import builtins
import sys
import types
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any

from judgebox.harness.examiner import ExaminerLink
from judgebox.harness.lending import TESTS


class _Solution(types.ModuleType):
    """Asks the solution for each name."""

    def __init__(self, link: ExaminerLink) -> None:
        super().__init__("solution")
        vars(self)["__mixmerge_link"] = link

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return vars(self)["__mixmerge_link"].ask(name, "get", {"name": name})

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("__"):
            super().__setattr__(name, value)
        else:
            vars(self)["__mixmerge_link"].ask("", "set", {"name": name}, value=value)

    def __delattr__(self, name: str) -> None:
        vars(self)["__mixmerge_link"].ask("", "delete", {"name": name})


class _Finder(MetaPathFinder, Loader):
    """Finds the module `solution`; importing it runs the solution's code, over there."""

    def __init__(self, link: ExaminerLink) -> None:
        self._link = link

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name == "solution" else None

    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        return _Solution(self._link)

    def exec_module(self, module: types.ModuleType) -> None:
        names = self._link.ask("", "load", {})
        vars(module)["__all__"] = [name for name in names if _is_offered(name)]


def _is_offered(name: Any) -> bool:
    """Whether `from solution import *` may define a name.

    None of Python's own, of pytest's or that the tests have by then: not their `math`.
    """
    if not isinstance(name, str) or hasattr(builtins, name):
        return False
    if name in vars(sys.modules.get(TESTS, object)):
        return False
    return not name.startswith(("_", "test", "Test", "pytest", "setup", "teardown", "collect"))


def offer_solution(link: ExaminerLink) -> None:
    """Let tests import the module `solution`."""
    sys.meta_path.insert(0, _Finder(link))
