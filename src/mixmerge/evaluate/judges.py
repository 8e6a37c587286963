"""Judgebox's workers as a study uses them: its settings, and its errors."""

from collections.abc import Iterator
from contextlib import contextmanager

from judgebox.runtime import PackageError, SetupError
from judgebox.workers import Workers
from mixmerge.core.errors import UserError
from mixmerge.evaluate.settings import CodeScoring


@contextmanager
def judges(code: CodeScoring, module: str = "judgebox.worker") -> Iterator[Workers]:
    """Workers that judge; within, what judgebox refuses is the user's error.

    Args:
        code: how many work side by side, and what a program may use.
        module: what a worker runs.

    Raises:
        UserError: no sandbox can be had, a package is missing, a file is not as it must be.
    """
    try:
        with Workers(code.workers, code.memory_bytes, code.packages, module=module) as workers:
            yield workers
    except PackageError as error:
        raise UserError(f"code_scoring.packages: {error}") from error
    except SetupError as error:
        raise UserError(str(error)) from error
