"""What one job is expected to take, and what it asks for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Assumed:
    """A job at the speeds the configuration assumes, before anything was measured.

    Attributes:
        start: seconds before any work: imports, loading the model.
        work: seconds of work, in proportion to what there is to do.
        memory: MB of main memory at most, imports included.
        disk: MB that the job writes, scratch included.
        kept: MB of them that stay when it is over.
        gpu: GPUs it works on.
        given: whether the user named its time (`hardware.sft_hours`), so that it is not doubted as
            an assumption is.
    """

    start: float
    work: float
    memory: float
    disk: float = 1.0
    kept: float | None = None
    gpu: int = 0
    given: bool = False

    @property
    def seconds(self) -> float:
        """Start and work together."""
        return self.start + self.work


@dataclass(frozen=True)
class Estimate:
    """What one job is expected to take (no safety factor in it), and what it may take at most.

    Attributes:
        seconds: expected run time.
        gpu: GPUs of the whole job, 0 for none.
        mem_mb: MB of main memory that the first attempt asks for.
        disk_mb: MB that it writes, scratch included.
        kept_mb: MB of them that stay when it is over.
        runtime: minutes that the first attempt asks for.
        measured: whether jobs of its rule that ran before say so.
    """

    seconds: float
    gpu: int
    mem_mb: int
    disk_mb: int
    kept_mb: int
    runtime: int
    measured: bool
