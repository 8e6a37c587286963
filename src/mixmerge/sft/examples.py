"""Tokenised training and validation sets, on disk in the scratch directory."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json, read_jsonl, write_json
from mixmerge.sft.encoding import IGNORED, Encoder
from mixmerge.sft.job import Job

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation")
_BATCH = 1000
_COUNTS = "counts.json"


@dataclass(frozen=True)
class Counts:
    """What became of one split."""

    examples: int
    """Examples that were kept."""
    dropped: int
    """Examples longer than `max_length`, left out."""
    tokens: int
    """Tokens of the kept examples, prompts included."""
    answer_tokens: int
    """Tokens of the kept examples inside the loss."""
    rows: int
    """Rows a batch is made of: packed rows with `packing`, else examples."""


def prepare(job: Job, encoder: Encoder, vocabulary: int) -> dict[str, Counts]:
    """Tokenise both splits, pack them, and check every example on the way.

    Streams: memory is bound by a batch of examples. What an interrupted run left complete is used
    again.

    Args:
        job: gives data, scratch and settings.
        encoder: from `load_encoder`.
        vocabulary: rows of the base's embedding.

    Raises:
        UserError: an example that the template or the embedding cannot take, or an empty split.
    """
    done = job.tokens / _COUNTS
    if done.exists():
        return read_counts(job)
    job.tokens.mkdir(parents=True, exist_ok=True)
    counts = {name: _prepare_split(job, encoder, vocabulary, name) for name in SPLITS}
    write_json(done, {name: asdict(count) for name, count in counts.items()})
    return counts


def read_counts(job: Job) -> dict[str, Counts]:
    """What `prepare` counted."""
    values = read_json(job.tokens / _COUNTS)
    return {name: Counts(**value) for name, value in values.items()}


def read_examples(job: Job, name: str) -> Any:
    """The `datasets.Dataset` of a split that `prepare` wrote, memory-mapped.

    Columns: ``input_ids`` and ``labels``, with ``seq_lengths`` too where rows are packed.
    """
    from datasets import Dataset

    return Dataset.from_file(str(_arrow(job, name)))


def fill_up(dataset: Any, batch_size: int) -> Any:
    """Append rows without a loss until the last batch of an epoch is full.

    Otherwise the epoch's last step would follow a few examples alone at the full learning rate,
    and with several processes accelerate would repeat examples to give each as many. The sampler
    scatters these rows (two tokens each, fewer than a batch in all), so that a run draws the same
    batches however they are split over accumulation steps and processes.
    """
    from datasets import Dataset, concatenate_datasets

    missing = -len(dataset) % batch_size
    if not missing:
        return dataset
    blank: dict[str, Any] = {"input_ids": [0, 0], "labels": [IGNORED, IGNORED], "seq_lengths": [2]}
    columns = {name: [blank[name]] * missing for name in dataset.column_names}
    return concatenate_datasets([dataset, Dataset.from_dict(columns, features=dataset.features)])


def _arrow(job: Job, name: str) -> Path:
    return job.tokens / f"{name}.{'packed' if job.settings.packing else 'rows'}.arrow"


def _prepare_split(job: Job, encoder: Encoder, vocabulary: int, name: str) -> Counts:
    source = job.data / f"{name}.jsonl"
    rows = job.tokens / f"{name}.rows.arrow"
    examples = dropped = tokens = answer_tokens = 0
    with _Writer(rows) as writer:
        progress = tqdm(read_jsonl(source), desc=f"tokenise {name}", unit=" rows", mininterval=1)
        for number, row in enumerate(progress, start=1):
            where = f"{source}:{number}"
            ids, labels = encoder.encode(_messages(row, where), where)
            if number <= 8:
                _check_sample(encoder, row["messages"], labels, where)
            if max(ids) >= vocabulary:
                raise UserError(
                    f"{where}: token id {max(ids)} lies outside the embedding of {job.base} "
                    f"({vocabulary} rows); tokenizer and weights do not belong together"
                )
            if len(ids) > job.settings.max_length:
                dropped += 1
                continue
            writer.add(ids, labels)
            examples += 1
            tokens += len(ids)
            answer_tokens += sum(label != IGNORED for label in labels)
    if dropped:
        logger.warning(
            "%s: %d of %d examples are longer than max_length %d tokens and were left out",
            source, dropped, examples + dropped, job.settings.max_length,
        )  # fmt: skip
    if not examples:
        raise UserError(
            f"{source}: no example is left to train on ({dropped} are longer than max_length "
            f"{job.settings.max_length}); raise sft.max_length or give more data"
        )
    packed = _pack(job, name, rows) if job.settings.packing else examples
    return Counts(examples, dropped, tokens, answer_tokens, packed)


def _messages(row: dict[str, Any], where: str) -> list[dict[str, str]]:
    messages = row.get("messages")
    turns = [
        message
        for message in (messages if isinstance(messages, list) else [])
        if isinstance(message, dict)
        and isinstance(message.get("role"), str)
        and isinstance(message.get("content"), str)
    ]
    if not turns or turns != messages or turns[-1]["role"] != "assistant":
        raise UserError(
            f"{where}: messages: expected a list that ends with the assistant's answer, each with "
            f"`role` and `content`, found {str(messages)[:80]}; make the training set again"
        )
    return turns


def _check_sample(
    encoder: Encoder, messages: list[dict[str, str]], labels: list[int], where: str
) -> None:
    """On the first examples: the loss covers the answer."""
    learnt = encoder.tokenizer.decode([label for label in labels if label != IGNORED])
    answer = messages[-1]["content"].strip()
    if "".join(answer.split()) not in "".join(learnt.split()):
        raise UserError(
            f"{where}: the loss covers {learnt[:200]!r}, which does not hold the whole answer; "
            f"check the `{{% generation %}}` marks of the chat template ({encoder.source})"
        )


def _pack(job: Job, name: str, rows: Path) -> int:
    """Pack a split's examples into rows of at most `max_length` tokens; returns the row count."""
    from datasets import Dataset, disable_progress_bars
    from trl import pack_dataset

    disable_progress_bars()
    target = _arrow(job, name)
    # Nothing is cut here: longer examples are gone already, and "bfd" never splits the others.
    packed = pack_dataset(
        Dataset.from_file(str(rows)),
        job.settings.max_length,
        "bfd",
        {"cache_file_name": str(target), "batch_size": _BATCH, "load_from_cache_file": False},
    )
    return len(packed)


class _Writer:
    """Writes examples to an Arrow stream in batches."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self._pa = pa
        self._schema = pa.schema(
            {"input_ids": pa.list_(pa.int32()), "labels": pa.list_(pa.int32())}
        )
        self._stream = pa.ipc.new_stream(str(path), self._schema)
        self._ids: list[list[int]] = []
        self._labels: list[list[int]] = []

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *exception: object) -> None:
        self._flush()
        self._stream.close()

    def add(self, ids: list[int], labels: list[int]) -> None:
        self._ids.append(ids)
        self._labels.append(labels)
        if len(self._ids) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._ids:
            columns = {"input_ids": self._ids, "labels": self._labels}
            self._stream.write_table(self._pa.table(columns, schema=self._schema))
            self._ids, self._labels = [], []
