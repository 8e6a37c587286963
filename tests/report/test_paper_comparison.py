"""Which tables stand beside the paper's, by configuration alone, and what stands in them."""

import csv
from pathlib import Path
from typing import Any

import pytest

from fixtures.paper_study import built, content
from fixtures.report_study import decide, read, results
from fixtures.studies import shipped
from mixmerge.core.errors import UserError
from mixmerge.report.layout import Layout, paper_entries, table_files
from mixmerge.report.render import Table
from mixmerge.report.study_tables import write_tables
from paper_audit.comparison import paper_table


@pytest.fixture
def demo(root: Path) -> dict[str, Any]:
    """The embedded study, set beside two of the paper's models by other names."""
    found = shipped()
    found["tables"]["paper"] = {
        "results": str(root / "resources/paper/paper_results.csv"),
        "data_scale": str(root / "resources/paper/paper_data_scale.csv"),
        "models": {"qwen2-small": "qwen2.5-coder-7b", "llama-small": "deepseek-coder-7b"},
        "columns": {"functions.plus": "humaneval_plus", "summaries.bleu4": "bleu4"},
    }
    return found


def table(layout: Layout, kind: str, special: dict[tuple[str, str], float] | None = None) -> Table:
    """A table beside the paper's; every score is 0.5 but those given by (variant, column)."""
    entry = next(entry for entry in paper_entries(layout) if entry.kind == f"paper-{kind}")
    return paper_table(results(layout, special), entry)


def test_names_are_mapped_and_the_papers_tables_found(demo: dict[str, Any]) -> None:
    layout = built(demo)
    assert [(entry.name, entry.labels["shows"]) for entry in paper_entries(layout)] == [
        ("paper3-strategies", "Beside the paper's Table 3"),
        ("paper4-data-scale", "Beside the paper's Table 4"),
        ("paper5-ablation-qwen2-small", "Beside the paper's Table 6"),
        ("paper6-ablation-llama-small", "Beside the paper's Table 8"),
    ]
    assert table(layout, "ablation").texts[0] == "Table 5. Beside the paper's Table 6: Qwen2-style."


def test_models_without_counterpart_are_left_out(demo: dict[str, Any]) -> None:
    demo["tables"]["paper"]["models"] = {"llama-small": "deepseek-coder-1.3b"}
    layout = built(demo)
    assert [entry.name for entry in paper_entries(layout)] == [
        "paper3-strategies",
        "paper4-data-scale",
        "paper6-ablation-llama-small",
    ]
    assert {row.ids["model"] for row in table(layout, "strategies").rows} == {"llama-small"}
    demo["tables"]["paper"]["models"] = {}
    assert paper_entries(built(demo)) == []


def test_tables_that_the_study_lacks_have_none_beside(demo: dict[str, Any]) -> None:
    demo["tables"] |= {"strategies": [], "data_scale": []}
    del demo["tables"]["paper"]["data_scale"]
    assert {entry.kind for entry in paper_entries(built(demo))} == {"paper-ablation"}
    del demo["tables"]["paper"]
    assert built(demo).paper is None and paper_entries(built(demo)) == []


def test_average_needs_all_of_the_papers_columns(root: Path, demo: dict[str, Any]) -> None:
    few = table(built(demo), "strategies")
    assert [field.key for field in few.fields] == ["label", "functions.plus", "summaries.bleu4"]
    assert "AVG" not in few.texts[1]
    all_of_them = table(built(content(root)), "strategies")
    assert all_of_them.fields[-1].key == "avg"
    assert len(all_of_them.fields) == 1 + 8 + 1


def test_a_ratio_that_differs_from_the_papers_stands_beside_both(demo: dict[str, Any]) -> None:
    """Chosen on validation: DELLA at 0.7, where the paper shows 0.5."""
    layout = built(demo)
    assert layout.select == "validation"
    special = {
        ("della-w0.7", "functions-validation.plus"): 0.9,
        ("della-w0.5", "functions.plus"): 0.841,
        ("della-w0.7", "functions.plus"): 0.6,
    }
    rows = [
        row
        for row in table(layout, "strategies", special).rows
        if (row.ids["model"], row.ids["strategy"]) == ("qwen2-small", "della")
    ]
    assert [(row.cells[0].text, row.cells[1].printed) for row in rows] == [
        ("DELLA (0.7 / 0.3)", "0.600 (20.00)"),
        ("DELLA (0.5 / 0.5), at the paper's ratio", "0.841 (68.20)"),
        ("· paper (0.5 / 0.5)", "0.841 (−2.89)"),
        ("· difference", "−24.1"),
        ("· difference at the paper's ratio", "0.0"),
    ]
    assert [row.ids["variant"] for row in rows] == [
        *("della-w0.7", "della-w0.5", "della-w0.7", "della-w0.7", "della-w0.5")
    ]
    assert [row.ids["weight.codegen"] for row in rows] == ["0.7", "0.5", "0.5", "0.7", "0.5"]


def test_ratios_that_only_one_study_has_are_left_out(demo: dict[str, Any]) -> None:
    demo["strategies"]["linear"]["ratios"] = [0.25, 0.3, {"codegen": 0.3, "codesum": 0.3}]
    demo["strategies"]["linear-too"] = {**demo["strategies"]["linear"], "ratios": [0.3]}
    rows = table(built(demo), "ablation").rows
    assert [row.cells[0].text for row in rows if row.ids["strategy"].startswith("linear")] == [
        "Linear (0.3 / 0.7)",
        "· paper (0.3 / 0.7)",
        "· difference",
    ]


