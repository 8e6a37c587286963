"""A sample of docs/models.md: each stage works with an architecture, or preflight refuses it."""

import pytest

from model_table.table import page
from model_table.trial import FAILS, STAGES, trials

#: Fused and packed experts, windows, soft caps, sinks, old names and heads; one is no decoder.
SAMPLE = ["qwen2", "gemma2", "gpt2", "gpt_oss", "starcoder2", "qwen3_moe", "bloom", "t5"]


@pytest.mark.long
def test_a_sample_works_or_is_refused_by_preflight() -> None:
    rows = dict(trials(SAMPLE))
    for kind, cells in rows.items():
        assert not [cells[stage] for stage in STAGES if cells[stage][0] == FAILS], kind
    [message] = {cell[1] for cell in rows["t5"].values()}
    assert "'t5' has an encoder" in message
    assert f"1. {message}" in page({"t5": rows["t5"]})
