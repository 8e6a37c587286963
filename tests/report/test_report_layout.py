"""From the configuration to the layout: columns, specialists, which model stands where."""

from pathlib import Path
from typing import Any

import pytest

from fixtures.paper_study import built, study
from fixtures.studies import shipped
from mixmerge.report.layout import Layout, figure_entries, paper_entries, table_entries


@pytest.fixture
def demo() -> dict[str, Any]:
    return shipped()


def test_json_brings_the_layout_back(root: Path) -> None:
    layout = study(root)
    assert Layout.model_validate_json(layout.model_dump_json(exclude_defaults=True)) == layout


def test_columns_follow_tasks_suites_and_metrics(demo: dict[str, Any]) -> None:
    layout = built(demo)
    assert [(c.key, c.header, c.digits) for c in layout.columns_of("test")] == [
        ("functions.base", "Functions", 3),
        ("functions.plus", "Functions+", 3),
        ("summaries.bleu4", "BLEU-4", 4),
        ("summaries.chrfpp", "chrF++", 4),
        ("summaries.rouge_l", "ROUGE-L", 4),
        ("summaries.meteor", "METEOR", 4),
    ]
    assert len(layout.columns_of("validation")) == 6


def test_several_summary_suites_are_told_apart(demo: dict[str, Any]) -> None:
    demo["suites"]["more"] = {**demo["suites"]["summaries"], "title": "More", "metrics": ["meteor"]}
    headers = [column.header for column in built(demo).columns_of("test")]
    assert headers[2] == "Summaries BLEU-4" and headers[-1] == "More METEOR"


def test_specialists_and_mixture_are_those_that_stand_beside_the_merges(
    demo: dict[str, Any],
) -> None:
    demo["merging"]["base_percent"] = 50
    demo["mixture"] = {"scale": [25, 50, 100]}
    model = built(demo).models[0]
    names = {variant.name: variant for variant in model.variants}
    assert {names[name].percent for name in model.specialists.values()} == {50}
    assert names[model.mixture].percent == 50


def test_every_run_has_its_hyperparameters(demo: dict[str, Any]) -> None:
    demo["models"]["qwen2-small"]["sft_for"] = {"codesum": {"learning_rate": 5.0e-4}}
    runs = built(demo).runs
    assert len(runs) == 2 * 3
    rates = {(run.model, run.training_set): run.settings["learning_rate"] for run in runs}
    assert rates["qwen2-small", "Code summarisation"] == 5e-4
    assert rates["qwen2-small", "Data mixture"] == demo["sft"]["learning_rate"]


def test_compact_models_leave_the_other_tables(demo: dict[str, Any]) -> None:
    demo["tables"]["compact"] = ["llama-small"]
    layout = built(demo)
    assert layout.strategy_models == layout.ablation_models == ["qwen2-small"]
    assert [(entry.number, entry.name) for entry in table_entries(layout)] == [
        ("Table 1", "table1-hyperparameters"),
        ("Table 2", "table2-data"),
        ("Table 3", "table3-strategies"),
        ("Table 4", "table4-data-scale"),
        ("Table 5", "table5-ablation-qwen2-small"),
        ("Table 6", "table6-compact-llama-small"),
    ]
    demo["tables"]["strategies"] = ["llama-small"]
    assert built(demo).strategy_models == ["llama-small"]


def test_what_is_empty_leaves_tables_and_figures_out(demo: dict[str, Any]) -> None:
    demo["models"]["llama-small"]["strategies"] = {}
    assert built(demo).ablation_models == ["qwen2-small"]
    demo["tables"] |= {"strategies": [], "data_scale": [], "ablation": []}
    demo["figures"] = {"models": []}
    layout = built(demo)
    assert [entry.kind for entry in table_entries(layout)] == ["hyperparameters", "data"]
    assert figure_entries(layout) == []


def test_every_entry_has_a_caption(root: Path, demo: dict[str, Any]) -> None:
    demo["tables"]["compact"] = ["llama-small"]
    demo["tables"]["paper"] = {
        "results": str(root / "resources/paper/paper_results.csv"),
        "data_scale": str(root / "resources/paper/paper_data_scale.csv"),
        "models": {"qwen2-small": "qwen2.5-coder-7b", "llama-small": "qwen2.5-coder-14b"},
        "columns": {"summaries.bleu4": "bleu4"},
    }
    layout = built(demo)
    entries = [*table_entries(layout), *paper_entries(layout), *figure_entries(layout)]
    names = {f"{entry.kind}.rst" for entry in entries}
    assert names | {"verdict.rst", "timing.rst"} == {
        path.name for path in (root / "resources/captions").iterdir()
    }
    for path in (root / "resources/captions").iterdir():
        assert path.read_text().strip()
        assert "{" not in path.read_text()  # Snakemake renders captions with Jinja
