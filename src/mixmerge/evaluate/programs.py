"""From what a model wrote to the module that unit tests import."""

import ast
import re
import warnings

from mixmerge.evaluate.extraction import GivenUp, longest_code

_FENCED = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)


def module_of(completion: str) -> str | None:
    """Extract the module `solution` from a completion.

    The whole text if it parses, else the longest fenced block that does, else the longest run of
    lines that does. All definitions stay: tests may use several, and
    functions that return nothing, which EvalPlus's sanitizer drops. Example calls at the top level
    and the ``__main__`` block go.

    Args:
        completion: the model's answer.

    Returns:
        The program; empty where nothing in the completion defines anything, None where the search
        for it was given up.
    """
    blocks = sorted(_FENCED.findall(completion), key=len, reverse=True)
    for text in [completion, *blocks]:
        if (module := _parse(text)) is not None:
            return _definitions(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            text = longest_code(completion)
        except GivenUp:
            return None
        except (RecursionError, ValueError):
            return ""
    module = _parse(text)
    return "" if module is None else _definitions(module)


def _parse(text: str) -> ast.Module | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd escapes in the model's strings
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def _definitions(module: ast.Module) -> str:
    kept = [node for node in module.body if not _is_example(node)]
    if not any(not isinstance(node, ast.Import | ast.ImportFrom) for node in kept):
        return ""
    module.body = kept
    try:
        return ast.unparse(module)
    except RecursionError:
        return ""


def _is_example(node: ast.stmt) -> bool:
    if isinstance(node, ast.Expr):
        return True
    return isinstance(node, ast.If) and "__name__" in ast.dump(node.test)
