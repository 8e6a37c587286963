"""Scores the completions of a summary suite, pair by pair."""

import gc
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tqdm import tqdm

from mixmerge.core.errors import UserError
from mixmerge.evaluate.metrics import METRICS, normalise, reopen_files
from mixmerge.evaluate.suite import Completion, Item

#: Pairs that go to a process at a time.
_CHUNK = 50
#: Pairs for which another process is worth its start.
_PAIRS_A_PROCESS = 500

#: One row of a summary suite's scores: the id and a value for each metric.
PairScores = dict[str, str | float]


def score_pair(prediction: str, reference: str, metrics: list[str]) -> dict[str, float]:
    """The metrics of one pair, after normalisation; all 0 where either text is then empty."""
    prediction, reference = normalise(prediction), normalise(reference)
    if not prediction or not reference:
        return dict.fromkeys(metrics, 0.0)
    return {name: METRICS[name](prediction, reference) for name in metrics}


def score_summaries(
    completions: list[Completion],
    items: list[Item],
    items_path: Path,
    metrics: list[str],
    processes: int = 1,
) -> list[PairScores]:
    """Score every completion against its item's reference, in order.

    A pair's scores depend on that pair alone, so that the number of processes changes nothing.

    Args:
        completions: in the order of ``items``.
        items: the suite's items, each with a reference.
        items_path: their file, for messages.
        metrics: keys of `mixmerge.evaluate.metrics.METRICS`.
        processes: at most so many side by side; fewer where there is little to do.

    Raises:
        UserError: an item without a reference, or a process that was killed.
    """
    pairs: list[tuple[str, str]] = []
    for row, item in zip(completions, items, strict=True):
        if item.reference is None:
            raise UserError(
                f"{items_path}: item {item.id!r} has no reference, which a summary suite needs"
            )
        pairs.append((row.completion, item.reference))
    rows: list[PairScores] = []
    with (
        _mapping(min(processes, len(pairs) // _PAIRS_A_PROCESS)) as mapped,
        tqdm(total=len(pairs), desc="score", unit="pair", mininterval=1) as bar,
    ):
        score = partial(_score_chunk, metrics=metrics)
        try:
            for scored in mapped(
                score, (pairs[i : i + _CHUNK] for i in range(0, len(pairs), _CHUNK))
            ):
                rows += [
                    {"id": items[number].id, **found}
                    for number, found in enumerate(scored, start=len(rows))
                ]
                bar.update(len(scored))
        except BrokenProcessPool:
            raise UserError(
                f"{items_path}: a process scoring its pairs was killed, most likely for memory; "
                "score with fewer processes or give the job more memory"
            ) from None
    return rows


def _score_chunk(pairs: list[tuple[str, str]], metrics: list[str]) -> list[dict[str, float]]:
    return [score_pair(*pair, metrics) for pair in pairs]


@contextmanager
def _mapping(processes: int) -> Iterator[Callable[..., Iterable[list[dict[str, float]]]]]:
    """``map``, over processes where it takes more than one."""
    if processes < 2:
        yield map
        return
    # Forked: WordNet, which takes seconds and 100 MB to load, is there already, and shared.
    gc.freeze()
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=reopen_files) as pool:
        yield pool.map


def means(rows: list[PairScores], metrics: list[str]) -> dict[str, float]:
    """Mean over the pairs of each metric."""
    return {name: sum(float(row[name]) for row in rows) / len(rows) for name in metrics}
