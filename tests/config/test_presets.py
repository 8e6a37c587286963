"""The presets say what they claim to say, laid over their study as Snakemake lays them."""

import pytest
from snakemake.utils import update_config

from fixtures.studies import shipped, study_of
from mixmerge.config.load import parse_config
from mixmerge.config.study import StudyConfig
from mixmerge.study.layout import layout_of
from mixmerge.study.plan import Study


@pytest.fixture
def released() -> StudyConfig:
    data = shipped("config")
    update_config(data, shipped("presets/as-released"))
    return parse_config(data, "as-released")


def test_summarisation_specialists_learn_slower_and_are_cut_sooner(released: StudyConfig) -> None:
    for model, entry in released.models.items():
        summary = released.sft_settings(model, "codesum")
        assert summary.max_length == 1024
        assert summary.learning_rate == (5e-6 if entry.size == "small" else 1e-6)
        for training_set in ("codegen", "mix"):
            other = released.sft_settings(model, training_set)
            assert other.max_length == 4096
            assert other.learning_rate == (1e-5 if entry.size == "small" else 5e-6)


def test_merges_alone_are_decoded_without_a_penalty(released: StudyConfig) -> None:
    study = Study(released)
    model = "qwen2.5-coder-1.5b"
    for variant in study.variants[model].values():
        suites = study.generate_settings(model, variant.name)["suites"]
        expected = 1.0 if variant.kind == "merge" else 1.1
        assert suites["codexglue"]["repetition_penalty"] == expected
        assert suites["humaneval"]["repetition_penalty"] == 1.0


def test_programs_are_found_as_published_scores_have_it(released: StudyConfig) -> None:
    for config in (released, parse_config(shipped("config"), "config")):
        found = {s.key: s.extraction for s in layout_of(Study(config)).suites if s.kind == "code"}
        own = {"humaneval": "evalplus", "mbpp": "evalplus", "kodcode-validation": "whole"}
        assert found == own  # EvalPlus has nothing for pytest
    for name in ("demo", "smollm2"):
        assert parse_config(shipped(name), name).code_scoring.extraction == "whole"


def test_ratios_are_picked_on_the_test_figures(released: StudyConfig) -> None:
    assert released.tables.select == "test"
    assert "without_triple_quoted" in released.tasks["codesum"].prompt


def test_the_papers_study_itself_decodes_all_arms_alike() -> None:
    study = study_of(shipped("config"))
    model = "qwen2.5-coder-1.5b"
    settings = [study.generate_settings(model, name) for name in study.variants[model]]
    assert all(setting == settings[0] for setting in settings)
