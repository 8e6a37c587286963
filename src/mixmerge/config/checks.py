"""Checks that span sections: every name refers to something, every number fits the others."""

import os
import stat
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from pydantic import ValidationError

from mixmerge.config.study import EmbeddedBase, LocalModel, StudyConfig, parameters_of
from mixmerge.core.errors import UserError, nearest
from mixmerge.core.section import explained
from mixmerge.data.settings import MIX, EmbeddedSource, PackageSource
from mixmerge.data.templates import Template
from mixmerge.evaluate.settings import CodeSuite
from mixmerge.merge.settings import Ratio, Strategy


def problems(config: StudyConfig) -> Iterator[str]:
    """Yield one line for each reference or number that does not fit the other sections."""
    for field, names, what, known in _references(config):
        for name in names or ():
            if name not in known:
                yield f"{field}: {what} {name!r}{nearest(name, known)}"
    if MIX in config.tasks or "base" in config.tasks:
        yield "tasks: 'mix' and 'base' are names of variants; choose another name for the task"
    templates = {
        f"tasks.{key}.{name}": getattr(task, name)
        for key, task in config.tasks.items()
        for name in ("prompt", "answer")
    }
    templates |= {f"suites.{key}.prompt": suite.prompt for key, suite in config.suites.items()}
    for where, template in templates.items():
        try:
            Template(template, where) if template is not None else None
        except UserError as error:
            yield str(error)
    yield from _source_problems(config)
    yield from _suite_problems(config)
    for key, strategy in config.strategies.items():
        yield from _strategy_problems(config, key, strategy)
    for key in config.models:
        yield from _model_problems(config, key)


def _references(
    config: StudyConfig,
) -> Iterator[tuple[str, Iterable[str] | None, str, Collection[str]]]:
    """Field, the names in it, what is said of one that is not known, and those that there are."""
    tasks, sources, models = config.tasks, config.sources, config.models
    for key, task in tasks.items():
        yield f"tasks.{key}.sources", task.sources, "unknown source", sources
    yield "mixture.weights", config.mixture.weights, "unknown task", tasks
    for key, suite in config.suites.items():
        yield f"suites.{key}.task", [suite.task], "unknown task", tasks
        yield f"suites.{key}.source", filter(None, [suite.source]), "unknown source", sources
    for key, strategy in config.strategies.items():
        pivot = [strategy.pivot] if strategy.pivot else []
        yield f"strategies.{key}", [*(strategy.tasks or []), *pivot], "unknown task", tasks
    for key, entry in models.items():
        yield f"models.{key}.sft_for", entry.sft_for, "unknown training set", {*tasks, MIX}
        yield f"models.{key}.strategies", entry.strategies, "unknown strategy", config.strategies
    for name in ("strategies", "data_scale", "ablation", "compact"):
        yield f"tables.{name}", getattr(config.tables, name), "unknown model", models
    sizes = {model.size for model in models.values()}
    yield "hardware.sft_hours", config.hardware.sft_hours, "no model is of size", sizes
    yield "figures.models", config.figures.models, "unknown model", models


def _source_problems(config: StudyConfig) -> Iterator[str]:
    """Sources of packages that could share a package, embedded ones without their corpus."""
    package_sources = [(k, s) for k, s in config.sources.items() if isinstance(s, PackageSource)]
    for key, source in package_sources[1:]:
        for name in ("lock", "only", "validation", "test", "quality"):
            if getattr(source, name) != getattr(package_sources[0][1], name):
                yield (
                    f"sources.{key}.{name}: differs from that of "
                    f"{package_sources[0][0]!r}; all sources of kind 'packages' must have the "
                    "same, or one package could be in two parts"
                )
    users = [f"models.{k}" for k, m in config.models.items() if isinstance(m, EmbeddedBase)]
    users += [f"sources.{k}" for k, s in config.sources.items() if isinstance(s, EmbeddedSource)]
    if config.embedded is None and users:
        yield f"embedded: missing, but {users[0]} is of kind 'embedded'; add `embedded: {{}}`"


def _suite_problems(config: StudyConfig) -> Iterator[str]:
    code = {key: suite for key, suite in config.suites.items() if isinstance(suite, CodeSuite)}
    for key, suite in code.items():
        task = config.tasks.get(suite.task)
        known = suite.source in config.sources and task is not None
        if task is not None and known and suite.source not in task.sources:
            yield (
                f"suites.{key}.source: {suite.source!r} is no training source of task "
                f"{suite.task!r} ({', '.join(task.sources)}), so none of its rows are held out"
            )
        if str(suite.problems).startswith("embedded-") and config.embedded is None:
            yield f"suites.{key}: the embedded problems need a section `embedded: {{}}`"
    held_out = [key for key, suite in code.items() if suite.problems == "held-out"]
    if config.data.decontamination.enabled and len(held_out) == len(config.suites):
        yield (
            "data.decontamination: every suite is held out of the training sources, so there is "
            "nothing to compare the rows with; set `enabled: false`"
        )
    roles = {(suite.task, suite.role) for suite in config.suites.values()}
    chooses = config.tables.select == "validation" and config.strategies
    for key in config.tasks:
        if (key, "test") not in roles:
            yield f"suites: none of role 'test' judges task {key!r}; add one"
        if chooses and (key, "validation") not in roles:
            yield (
                f"suites: tables.select is 'validation', but no suite of role 'validation' "
                f"judges task {key!r}; add one, or set tables.select to 'test'"
            )


