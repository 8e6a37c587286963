"""One process that has imported all that the stages need, for all tests of broken input."""

import os
import subprocess
from collections.abc import Iterator

import pytest
from forked_scripts import Server

#: What the stages import, once for all of them.
MODULES = (
    *("numpy", "pyarrow.parquet", "torch", "transformers", "trl", "datasets", "mergekit.merge"),
    *("snakemake.cli", "mixmerge.study.plan", "mixmerge.study.storage", "mixmerge.data.prepare"),
    *("mixmerge.checkpoint.snapshot", "mixmerge.merge.execution", "mixmerge.sft.stage"),
    *("mixmerge.evaluate.generation", "mixmerge.evaluate.engines"),
    *("mixmerge.evaluate.scoring", "mixmerge.evaluate.summaries", "mixmerge.uncertainty.analysis"),
    *(f"transformers.models.qwen2.{part}_qwen2" for part in ("modeling", "tokenization")),
)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One process for all scripts; with mounts of its own where this user may have them."""
    unshare = ["unshare", *([] if os.getuid() == 0 else ["-Ur"]), "-m"]
    may_mount = subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode == 0
    with Server(*MODULES, mounts=may_mount) as found:
        yield found
