"""A suite's items and a checkpoint's completions of them, as their files hold them."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import AfterValidator, BeforeValidator, ConfigDict, ValidationError
from pydantic.dataclasses import dataclass

from mixmerge.artifacts.manifest import read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_jsonl
from mixmerge.core.section import explained

_STRICT = ConfigDict(strict=True)


def _turn(message: dict[str, str]) -> dict[str, str]:
    if not {"role", "content"} <= message.keys():
        raise ValueError(f"{str(message)[:80]} is no turn with role and content")
    return message


def _encodable(value: Any) -> Any:
    """Replace lone surrogates, legal in JSON but not in UTF-8, in a text."""
    if not isinstance(value, str):
        return value
    return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


@dataclass(frozen=True, config=_STRICT)
class Item:
    """One prompt of a suite: its id, the chat up to the user's turn, the reference if any."""

    id: str
    messages: list[Annotated[dict[str, str], AfterValidator(_turn)]]
    reference: str | None = None


class Prompt(NamedTuple):
    """One rendered prompt: the item's id and its tokens."""

    id: str
    tokens: list[int]


@dataclass(frozen=True, config=_STRICT)
class Completion:
    """What a model wrote for one item, and how it ended."""

    id: str
    completion: Annotated[str, BeforeValidator(_encodable)]
    stop_reason: str
    prompt_tokens: int
    completion_tokens: int


_Row = TypeVar("_Row", Item, Completion)


def read_items(directory: Path) -> list[Item]:
    """Read ``items.jsonl`` of a suite's directory, in order; `UserError` where it is unfit."""
    read_manifest(directory, "suite")
    path = directory / "items.jsonl"
    items = read_rows(Item, path, "delete the suite's manifest and make it again")
    if not items:
        raise UserError(f"{path}: holds no items; the suite's source or its limit leaves nothing")
    return [*items.values()]


def read_completions(path: Path, ids: Collection[str]) -> list[Completion]:
    """Read a suite's completions, which must be of exactly these ids, in the order of the ids."""
    advice = "delete the completions' manifest and generate them again"
    rows = read_rows(Completion, path, advice)
    extra, missing = rows.keys() - set(ids), set(ids) - rows.keys()
    for problem, names in (("of ids that the suite does not have", extra), ("missing", missing)):
        if names:
            raise UserError(
                f"{path}: {len(names)} completions {problem}: {listed(names)}; {advice}"
            )
    return [rows[id_] for id_ in ids]


def suite_paths(
    pairs: list[tuple[str, Path]], suites: Collection[str], option: str
) -> dict[str, Path]:
    """The paths of a repeated ``NAME=PATH`` argument, by suite; each must be named once."""
    names = [name for name, _ in pairs]
    if sorted(names) != sorted(suites):
        asked, known = ", ".join(names) or "no suite", ", ".join(suites) or "none"
        raise UserError(
            f"{option}: names {asked}, but --settings has {known}; give NAME=PATH once for each"
        )
    return dict(pairs)


def listed(names: Collection[str]) -> str:
    """The first few names, and how many more there are."""
    text = ", ".join(sorted(names)[:5])
    return text if len(names) <= 5 else f"{text} and {len(names) - 5} more"


def read_rows(kind: type[_Row], path: Path, advice: str) -> dict[str, _Row]:
    """Read JSON lines as rows of a kind, by id; raises `UserError`, which ends with the advice."""
    rows: dict[str, _Row] = {}
    for number, fields in enumerate(read_jsonl(path), start=1):
        try:
            row = kind(**fields)
        except ValidationError as error:
            raise UserError(f"{explained(error, f'{path}: row {number}')}; {advice}") from None
        if row.id in rows:
            raise UserError(f"{path}: row {number}: id {row.id!r} comes twice; {advice}")
        rows[row.id] = row
    return rows