def _strategy_problems(config: StudyConfig, key: str, strategy: Strategy) -> Iterator[str]:
    merged = strategy.tasks or list(config.tasks)
    if not {*merged, strategy.pivot or merged[0]} <= config.tasks.keys():
        return
    try:
        strategy.check_tasks(merged)
    except ValueError as error:
        yield f"strategies.{key}: {error}"
        return
    for ratio in strategy.ratios or []:
        yield from _ratio_problems(f"strategies.{key}.ratios", ratio, merged)
    if key in ("base", MIX) or key.startswith("sft"):
        yield f"strategies.{key}: the name is taken by a variant; choose another"


def _ratio_problems(where: str, ratio: Ratio, tasks: list[str]) -> Iterator[str]:
    if isinstance(ratio, dict):
        for task in ratio:
            if task not in tasks:
                yield f"{where}: unknown task {task!r}{nearest(task, set(tasks))}"
        for task in tasks:
            if task not in ratio:
                yield f"{where}: no weight for task {task!r} in {ratio}"
        weights = list(ratio.values())
    elif len(tasks) != 2:
        yield f"{where}: {ratio} means w / 1-w of two tasks; write a weight for each of {tasks}"
        return
    else:
        weights = [ratio, 1 - ratio]
    if not all(0 <= weight <= 1 for weight in weights):
        yield f"{where}: {ratio} is outside 0 <= w <= 1"
    elif sum(weights) == 0:
        yield f"{where}: the weights {ratio} sum to 0; the merge would be undefined"


def _model_problems(config: StudyConfig, key: str) -> Iterator[str]:
    entry = config.models[key]
    if isinstance(entry, EmbeddedBase) and entry.chat_template is not None:
        yield f"models.{key}.chat_template: an embedded model brings its own; leave it out"
    for name, ratios in (entry.strategies or {}).items():
        if name in config.strategies:
            merged = config.strategies[name].tasks or list(config.tasks)
            for ratio in ratios:
                yield from _ratio_problems(f"models.{key}.strategies.{name}", ratio, merged)
    if config.merging.base_percent not in config.scales(key):
        yield (
            f"merging.base_percent: {config.merging.base_percent} is not among the percentages "
            f"{config.scales(key)} at which {key!r} trains its specialists"
        )
    for training_set in sorted({*config.tasks, MIX}):
        try:
            plan = config.sft_plan(key, training_set)
        except ValidationError as error:  # such as null, which a section of overrides may hold
            yield str(explained(error, f"models.{key}.sft, training set {training_set!r}"))
            continue
        if plan.processes == "auto" and not parameters_of(entry):
            yield (
                f"models.{key}.parameters: missing, and sft.processes is 'auto'; say how many "
                "weights the model has, such as 1_500_000_000, or name a number of processes"
            )
        for problem in config.sft_settings(key, training_set).problems():
            yield f"models.{key}, training set {training_set!r}: {problem}"


def unusable_files(config: StudyConfig) -> list[str]:
    """One line for each file or folder the config names that no job could read."""
    named = [
        (f"{section}.{key}.{name}", value, isinstance(entry, LocalModel) and name == "path")
        for section in ("sources", "suites", "models")
        for key, entry in getattr(config, section).items()
        for name, value in entry
    ]
    if paper := config.tables.paper:
        named += [(f"tables.paper.{name}", value, False) for name, value in paper]
        named.append(("tables.paper.results: its audit", paper.audit, False))
    return [
        f"{field}: {path} {problem}"
        for field, path, folder in named
        if isinstance(path, Path) and (problem := unusable(path, folder=folder))
    ]


def unusable(path: Path, *, folder: bool = False) -> str | None:
    """What keeps a job from reading a file, or a folder, with the way out; None for nothing."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return f"does not exist (seen from {Path.cwd()}); mend the path, or put the file there"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        return f"cannot be looked at ({reason}); mend the path, or who may read it"
    if not (stat.S_ISDIR(mode) if folder else stat.S_ISREG(mode)):
        kinds = {stat.S_IFDIR: "directory", stat.S_IFREG: "file"}
        kind = kinds.get(stat.S_IFMT(mode), "device or a pipe")
        return f"is a {kind}, but must be a {'directory' if folder else 'file'}; mend the path"
    if not os.access(path, os.R_OK | (os.X_OK if folder else 0)):
        return "may not be read by you; run `chmod u+r` on it, or ask its owner"
    return None
