"""SHA-256 of the files of the report: tables, figures, the verdict, statistics.

They lie in folders that several rules share, so no manifest fits them. Each job leaves a list, a
hidden file beside the folder, in the form of `sha256sum`, whose ``-c`` reads it too.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from mixmerge.core.errors import UserError
from mixmerge.core.io import atomic_open, sha256

_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def write_sums(list_: Path, files: Iterable[Path]) -> None:
    """List files as they are now; call it last.

    Args:
        list_: the file to write, such as ``results/x/.tables.sha256``.
        files: below its directory.
    """
    lines = [f"{sha256(path)}  {path.relative_to(list_.parent).as_posix()}\n" for path in files]
    with atomic_open(list_) as file:
        file.writelines(sorted(lines, key=lambda line: line[64:]))


def read_sums(list_: Path) -> dict[Path, str]:
    """File -> its SHA-256 when it was made.

    Raises:
        UserError: the list cannot be read; names the line.
    """
    found: dict[Path, str] = {}
    try:
        lines = list_.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{list_}: damaged: cannot be read ({error})") from None
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line)
        if match is None or match[2].startswith("/") or ".." in match[2].split("/"):
            raise UserError(f"{list_}: damaged: line {number} is no SHA-256 and name")
        found[list_.parent / match[2]] = match[1]
    return found