def test_the_other_tasks_weight_can_be_the_one_given(demo: dict[str, Any]) -> None:
    demo["tables"]["paper"]["task"] = "codesum"
    rows = [row for row in table(built(demo), "ablation").rows if row.ids["strategy"] == "della"]
    weights = {
        of: [row.ids["weight.codesum"] for row in rows if row.ids["of"] == of]
        for of in ("ours", "paper")
    }
    assert weights["ours"] == weights["paper"]


def test_shares_of_the_data_that_only_one_study_has_are_left_out(demo: dict[str, Any]) -> None:
    demo["data_scale"] = [20, 50, 100]
    rows = table(built(demo), "data-scale", {("sft-codesum-p50", "summaries.bleu4"): 0.03}).rows
    mine = [row for row in rows if row.ids["model"] == "qwen2-small"]
    assert [[cell.text for cell in row.cells] for row in mine] == [
        ["Specialists, 50 %", "0.500", "0.0300"],
        ["· paper", "0.854", "0.0428"],
        ["· difference", "−35.4", "−0.0128"],
        ["Specialists, 100 %", "0.500", "0.5000"],
        ["· paper", "0.866", "0.0635"],
        ["· difference", "−36.6", "+0.4365"],
    ]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("columns", {"functions.bas": "humaneval"}, "columns: unknown 'functions.bas'; did you"),
        ("models", {"qwen3": "qwen2.5-coder-7b"}, "tables.paper.models: unknown 'qwen3'"),
        (
            "models",
            {"qwen2-small": "qwen2.5-coder-8b"},
            "models.qwen2-small: the paper's file has no 'qwen2.5-coder-8b'; did you mean 'qwen",
        ),
        ("strategies", {"tie": "ties"}, "strategies: unknown 'tie'; did you mean 'ties'?"),
        ("strategies", {"ties": "tiez"}, "strategies.ties: the paper's file has no 'tiez'; did"),
        ("task", "codegem", "tables.paper.task: unknown 'codegem'; did you mean 'codegen'?"),
        ("results", "no/such.csv", "no/such.csv: file not found"),
    ],
)
def test_a_mapping_that_leads_nowhere_is_refused(
    demo: dict[str, Any], field: str, value: Any, message: str
) -> None:
    demo["tables"]["paper"][field] = value
    with pytest.raises(UserError) as caught:
        built(demo)
    assert message in str(caught.value)


def test_a_column_that_the_paper_lacks_is_refused_with_the_config(demo: dict[str, Any]) -> None:
    demo["tables"]["paper"]["columns"]["functions.base"] = "humanevla"
    with pytest.raises(UserError, match=r"tables\.paper\.columns\.functions\.base.*'humanevla'"):
        built(demo)


def test_the_shipped_figures_are_the_given_ones(root: Path, real_data: Path) -> None:
    for name in ("paper_results.csv", "paper_data_scale.csv"):
        ours = (root / "resources/paper" / name).read_bytes()
        assert ours == (real_data / "paper" / name).read_bytes()


def test_files_are_written_in_all_renderings(tmp_path: Path, demo: dict[str, Any]) -> None:
    layout = built(demo)
    decide(layout, tmp_path)
    found = read(layout, tmp_path)
    beside = [paper_table(found, entry) for entry in paper_entries(layout)]
    write_tables(found, tmp_path, tmp_path / "tables", beside)
    assert {path.name for path in (tmp_path / "tables").iterdir()} == set(table_files(layout))
    index = (tmp_path / "tables/index.md").read_text()
    assert "**Table 3. Beside the paper's Table 3: " in index
    with (tmp_path / "tables/paper3-strategies.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["of"] for line in lines} == {"ours", "paper", "difference"}
    base = [line for line in lines if line["kind"] == "base" and line["model"] == "qwen2-small"]
    values = {line["of"]: float(line["functions.plus"]) for line in base}
    assert values == {"ours": 0.5, "paper": 0.835, "difference": pytest.approx(-33.5)}
    changes = {line["of"]: float(line["functions.plus_pct"]) for line in base}
    assert changes == {"ours": 0, "paper": -3.58, "difference": pytest.approx(3.58)}
    tex = (tmp_path / "tables/paper5-ablation-qwen2-small.tex").read_text()
    assert r"\caption{Beside the paper's Table 6: Qwen2-style.}" in tex
    assert tex.count(r"\begin{table}") == tex.count(r"\end{table}") >= 1


def test_long_tables_become_pages_of_whole_blocks(root: Path) -> None:
    whole = table(built(content(root)), "ablation")
    parts = whole.pages()
    assert len(whole.rows) == 3 + 4 * 27
    assert [row for part in parts for row in part.rows] == list(whole.rows)
    assert all(len(part.rows) <= 32 for part in parts)
    assert len({part.name for part in parts}) == len(parts) == 4
    blocks = [{row.block for row in part.rows} for part in parts]
    assert sum(map(len, blocks)) == len(set().union(*blocks))
    assert [bool(part.texts[1:]) for part in parts] == [False, False, False, True]
