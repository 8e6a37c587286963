import pytest
import yaml

from mixmerge.config.load import parse_config
from mixmerge.study.plan import Study, without_wording
from workflow_material import ROOT


@pytest.mark.parametrize(
    ("template", "fields"),
    [
        ("Summarize {{this}}:\n{code}", "{code}"),
        ("{a:strip} and {b[0]:strip:c[java]}", "{a:strip}\n{b[0]:strip:c[java]}"),
        ("no field", "no field"),
        ("{unbalanced", "{unbalanced"),
    ],
)  # fmt: skip
def test_fields_stay_with_their_filters(template: str, fields: str) -> None:
    assert without_wording(template) == fields


def test_a_prompts_wording_is_no_business_of_what_is_held_out() -> None:
    config = yaml.safe_load((ROOT / "config/demo.yaml").read_text(encoding="utf-8"))
    before = Study(parse_config(config, "demo"))
    config["tasks"]["codesum"] |= {"prompt": "What is this?\n{code}", "system": "Be brief."}
    worded = Study(parse_config(config, "demo"))
    config["tasks"]["codesum"]["prompt"] = "What is this?\n{code:strip}"
    other = Study(parse_config(config, "demo"))
    for suite in ("summaries", "functions"):
        assert worded.hold_out_settings(suite) == before.hold_out_settings(suite)
        assert worded.suite_settings("summaries") != before.suite_settings("summaries")
    assert other.hold_out_settings("summaries") != before.hold_out_settings("summaries")
