"""Solutions that must not pass: they show which problems' tests can judge at all."""

import ast
import warnings
from typing import Any

# Every name is there and raises what no `except Exception` and no `pytest.raises` expects, or what
# ends a loop over `map`.
_RAISES = """
class _Absent({error}):
    pass


def _absent(*arguments, **named):
    raise _Absent


{names} = _absent
"""

# Every name is there and answers with nothing to loop over.
_EMPTY = """
def _empty(*arguments, **named):
    return []


{names} = _empty
"""

# Every name is there, and whatever it answers agrees to everything that is asked of it.
_AGREES = """
class _Kind(type):
    def __getattr__(cls, name):
        return _yes


def _yes(*arguments, **named):
    return Agrees()


def _true(*arguments, **named):
    return True


class Agrees(metaclass=_Kind):
    def __init__(self, *arguments, **named):
        pass

    def __getattr__(self, name):
        return Agrees()

    __call__ = __getitem__ = __enter__ = __neg__ = __abs__ = _yes
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __mod__ = _yes
    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __bool__ = _true

    def __ne__(self, other):
        return False

    def __iter__(self):
        return iter(())

    def __exit__(self, *arguments):
        return False

    def __hash__(self):
        return 0


"""

# What makes a program of text or bytes: the tests' process would run what the solution answers.
_RUNNERS = {"eval", "exec", "compile", "__import__"}
_RUNNING_MODULES = {
    *("pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "importlib", "runpy"),
    *("code", "codeop", "ctypes", "yaml"),
}


def probes(problem: dict[str, Any]) -> list[str]:
    """Solutions of a problem that its tests must not let pass."""
    names = problem.get("names") or [problem["entry_point"]]
    classes = _classes(problem["canonical_solution"])
    agrees = [f"{name} = {'Agrees' if name in classes else '_yes'}\n" for name in names]
    every = " = ".join(names)
    errors = ("BaseException", "StopIteration")
    raises = [_RAISES.format(names=every, error=error) for error in errors]
    return [*raises, _EMPTY.format(names=every), _AGREES + "".join(agrees)]


def runs_answers(test: str) -> bool:
    """Whether a test program may run text or bytes as a program.

    Where it does, a solution could answer with a program that says for the tests that they passed.
    """
    for node in ast.walk(_parsed(test)):
        if isinstance(node, ast.Name) and node.id in _RUNNERS:
            return True
        if isinstance(node, ast.Attribute) and node.attr in _RUNNERS - {"compile"}:
            return True  # builtins.eval; re.compile is another matter
        if isinstance(node, ast.Import):
            modules = {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules = {(node.module or "").split(".")[0]}
        else:
            continue
        if modules & _RUNNING_MODULES:
            return True
    return False


def _classes(solution: str) -> set[str]:
    return {node.name for node in _parsed(solution).body if isinstance(node, ast.ClassDef)}


def _parsed(text: str) -> ast.Module:
    """The program's tree; an empty one for what is no program of its own, as a mere body is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd escapes in other people's strings
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return ast.Module([], [])
