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


def problems(config: StudyConfig) -> Iterator[str]:
    """Yield one line for each reference or number that does not fit the other sections."""
    for field, names, what, known in _references(config):
        for name in names or ():
            if name not in known:
                yield f"{field}: {what} {name!r}{nearest(name, known)}"
    if MIX in config.tasks or "base" in config.tasks:
        yield "tasks: 'mix' and 'base' are names of variants; choose another name for the task"
    templates = {f"suites.{key}.prompt": suite.prompt for key, suite in config.suites.items()}
    for key, task in config.tasks.items():
        templates |= {f"tasks.{key}.prompt": task.prompt, f"tasks.{key}.answer": task.answer}
    for field, text in templates.items():
        try:
            Template(text, field) if text is not None else None
        except UserError as error:
            yield str(error)
    yield from _source_problems(config)
    yield from _suite_problems(config)
    yield from _merge_problems(config)
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
        named = [*(strategy.tasks or []), *filter(None, [strategy.pivot])]
        yield f"strategies.{key}", named, "unknown task", tasks
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
    packages = {k: s for k, s in config.sources.items() if isinstance(s, PackageSource)}
    first = next(iter(packages), "")
    for key, source in packages.items():
        for name in ("lock", "only", "validation", "test", "quality"):
            if getattr(source, name) != getattr(packages[first], name):
                what = f"differs from that of {first!r}, so a package could be in two parts"
                yield f"sources.{key}.{name}: {what}; write the same in both"
    users = [f"models.{k}" for k, m in config.models.items() if isinstance(m, EmbeddedBase)]
    users += [f"sources.{k}" for k, s in config.sources.items() if isinstance(s, EmbeddedSource)]
    names = {f"suites.{k}": getattr(s, "problems", "") for k, s in config.suites.items()}
    users += [user for user, name in names.items() if str(name).startswith("embedded-")]
    if config.embedded is None and users:
        yield f"embedded: missing, but {users[0]} needs it; add `embedded: {{}}`"


def _suite_problems(config: StudyConfig) -> Iterator[str]:
    code = {key: suite for key, suite in config.suites.items() if isinstance(suite, CodeSuite)}
    for key, suite in code.items():
        task = config.tasks.get(suite.task)
        if task is not None and suite.source in {*config.sources} - {*task.sources}:
            yield (
                f"suites.{key}.source: {suite.source!r} is no training source of task "
                f"{suite.task!r} ({', '.join(task.sources)}), so none of its rows are held out"
            )
    held_out = [key for key, suite in code.items() if suite.problems == "held-out"]
    if config.data.decontamination.enabled and len(held_out) == len(config.suites):
        what = "every suite is held out of the training sources, so none is compared with the rows"
        yield f"data.decontamination: {what}; set `enabled: false`"
    roles = {(suite.task, suite.role) for suite in config.suites.values()}
    needed = {"test": ""}
    if config.tables.select == "validation" and config.strategies:
        needed["validation"] = ", or set tables.select to 'test'"
    for key in config.tasks:
        for role, way in needed.items():
            if (key, role) not in roles:
                yield f"suites: no suite of role {role!r} judges task {key!r}; add one{way}"


def _merge_problems(config: StudyConfig) -> Iterator[str]:
    """Strategies whose tasks do not fit their method, and ratios that do not fit the tasks."""
    sweeps = [(f"strategies.{k}.ratios", k, s.ratios or []) for k, s in config.strategies.items()]
    for model, entry in config.models.items():
        own = (entry.strategies or {}).items()
        sweeps += [(f"models.{model}.strategies.{k}", k, ratios) for k, ratios in own]
    merged: dict[str, list[str]] = {}
    for key, strategy in config.strategies.items():
        tasks = strategy.tasks or list(config.tasks)
        if {*tasks, strategy.pivot or tasks[0]} <= config.tasks.keys():
            try:
                strategy.check_tasks(tasks)
                merged[key] = tasks
            except ValueError as error:
                yield f"strategies.{key}: {error}"
        if key in ("base", MIX) or key.startswith("sft"):
            yield f"strategies.{key}: the name is taken by a variant; choose another"
    for field, key, ratios in sweeps:
        for ratio in ratios if key in merged else ():
            tasks = merged[key]
            if isinstance(ratio, dict):
                weights = ratio
            elif len(tasks) == 2:
                weights = dict(zip(tasks, (ratio, 1 - ratio), strict=True))
            else:
                yield f"{field}: {ratio} means w / 1-w of two tasks; write a weight each of {tasks}"
                continue
            for task in weights:
                if task not in tasks:
                    yield f"{field}: unknown task {task!r}{nearest(task, set(tasks))}"
            for task in tasks:
                if task not in weights:
                    yield f"{field}: no weight for task {task!r} in {ratio}"
            if not all(0 <= weight <= 1 for weight in weights.values()):
                yield f"{field}: {ratio} is outside 0 <= w <= 1"
            elif sum(weights.values()) == 0:
                yield f"{field}: the weights {ratio} sum to 0; the merge would be undefined"


def _model_problems(config: StudyConfig, key: str) -> Iterator[str]:
    entry = config.models[key]
    if isinstance(entry, EmbeddedBase) and entry.chat_template is not None:
        yield f"models.{key}.chat_template: an embedded model brings its own; leave it out"
    base, scales = config.merging.base_percent, config.scales(key)
    if base not in scales:
        yield f"merging.base_percent: {base} is not among the percentages {scales} of models.{key}"
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
        mode = stat.S_IFMT(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return f"does not exist (seen from {Path.cwd()}); mend the path, or put the file there"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        return f"cannot be looked at ({reason}); mend the path, or who may read it"
    kind = {stat.S_IFDIR: "directory", stat.S_IFREG: "file"}.get(mode, "device or a pipe")
    wanted = "directory" if folder else "file"
    if kind != wanted:
        return f"is a {kind}, but must be a {wanted}; mend the path"
    if not os.access(path, os.R_OK | (os.X_OK if folder else 0)):
        return "may not be read by you; run `chmod u+r` on it, or ask its owner"
    return None
