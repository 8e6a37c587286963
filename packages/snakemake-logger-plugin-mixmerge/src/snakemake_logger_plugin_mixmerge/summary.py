"""What is said when a run has ended."""

from pathlib import Path

from mixmerge.resources.jobs import plain
from mixmerge.resources.plan import duration
from snakemake_logger_plugin_mixmerge.board import Board, State
from snakemake_logger_plugin_mixmerge.command import this_run
from snakemake_logger_plugin_mixmerge.failure import Failure

#: Failed jobs that are named.
_NAMED = 10


def summary(board: Board, failures: list[Failure], elapsed: float) -> str:
    """How many jobs were done, which failed, how long it took, and what to do next."""
    total = board.total()
    counts = [f"{total.done} of {total.total} jobs done"]
    if total.failed:
        counts.append(f"{total.failed} failed")
    if others := total.total - total.done - total.failed:
        counts.append(f"{others} not done")
    lines = [f"{', '.join(counts)}, in {duration(elapsed)}."]
    for failure in failures[:_NAMED]:
        lines.append(f"failed: {failure.name}: {failure.why.splitlines()[0]}")
        # Where the run went on, the command was one that passes by its lock.
        if failure.beside and (command := failure.command(beside=False)):
            lines.append(f"  repeat it here: {command}")
    if len(failures) > _NAMED:
        lines.append(f"... and {len(failures) - _NAMED} more failed")
    if total.done < total.total:
        lines.append(f"Then go on, what is done is kept: {this_run()}")
    elif places := _places(board):
        lines.append(f"Look at {' and '.join(places)}.")
    return "\n".join(lines)


def _places(board: Board) -> list[str]:
    """The directories of tables and figures that this run made."""
    return sorted(
        {
            str(Path(plain(found.job.outputs[0])).parent)
            for found in board.in_state(State.DONE)
            if found.job.rule in ("tables", "figures")
        }
    )
