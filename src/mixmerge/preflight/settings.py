"""The configuration: all that is wrong with it at once, not only what pydantic meets first."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from mixmerge.config.models import GgufModel, LocalModel
from mixmerge.core.section import explained
from mixmerge.data.settings import LocalSource, PackageSource
from mixmerge.merge.settings import RecipeSettings
from mixmerge.preflight.context import Context
from mixmerge.preflight.finding import Area
from mixmerge.preflight.paths import unusable
from mixmerge.study.plan import Study


def check(context: Context, told: list[str]) -> Area:
    """The configuration, the files it names, and the recipes it asks for.

    Args:
        context: the study.
        told: what `mixmerge.preflight.readable` found.
    """
    area = Area("config")
    for line in told:
        area.error(line)
    if context.study is None:
        area.unchecked.append("the rest of the study: its config must be mended first")
        return area
    folders = {
        f"models.{key}.path"
        for key, model in context.config.models.items()
        if isinstance(model, LocalModel)
    }
    for field, path in _files(context.study):
        if problem := unusable(path, folder=field in folders):
            area.error(f"{context.where}: {field}: {path} {problem}")
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
