"""What data jobs take: seconds by rows at rates seen on a slow core, megabytes by rows."""

from collections.abc import Mapping
from dataclasses import replace

from mixmerge.data.settings import EmbeddedSource, HubSource
from mixmerge.resources.estimate import Assumed
from mixmerge.resources.sizes import Sizes

#: Bytes of a row of source, and of chat messages, as JSON.
_ROW = 3_000

#: Rows a second: written, mapped, compared by n-grams.
_COPIED, _MAPPED, _COMPARED = 40_000, 5_000, 2_000

#: MB of a job that streams rows, of one that holds n-grams of all suites, of one that runs tests.
_LEAN, _NGRAMS, _TESTS = 300, 1500, 1500


def corpus(sizes: Sizes, _: Mapping[str, str]) -> Assumed:
    """Documents that the grammar makes, about 1,500 a second."""
    settings = sizes.config.embedded
    assert settings is not None
    documents = settings.pretrain_items + 2 * settings.train_items
    return Assumed(3, documents / 1500, _LEAN, documents * 0.001)


def fetch(sizes: Sizes, wildcards: Mapping[str, str]) -> Assumed:
    """A data set's download, or the installed packages' functions."""
    entry = sizes.config.sources[wildcards["source"]]
    rows = sizes.source_rows(wildcards["source"])
    size = rows * _ROW / 1e6
    if isinstance(entry, EmbeddedSource):
        return Assumed(2, rows / _COPIED, _LEAN, size)
    network = size / sizes.config.hardware.network_mb_s if isinstance(entry, HubSource) else 0
    return Assumed(30, network + rows / 1000, 1000, 3 * size, size)


def prepare(sizes: Sizes, wildcards: Mapping[str, str]) -> Assumed:
    """Templates filled and duplicates dropped."""
    return _rows(sizes, wildcards["task"], _MAPPED, _LEAN)


def decontaminate(sizes: Sizes, wildcards: Mapping[str, str]) -> Assumed:
    """Rows against the n-grams of every suite."""
    return _rows(sizes, wildcards["task"], _COMPARED, _NGRAMS)


def split(sizes: Sizes, wildcards: Mapping[str, str]) -> Assumed:
    """A pass over the rows."""
    return _rows(sizes, wildcards["task"], _COPIED, _LEAN)


def subset(sizes: Sizes, wildcards: Mapping[str, str]) -> Assumed:
    """A pass over the rows."""
    found = _rows(sizes, wildcards["task"], _COPIED, _LEAN)
    rows = sum(sizes.rows(f"{wildcards['task']}-p{wildcards['percent']}"))
    return replace(found, kept=rows * _ROW / 1e6)


def mix(sizes: Sizes, wildcards: Mapping[str, str]) -> Assumed:
    """All rows, sorted by hash on disk."""
    rows = sizes.rows(f"mix-p{wildcards['percent']}")[0]
    return Assumed(3, 2 * rows / _COPIED, 400, 3 * rows * _ROW / 1e6, rows * _ROW / 1e6)


def statistics(sizes: Sizes, _: Mapping[str, str]) -> Assumed:
    """A pass over all rows."""
    rows = sum(sum(sizes.task_rows(task)) for task in sizes.config.tasks)
    return Assumed(3, 3 * rows / _COPIED, 400)


def _rows(sizes: Sizes, task: str, rate: float, memory: float) -> Assumed:
    rows = sum(sizes.task_rows(task))
    size = rows * _ROW / 1e6
    # Hashes and ids of all rows are in memory at once.
    return Assumed(3, rows / rate, memory + rows * 300 / 1e6, 2 * size, size)


def hold_out(sizes: Sizes, wildcards: Mapping[str, str]) -> Assumed:
    """Texts of a suite's items, fetched from EvalPlus where they are its own."""
    items = sizes.items(wildcards["suite"])
    return Assumed(10, items / _MAPPED, 500, items * _ROW / 1e6 + 50)


def suite(sizes: Sizes, wildcards: Mapping[str, str]) -> Assumed:
    """Prompts of a suite's items."""
    items = sizes.items(wildcards["suite"])
    return Assumed(5, items / _MAPPED, 500, items * _ROW / 1e6 + 50)


def ground_truth(sizes: Sizes, wildcards: Mapping[str, str]) -> Assumed:
    """Reference solutions run twice; EvalPlus's largest expected output takes 0.8 GB."""
    workers = sizes.config.code_scoring.workers
    large = sizes.has_large_tests(wildcards["suite"])
    seconds = sizes.items(wildcards["suite"]) * (0.8 if large else 0.1) / workers
    return Assumed(10, seconds, _TESTS + (2500 if large else 300) * workers, 1500 if large else 10)


def nltk_data(sizes: Sizes, _: Mapping[str, str]) -> Assumed:
    """WordNet and a tokenizer, downloaded."""
    return Assumed(10, 100 / sizes.config.hardware.network_mb_s, 500, 100)
