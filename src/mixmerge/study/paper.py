"""From the configuration to what stands beside the paper: which of our lines are which of its."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from mixmerge.config.study import StudyConfig
from mixmerge.core.errors import UserError, nearest
from mixmerge.report import settings as report
from mixmerge.report.paper_tables import SCALE_METRICS, TABLES, Line, read_results, read_scale


def with_paper(config: StudyConfig, layout: report.Layout) -> report.Layout:
    """The layout with the paper's counterparts of its tables, where the config names any.

    Args:
        config: the validated configuration; its `tables.paper` is read.
        layout: the layout of the study alone.

    Raises:
        UserError: a file is missing or damaged, or a name stands for nothing, here or there.
    """
    given = config.tables.paper
    if given is None:
        return layout
    for field, path in (("results", given.results), ("data_scale", given.data_scale)):
        if path is not None and not path.exists():
            raise UserError(
                f"tables.paper.{field}: {path} does not exist; restore it from git, or leave "
                "`tables.paper` out"
            )
    lines = read_results(given.results)
    shares = [] if given.data_scale is None else read_scale(given.data_scale)
    columns = [column.key for column in layout.columns_of("test")]
    for key in given.columns:
        _check("columns", key, columns)
    for task in [given.task] if given.task else []:
        _check("task", task, config.tasks)
    theirs = dict.fromkeys([*(line.model for line in lines), *(share.model for share in shares)])
    paper = report.PaperMatch(
        results=given.results,
        data_scale=given.data_scale,
        columns=dict(given.columns),
        models=_names("models", given.models, config.models, theirs),
        strategies=_names(
            "strategies", given.strategies, config.strategies, {line.strategy for line in lines}
        ),
        task=given.task or next(iter(config.tasks)),
        counterparts=[],
    )
    found = list(_counterparts(layout, paper, lines, {share.model for share in shares}))
    return layout.model_copy(update={"paper": paper.model_copy(update={"counterparts": found})})


def _counterparts(
    layout: report.Layout, paper: report.PaperMatch, lines: Sequence[Line], scale: Collection[str]
) -> Iterator[report.Counterpart]:
    places = {(line.model, line.table) for line in lines}
    for table in TABLES["strategies"]:
        if any((paper.models.get(model), table) in places for model in layout.strategy_models):
            yield report.Counterpart(kind="strategies", model=None, table=table)
    if set(SCALE_METRICS) & set(paper.columns.values()) and any(
        paper.models.get(model, "") in scale for model in layout.scale_models
    ):
        yield report.Counterpart(kind="data-scale", model=None, table="4")
    for kind, models in (
        ("ablation", layout.ablation_models),
        ("compact", layout.compact_models),
    ):
        for model in models:
            for table in (*TABLES["ablation"], *TABLES["compact"]):
                if (paper.models.get(model), table) in places:
                    yield report.Counterpart(kind=kind, model=model, table=table)


def _names(
    field: str, given: Mapping[str, str], ours: Iterable[str], theirs: Iterable[str]
) -> dict[str, str]:
    """Our keys -> the paper's, for what is on both sides."""
    known, there = list(ours), set(theirs)
    for key, name in given.items():
        _check(field, key, known)
        if name not in there:
            raise UserError(
                f"tables.paper.{field}.{key}: the paper's file has no {name!r}"
                f"{nearest(name, there)}"
            )
    pairs = ((key, given.get(key, key)) for key in known)
    return {key: name for key, name in pairs if name in there}


def _check(field: str, name: str, known: Iterable[str]) -> None:
    names = set(known)
    if name not in names:
        raise UserError(f"tables.paper.{field}: unknown {name!r}{nearest(name, names)}")
