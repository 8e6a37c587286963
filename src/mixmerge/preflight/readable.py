"""A configuration read as far as it can be: what is wrong is told, mended as told, or left out."""

import copy
import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from mixmerge.config.load import parse_config
from mixmerge.config.study import StudyConfig
from mixmerge.core.errors import UserError

#: Wrong fields are left out so often at most before the rest is looked at.
_ROUNDS = 8

_UNKNOWN = re.compile(r"unknown key '([^']+)'")

#: A name that is none, and the one that comes nearest.
_MEANT = re.compile(r"'([^']+)'[^']*; did you mean '([^']+)'\?")

#: A way out that a problem spells.
_ADVICE = re.compile(r"set ([\w.]+) to '([^']+)'")


def readable(raw: Mapping[str, Any], where: str) -> tuple[StudyConfig | None, list[str]]:
    """The configuration without what is wrong in it, and one line for each thing that is.

    What spans sections is only looked at once each section is right by itself. So wrong fields are
    left out and the rest is read again; what then is wrong only because they are missing is
    not told.

    Returns:
        The configuration to check further with, None where too much is wrong; the problems.
    """
    data = copy.deepcopy(dict(raw))
    told: list[str] = []
    dropped: list[str] = []
    over = False
    for _ in range(_ROUNDS):
        try:
            return parse_config(data, where), told
        except UserError as error:
            lines = [line for line in str(error).splitlines() if line not in told]
        if not over:
            told += [
                line for line in lines if not any(_names(line, name, where) for name in dropped)
            ]
        # What spans sections is told all at once; what comes after it is only its consequence.
        removed, spanning = _without(data)
        over = over or spanning
        if not removed:
            break
        dropped += removed
    return None, told


def _names(line: str, name: str, where: str) -> bool:
    """Whether a problem speaks of something that was left out."""
    said = line.removeprefix(where)
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", said) is not None


def _without(data: dict[str, Any]) -> tuple[list[str], bool]:
    """Leave out of the data what is wrong in it, or set it as the problem advises.

    Returns:
        The names of what was left out or set; and whether what was wrong spans sections.
    """
    paths: list[list[Any]] = []
    set_: list[str] = []
    spanning = False
    try:
        StudyConfig.model_validate(data)
    except ValidationError as error:
        for problem in error.errors():
            if problem["loc"]:
                path = _wrong(data, problem["loc"], problem["msg"])
                if not (meant := _as_meant(data, path, problem["msg"])):
                    paths.append(path)
                else:
                    set_.append(meant)
            else:
                for line in problem["msg"].removeprefix("Value error, ").splitlines():
                    path = _spelled(data, line.partition(": ")[0])
                    taken = _as_meant(data, path, line)
                    # What is found only afterwards is no consequence of a slip that was mended.
                    spanning = spanning or not taken
                    # A whole section is too much to leave out where the message knows better.
                    if not taken and len(path) == 1:
                        taken = _way_out(data, line)
                    if taken:
                        set_.append(taken)
                    else:
                        paths.append(path)
    return set_ + [str(path[-1]) for path in paths if path and _delete(data, path)], spanning


def _as_meant(data: dict[str, Any], path: list[Any], message: str) -> str | None:
    """Take the name that a problem guesses was meant; the wrong one, where that was done.

    Left out, a slip in one name would take the section with it, and hide all that hangs on that.
    """
    found = _MEANT.search(message)
    if found is None:
        return None
    wrong, right = found.groups()
    parent: Any = None
    value: Any = data
    for part in path:
        if not _holds(value, part):
            return None
        parent, value = value, value[part]
    # An unknown key's path ends with it, but for one at the top.
    if path and path[-1] == wrong and isinstance(parent, dict):
        value = parent
    if isinstance(value, dict) and wrong in value and right not in value:
        value[right] = value.pop(wrong)
    elif isinstance(value, list) and wrong in value:
        value[value.index(wrong)] = right
    elif path and value == wrong:
        parent[path[-1]] = right
    else:
        return None
    return wrong


def _way_out(data: dict[str, Any], line: str) -> str | None:
    """Do what a problem advises, as "set tables.select to 'test'"; the field, where it does so."""
    found = _ADVICE.search(line)
    if found is None:
        return None
    *sections, field = found[1].split(".")
    for part in sections:
        data = data.setdefault(part, {})
    if data.get(field) == found[2]:
        return None
    data[field] = found[2]
    return found[1]


def _wrong(data: dict[str, Any], location: tuple[int | str, ...], message: str) -> list[Any]:
    """Keys that lead to what pydantic found wrong: it puts tags of unions between them."""
    section: Any = data
    path: list[Any] = []
    for part in location:
        if _holds(section, part):
            path.append(part)
            section = section[part]
    unknown = _UNKNOWN.search(message)
    if unknown and isinstance(section, dict) and unknown[1] in section:
        path.append(unknown[1])
    return path


def _spelled(section: Any, field: str) -> list[Any]:
    """Keys of a field as our own checks spell it, ``tables.ablation``; keys may hold dots."""
    if not isinstance(section, dict):
        return []
    for key in section:
        if field == key or field.startswith(f"{key}."):
            return [key, *_spelled(section[key], field[len(str(key)) + 1 :])]
    return []


def _holds(section: Any, part: Any) -> bool:
    if isinstance(section, dict):
        return part in section
    return isinstance(section, list) and isinstance(part, int) and part < len(section)


def _delete(data: Any, path: list[Any]) -> bool:
    for part in path[:-1]:
        if not _holds(data, part):
            return False
        data = data[part]
    # Of a list all goes: without one of its entries it would mean something else.
    if isinstance(data, dict) and path[-1] in data:
        del data[path[-1]]
        return True
    return False
