"""Reading suites and completions, and holding them against each other."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixmerge.artifacts.manifest import read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_jsonl

_SHOWN = 5
_COMPLETE_AGAIN = "delete the completions' manifest and generate them again"
_MAKE_AGAIN = "delete the suite's manifest and make it again"


@dataclass(frozen=True)
class Item:
    """One prompt of a suite: its id, the chat up to the user's turn, the reference if any."""

    id: str
    messages: list[dict[str, str]]
    reference: str | None


@dataclass(frozen=True)
class Completion:
    """What a model wrote for one item, and how it ended."""

    id: str
    completion: str
    stop_reason: str
    prompt_tokens: int
    completion_tokens: int


def read_items(directory: Path) -> list[Item]:
    """Read ``items.jsonl`` of a suite's directory, in order.

    Raises:
        UserError: unfinished directory, no items, a missing field, an id that comes twice.
    """
    read_manifest(directory, "suite")
    path = directory / "items.jsonl"
    items: list[Item] = []
    seen: set[str] = set()
    for number, row in enumerate(read_jsonl(path), start=1):
        where = f"{path}: row {number}"
        _check_fields(row, {"id": str, "messages": list}, where, _MAKE_AGAIN)
        if row.get("reference") is not None:
            _check_fields(row, {"reference": str}, where, _MAKE_AGAIN)
        for message in row["messages"]:
            turn = isinstance(message, dict) and (message.get("role"), message.get("content"))
            if not turn or not all(isinstance(part, str) for part in turn):
                raise UserError(
                    f"{where}: messages: {str(message)[:80]!r} is no turn with role and content; "
                    f"{_MAKE_AGAIN}"
                )
        if row["id"] in seen:
            raise UserError(f"{where}: id {row['id']!r} comes twice; {_MAKE_AGAIN}")
        seen.add(row["id"])
        items.append(Item(row["id"], row["messages"], row.get("reference")))
    if not items:
        raise UserError(f"{path}: holds no items; the suite's source or its limit leaves nothing")
    return items


def read_completions(path: Path, ids: list[str]) -> list[Completion]:
    """Read a suite's completions and return them in the order of ``ids``.

    Args:
        path: the JSONL file.
        ids: the suite's ids; the file must hold each of them exactly once.

    Raises:
        UserError: naming the ids that are unknown, double or missing, or a missing field.
    """
    found: dict[str, Completion] = {}
    known = set(ids)
    unknown: list[str] = []
    double: list[str] = []
    fields = {
        "id": str,
        "completion": str,
        "stop_reason": str,
        "prompt_tokens": int,
        "completion_tokens": int,
    }
    for number, row in enumerate(read_jsonl(path), start=1):
        _check_fields(row, fields, f"{path}: row {number}", _COMPLETE_AGAIN)
        completion = Completion(**{name: _encodable(row[name]) for name in fields})
        if completion.id not in known:
            unknown.append(completion.id)
        elif completion.id in found:
            double.append(completion.id)
        found[completion.id] = completion
    missing = [id_ for id_ in ids if id_ not in found]
    for what, wrong in (
        ("of ids that the suite does not have", unknown),
        ("of ids that come twice", double),
        ("missing", missing),
    ):
        if wrong:
            raise UserError(
                f"{path}: {len(wrong)} completions {what}: {listed(wrong)}; {_COMPLETE_AGAIN}"
            )
    return [found[id_] for id_ in ids]


def named_paths(pairs: Iterable[tuple[str, Path]], option: str) -> dict[str, Path]:
    """Collect ``name=path`` arguments; `UserError` for a name that comes twice."""
    paths: dict[str, Path] = {}
    for name, path in pairs:
        if name in paths:
            raise UserError(f"{option}: {name!r} is given twice: {paths[name]} and {path}")
        paths[name] = path
    return paths


def check_named(given: set[str], configured: set[str], option: str) -> None:
    """Check that a repeated argument and the settings name the same suites.

    Raises:
        UserError: naming what one has and the other lacks.
    """
    for name in sorted(configured - given):
        raise UserError(f"{option}: suite {name!r} of --settings is missing; add {name}=PATH")
    for name in sorted(given - configured):
        raise UserError(f"--settings: suites has no entry for {name!r}, which {option} names")


def listed(names: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    names = list(names)
    text = ", ".join(names[:_SHOWN])
    return text if len(names) <= _SHOWN else f"{text} and {len(names) - _SHOWN} more"


def _encodable(value: Any) -> Any:
    """The value; in a string, lone surrogates (legal in JSON, not in UTF-8) are replaced."""
    if not isinstance(value, str):
        return value
    return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _check_fields(row: dict[str, Any], fields: dict[str, type], where: str, advice: str) -> None:
    for name, kind in fields.items():
        if name not in row:
            raise UserError(f"{where}: field {name!r} is missing; {advice}")
        if not isinstance(row[name], kind):
            raise UserError(
                f"{where}: field {name!r} is {type(row[name]).__name__}, expected "
                f"{kind.__name__}; {advice}"
            )
