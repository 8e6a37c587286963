"""What is refused about a base checkpoint before anything is trained."""

from pathlib import Path

import pytest

from mixmerge.core.errors import UserError
from mixmerge.sft.examples import check_length
from mixmerge.sft.job import Job
from mixmerge.sft.settings import Sft
from mixmerge.sft.stage import fine_tune
from sft_material import SETTINGS, write_base, write_set


def test_rows_longer_than_the_model_has_positions_are_refused(tmp_path: Path) -> None:
    base, rows = write_base(tmp_path / "base"), write_set(tmp_path / "set")
    check_length(base, 512)
    settings = Sft.model_validate({**SETTINGS, "max_length": 513})
    job = Job(base, rows, tmp_path / "out", tmp_path / "scratch", settings, seed=1)
    with pytest.raises(UserError, match=r"max_position_embeddings is 512, but .* is 513.*`sft`"):
        fine_tune(job)
    assert not (tmp_path / "out").exists()
