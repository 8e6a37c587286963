"""Checks that span sections: every name refers to something, every number fits the others."""

from collections.abc import Iterator

from mixmerge.config.models import EmbeddedBase, parameters_of
from mixmerge.config.study import StudyConfig
from mixmerge.core.errors import UserError, nearest
from mixmerge.data.settings import MIX, EmbeddedSource, PackageSource
from mixmerge.data.templates import Template
from mixmerge.evaluate.settings import CodeSuite
from mixmerge.merge.settings import Ratio, Strategy


def problems(config: StudyConfig) -> Iterator[str]:
    """Yield one line for each reference or number that does not fit the other sections."""
    tasks = set(config.tasks)
    if MIX in tasks or "base" in tasks:
        yield "tasks: 'mix' and 'base' are names of variants; choose another name for the task"
    for key, task in config.tasks.items():
        for source in task.sources:
            if source not in config.sources:
                yield (
                    f"tasks.{key}.sources: unknown source {source!r}"
                    f"{nearest(source, set(config.sources))}"
                )
        for name in ("prompt", "answer"):
            yield from _template_problems(f"tasks.{key}.{name}", getattr(task, name))
    for key in config.mixture.weights or {}:
        if key not in tasks:
            yield f"mixture.weights: unknown task {key!r}{nearest(key, tasks)}"
    if config.data.decontamination.enabled and all(
        isinstance(suite, CodeSuite) and suite.problems == "held-out"
        for suite in config.suites.values()
    ):
        yield (
            "data.decontamination: every suite is held out of the training sources, so there is "
            "nothing to compare the rows with; set `enabled: false`"
        )
    yield from _package_problems(config)
    yield from _suite_problems(config)
    for key, strategy in config.strategies.items():
        yield from _strategy_problems(config, key, strategy)
    for key in config.models:
        yield from _model_problems(config, key)
    for name in ("strategies", "data_scale", "ablation", "compact"):
        for model in getattr(config.tables, name) or []:
            if model not in config.models:
                hint = nearest(model, set(config.models))
                yield f"tables.{name}: unknown model {model!r}{hint}"
    sizes = {model.size for model in config.models.values()}
    for size in config.hardware.sft_hours or {}:
        if size not in sizes:
            yield f"hardware.sft_hours: no model is of size {size!r}{nearest(size, sizes)}"
    for model in config.figures.models or []:
        if model not in config.models:
            yield f"figures.models: unknown model {model!r}{nearest(model, set(config.models))}"
    if config.embedded is None:
        users = [f"models.{k}" for k, m in config.models.items() if isinstance(m, EmbeddedBase)]
        users += [
            f"sources.{k}" for k, s in config.sources.items() if isinstance(s, EmbeddedSource)
        ]
        if users:
            yield f"embedded: missing, but {users[0]} is of kind 'embedded'; add `embedded: {{}}`"


def _template_problems(where: str, template: str) -> Iterator[str]:
    try:
        Template(template, where)
    except UserError as error:
        yield str(error)


def _package_problems(config: StudyConfig) -> Iterator[str]:
    """Sources of packages that disagree on the parts could share a package, or a function."""
    found = [(k, s) for k, s in config.sources.items() if isinstance(s, PackageSource)]
    for key, source in found[1:]:
        for name in ("lock", "only", "validation", "test", "quality"):
            if getattr(source, name) != getattr(found[0][1], name):
                yield (
                    f"sources.{key}.{name}: differs from that of {found[0][0]!r}; all sources of "
                    "kind 'packages' must have the same, or one package could be in two parts"
                )


def _suite_problems(config: StudyConfig) -> Iterator[str]:
    for key, suite in config.suites.items():
        if suite.task not in config.tasks:
            hint = nearest(suite.task, set(config.tasks))
            yield f"suites.{key}.task: unknown task {suite.task!r}{hint}"
        if suite.source is not None and suite.source not in config.sources:
            hint = nearest(suite.source, set(config.sources))
            yield f"suites.{key}.source: unknown source {suite.source!r}{hint}"
        elif isinstance(suite, CodeSuite) and suite.source is not None:
            trained = config.tasks[suite.task].sources if suite.task in config.tasks else []
            if trained and suite.source not in trained:
                yield (
                    f"suites.{key}.source: {suite.source!r} is no training source of task "
                    f"{suite.task!r} ({', '.join(trained)}), so none of its rows are held out"
                )
        embedded = isinstance(suite, CodeSuite) and str(suite.problems).startswith("embedded-")
        if embedded and config.embedded is None:
            yield f"suites.{key}: the embedded problems need a section `embedded: {{}}`"
        if suite.prompt is not None:
            yield from _template_problems(f"suites.{key}.prompt", suite.prompt)
    for task in config.tasks:
        if not any(s.task == task and s.role == "test" for s in config.suites.values()):
            yield f"suites: none of role 'test' judges task {task!r}; add one"
        chooses = config.tables.select == "validation" and config.strategies
        roles = {(suite.task, suite.role) for suite in config.suites.values()}
        if chooses and (task, "validation") not in roles:
            yield (
                f"suites: tables.select is 'validation', but no suite of role 'validation' "
                f"judges task {task!r}; add one, or set tables.select to 'test'"
            )


def _strategy_problems(config: StudyConfig, key: str, strategy: Strategy) -> Iterator[str]:
    tasks = list(config.tasks)
    for task in [*(strategy.tasks or []), *([strategy.pivot] if strategy.pivot else [])]:
        if task not in tasks:
            yield f"strategies.{key}: unknown task {task!r}{nearest(task, set(tasks))}"
            return
    merged = strategy.tasks or tasks
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
    for weight in weights:
        if not 0 <= weight <= 1:
            yield f"{where}: {ratio} is outside 0 <= w <= 1"
            return
    if sum(weights) == 0:
        yield f"{where}: the weights {ratio} sum to 0; the merge would be undefined"


def _model_problems(config: StudyConfig, key: str) -> Iterator[str]:
    entry = config.models[key]
    if isinstance(entry, EmbeddedBase) and entry.chat_template is not None:
        yield f"models.{key}.chat_template: an embedded model brings its own; leave it out"
    sets = {*config.tasks, MIX}
    for training_set in entry.sft_for:
        if training_set not in sets:
            hint = nearest(training_set, sets)
            yield f"models.{key}.sft_for: unknown training set {training_set!r}{hint}"
    for name, ratios in (entry.strategies or {}).items():
        if name not in config.strategies:
            hint = nearest(name, set(config.strategies))
            yield f"models.{key}.strategies: unknown strategy {name!r}{hint}"
            continue
        merged = config.strategies[name].tasks or list(config.tasks)
        for ratio in ratios:
            yield from _ratio_problems(f"models.{key}.strategies.{name}", ratio, merged)
    if config.merging.base_percent not in config.scales(key):
        yield (
            f"merging.base_percent: {config.merging.base_percent} is not among the percentages "
            f"{config.scales(key)} at which {key!r} trains its specialists"
        )
    for training_set in sorted(sets):
        if config.sft_plan(key, training_set).processes == "auto" and not parameters_of(entry):
            yield (
                f"models.{key}.parameters: missing, and sft.processes is 'auto'; say how many "
                "weights the model has, such as 1_500_000_000, or name a number of processes"
            )
        sft = config.sft_settings(key, training_set)
        for problem in sft.problems():
            yield f"models.{key}, training set {training_set!r}: {problem}"
