"""A suite's items and a checkpoint's completions of them, as their files hold them."""

from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, ConfigDict, ValidationError
from pydantic.dataclasses import dataclass

from mixmerge.artifacts.manifest import read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_jsonl
from mixmerge.core.section import explained

_SHOWN = 5
_STRICT = ConfigDict(strict=True)
_Row = TypeVar("_Row")


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


@dataclass(frozen=True, config=_STRICT)
class Completion:
    """What a model wrote for one item, and how it ended."""

    id: str
    completion: Annotated[str, BeforeValidator(_encodable)]
    stop_reason: str
    prompt_tokens: int
    completion_tokens: int


def read_items(directory: Path) -> list[Item]:
    """Read ``items.jsonl`` of a suite's directory, in order; `UserError` where it is unfit."""
    read_manifest(directory, "suite")
    path, advice = directory / "items.jsonl", "delete the suite's manifest and make it again"
    items = read_rows(Item, path, advice)
    _check_ids(items, "items", {item.id for item in items}, path, advice)
    if not items:
        raise UserError(f"{path}: holds no items; the suite's source or its limit leaves nothing")
    return items


def read_completions(path: Path, ids: Iterable[str]) -> list[Completion]:
    """Read a suite's completions, which must be of exactly these ids, in the order of the ids."""
    advice = "delete the completions' manifest and generate them again"
    rows, wanted = read_rows(Completion, path, advice), dict.fromkeys(ids)
    _check_ids(rows, "completions", wanted, path, advice)
    completions = {row.id: row for row in rows}
    return [completions[id_] for id_ in wanted]


def suite_paths(
    pairs: list[tuple[str, Path]], suites: Collection[str], option: str
) -> dict[str, Path]:
    """The paths of a repeated ``NAME=PATH`` argument, by suite; each must be named once."""
    names = [name for name, _ in pairs]
    if sorted(names) != sorted(suites):
        raise UserError(
            f"{option}: names {', '.join(names) or 'no suite'}, but --settings has "
            f"{', '.join(suites) or 'none'}; give NAME=PATH once for each suite of the settings"
        )
    return dict(pairs)


def listed(names: Collection[str]) -> str:
    """The first few names, and how many more there are."""
    text = ", ".join(sorted(names)[:_SHOWN])
    return text if len(names) <= _SHOWN else f"{text} and {len(names) - _SHOWN} more"


def read_rows(kind: type[_Row], path: Path, advice: str) -> list[_Row]:
    """Read JSON lines as rows of a kind; raises `UserError`, which ends with the advice."""
    rows = []
    for number, row in enumerate(read_jsonl(path), start=1):
        try:
            rows.append(kind(**row))
        except ValidationError as error:
            raise UserError(f"{explained(error, f'{path}: row {number}')}; {advice}") from None
    return rows


def _check_ids(
    rows: Iterable[Item | Completion], kind: str, wanted: Collection[str], path: Path, advice: str
) -> None:
    counts = Counter(row.id for row in rows)
    for problem, ids in (
        ("of ids that the suite does not have", counts.keys() - wanted),
        ("of ids that come twice", [id_ for id_, count in counts.items() if count > 1]),
        ("missing", [id_ for id_ in wanted if id_ not in counts]),
    ):
        if ids:
            raise UserError(f"{path}: {len(ids)} {kind} {problem}: {listed(ids)}; {advice}")
