"""The ratio chosen on validation suites alone, or on test suites as the paper did."""

import pytest

from mixmerge.report.comparison import best, chosen
from mixmerge.report.layout import Strategy, Variant
from report_material import layout, scores

#: Validation prefers the first ratio by far, the test suites the last.
DISAGREE = {
    ("blend-0.25", "write-validation.base"): 0.9,
    ("blend-0.5", "write-validation.base"): 0.6,
    ("blend-0.75", "write-validation.base"): 0.1,
    ("blend-0.25", "write-test.base"): 0.1,
    ("blend-0.5", "write-test.base"): 0.6,
    ("blend-0.75", "write-test.base"): 0.9,
}
RATIOS = (0.25, 0.5, 0.75)


@pytest.mark.parametrize(("select", "name"), [("validation", "blend-0.25"), ("test", "blend-0.75")])
def test_validation_and_test_disagree(select: str, name: str) -> None:
    study = layout(ratios=RATIOS, select=select)
    picks = chosen(study, study.models[0], scores(study, DISAGREE))
    assert [pick.name for pick in picks] == [name]


def test_no_test_score_moves_a_choice_on_validation() -> None:
    study = layout(ratios=RATIOS, select="validation")
    model = study.models[0]
    test_columns = [column.key for column in study.columns_of("test")]
    for value in (0.0, 0.3, 1.0):
        changed = {
            (variant.name, column): value if variant.name == "blend-0.75" else 0.5
            for variant in model.variants
            for column in test_columns
        }
        special = DISAGREE | changed
        assert chosen(study, model, scores(study, special))[0].name == "blend-0.25"


def test_one_ratio_is_chosen_whatever_it_scores_and_no_merge_is_no_choice() -> None:
    one = layout(ratios=(0.5,), select="validation")
    worst = {("blend-0.5", column.key): 0.0 for column in one.columns}
    assert [v.name for v in chosen(one, one.models[0], scores(one, worst))] == ["blend-0.5"]
    none = layout(ratios=(), select="validation")
    assert chosen(none, none.models[0], scores(none)) == []
    assert best(none, none.models[0], [], scores(none)) is None


def test_a_strategy_without_ratios_stands_beside_one_with_a_sweep() -> None:
    study = layout(ratios=RATIOS, select="validation")
    plain = Variant(name="karcher", kind="merge", strategy="karcher")
    model = study.models[0].model_copy(update={"variants": [*study.models[0].variants, plain]})
    titles = [*study.strategies, Strategy(key="karcher", title="Karcher", recipe="karcher")]
    study = study.model_copy(update={"models": [model], "strategies": titles})
    found = scores(study, DISAGREE | {("karcher", "write-validation.base"): 0.0})
    assert [pick.name for pick in chosen(study, model, found)] == ["blend-0.25", "karcher"]


def test_the_first_of_equals_is_chosen() -> None:
    study = layout(ratios=RATIOS, select="validation")
    assert chosen(study, study.models[0], scores(study))[0].name == "blend-0.25"
