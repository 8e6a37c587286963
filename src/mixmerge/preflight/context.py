"""What the checks look at: the study as far as it can be read, and how it would be run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixmerge.config.study import StudyConfig
from mixmerge.resources.gpus import GpuRequest
from mixmerge.study.plan import Study


@dataclass(frozen=True)
class Context:
    """One preflight.

    Attributes:
        where: the config files, for messages.
        raw: the configuration as Snakemake merged it.
        study: the plan; None where the configuration cannot be mended by leaving things out.
        repository: the directory of the Snakefile.
        executor: where jobs would run: ``local`` or a plugin's name.
        words: the profile's default resources by name, plain values.
        dialect: what the profile calls GPUs, see `mixmerge.resources.gpus`.
        deployed: whether jobs bring environments of their own (``--sdm``).
        planned: the plan of the run as `mixmerge.preflight.plan` tells it; None where there is
            none.
    """

    where: str
    raw: Mapping[str, Any]
    study: Study | None
    repository: Path
    executor: str = "local"
    words: Mapping[str, Any] = field(default_factory=dict)
    dialect: GpuRequest = field(default_factory=lambda: GpuRequest(None))
    deployed: bool = False
    planned: Mapping[str, Any] | None = None

    @property
    def config(self) -> StudyConfig:
        """The configuration; only for checks that ask for a study."""
        assert self.study is not None
        return self.study.config

    @property
    def on_this_machine(self) -> bool:
        """Whether heavy jobs run here, too."""
        return self.executor in ("local", "dryrun", "touch")
