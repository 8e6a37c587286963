"""The configuration: all that is wrong with it at once, not only what pydantic meets first."""

import copy
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mixmerge.config.load import parse_config
from mixmerge.config.models import GgufModel, LocalModel
from mixmerge.config.sources import LocalSource, PackageSource
from mixmerge.config.study import StudyConfig
from mixmerge.errors import UserError
from mixmerge.merge.recipe import RecipeSettings
from mixmerge.preflight.context import Context
from mixmerge.preflight.finding import Area
from mixmerge.section import explained
from mixmerge.study.plan import Study

#: Wrong fields are left out so often at most before the rest is looked at.
_ROUNDS = 8

_UNKNOWN = re.compile(r"unknown key '([^']+)'")


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
    """Leave out of the data what is wrong in it.

    Returns:
        The names of what was left out; and whether what was wrong spans sections.
    """
    paths, spanning = [], False
    try:
        StudyConfig.model_validate(data)
    except ValidationError as error:
        for problem in error.errors():
            if problem["loc"]:
                paths.append(_wrong(data, problem["loc"], problem["msg"]))
            else:
                spanning = True
                lines = problem["msg"].removeprefix("Value error, ").splitlines()
                paths += [_spelled(data, line.partition(": ")[0]) for line in lines]
    return [str(path[-1]) for path in paths if path and _delete(data, path)], spanning


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


def check(context: Context, told: list[str]) -> Area:
    """The configuration, the files it names, and the recipes it asks for.

    Args:
        context: the study.
        told: what `readable` found.
    """
    area = Area("config")
    for line in told:
        area.error(line)
    if context.study is None:
        area.unchecked.append("the rest of the study: its config must be mended first")
        return area
    for field, path in _files(context.study):
        if not path.exists():
            area.error(
                f"{context.where}: {field}: {path} does not exist (seen from {Path.cwd()}); mend "
                "the path, or put the file there"
            )
    recipes = _recipes(context.study, context.where, area)
    config = context.config
    area.checked.append(
        f"{len(config.models)} models, {len(config.tasks)} tasks, {len(config.suites)} suites, "
        f"{recipes} recipes"
    )
    return area


def _files(study: Study) -> Iterator[tuple[str, Path]]:
    """Field -> path of what the configuration names on this machine."""
    config = study.config
    for key, source in config.sources.items():
        if isinstance(source, LocalSource):
            yield f"sources.{key}.path", source.path
        if isinstance(source, PackageSource) and source.lock is not None:
            yield f"sources.{key}.lock", source.lock
    for key, suite in config.suites.items():
        problems = getattr(suite, "problems", None)
        if isinstance(problems, Path):
            yield f"suites.{key}.problems", problems
    for key, model in config.models.items():
        if isinstance(model, LocalModel | GgufModel) and model.path is not None:
            yield f"models.{key}.path", model.path
        if model.chat_template is not None:
            yield f"models.{key}.chat_template", model.chat_template
    if config.tables.paper is not None:
        for name in ("results", "data_scale"):
            path = getattr(config.tables.paper, name)
            if path is not None:
                yield f"tables.paper.{name}", path


def _recipes(study: Study, where: str, area: Area) -> int:
    """Every recipe built once; returns their number."""
    pairs = study.checkpoints("merge")
    for model, variant in pairs:
        try:
            RecipeSettings.model_validate(study.recipe_settings(model, variant))
        except ValidationError as error:
            strategy = study.variants[model][variant].strategy
            area.refused(explained(error, f"{where}: strategies.{strategy}"))
    return len(pairs)
