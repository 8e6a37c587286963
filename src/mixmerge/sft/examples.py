"""Tokenised training and validation sets, on disk in the scratch directory, checked on the way."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mixmerge.checkpoint.index import parameter_count, read_index
from mixmerge.checkpoint.tensors import check_finite, embeddings, read_config, without_tied_head
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json, read_jsonl, write_json
from mixmerge.sft.encoding import IGNORED, Encoder
from mixmerge.sft.job import Job

logger = logging.getLogger(__name__)

_BATCH = 1000
_PREPARED = "prepared.json"


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


@dataclass(frozen=True)
class Prepared:
    """What training and publishing must know of the base and the tokenised splits."""

    parameters: int
    """Number of the base's parameters, tied ones once."""
    splits: dict[str, Counts]
    """``train`` and ``validation``."""


def prepare(job: Job, encoder: Encoder) -> Prepared:
    """Check the base, then tokenise both splits, pack them, and check every example on the way.

    Streams: memory is bound by a batch of examples. What an interrupted run left complete is used
    again.

    Raises:
        UserError: a base whose weights, vocabulary or positions do not do, an example that the
            template or the embedding cannot take, or an empty split.
    """
    if (job.tokens / _PREPARED).exists():
        return read_prepared(job.tokens)
    check_length(job.base, job.settings.max_length)
    parameters, vocabulary = _check_base(job.base, encoder)
    job.tokens.mkdir(parents=True, exist_ok=True)
    splits = {}
    for name in ("train", "validation"):
        source, rows = job.data / f"{name}.jsonl", job.tokens / f"{name}.rows.arrow"
        split = _Split(source, encoder, vocabulary, job.settings.max_length)
        _write(rows, split)
        kept = split.kept
        if job.settings.packing:
            kept = _pack(rows, job.tokens / f"{name}.arrow", job.settings.max_length)
        else:
            rows.rename(job.tokens / f"{name}.arrow")
        splits[name] = Counts(split.kept, split.dropped, split.tokens, split.answer_tokens, kept)
    prepared = Prepared(parameters, splits)
    write_json(job.tokens / _PREPARED, asdict(prepared))
    return prepared


def read_prepared(tokens: Path) -> Prepared:
    """What `prepare` left in a job's directory of tokenised sets."""
    content = read_json(tokens / _PREPARED)
    splits = {name: Counts(**counts) for name, counts in content["splits"].items()}
    return Prepared(content["parameters"], splits)


def read_examples(tokens: Path, name: str) -> Any:
    """The `datasets.Dataset` of a split that `prepare` wrote, memory-mapped.

    Columns: ``input_ids`` and ``labels``, with ``seq_lengths`` too where rows are packed.
    """
    from datasets import Dataset

    return Dataset.from_file(str(tokens / f"{name}.arrow"))


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


def check_length(base: Path, max_length: int) -> None:
    """Check that rows of ``max_length`` tokens have positions in the base model.

    Raises:
        UserError: the model was not made for sequences that long.
    """
    positions = read_config(base).get("max_position_embeddings")
    if isinstance(positions, int) and max_length > positions:
        raise UserError(
            f"{base / 'config.json'}: max_position_embeddings is {positions}, but sft.max_length "
            f"is {max_length}: the model has no positions for rows that long. Set max_length to "
            f"{positions} or less, in `sft` or in the model's own `sft`"
        )


def _check_base(base: Path, encoder: Encoder) -> tuple[int, int]:
    """Check the weights and vocabulary of the checkpoint that training starts from.

    Returns:
        Number of parameters (tied ones once), and rows of the embedding.

    Raises:
        UserError: a missing shard, a truncated file, NaN or infinite weights, or a tokenizer with
            more tokens than the embedding has rows.
    """
    index = read_index(base)
    check_finite(base)
    embedding = embeddings(index)
    if embedding is None:
        raise UserError(
            f"{base}: no input embedding under a known name among its tensors "
            f"({', '.join(list(index)[:3])}, ...); this architecture is not supported"
        )
    rows = embedding.shape[0]
    if len(encoder.tokenizer) > rows:
        raise UserError(
            f"{base}: the tokenizer has {len(encoder.tokenizer)} tokens, but the embedding "
            f"({embedding.name}) only {rows} rows; tokenizer and weights do not belong together. "
            "Take both from the same revision"
        )
    return parameter_count(without_tied_head(base, index)), rows


@dataclass
class _Split:
    """The examples of one split, tokenised as they are iterated over, and their counts."""

    source: Path
    encoder: Encoder
    vocabulary: int
    max_length: int
    kept: int = 0
    dropped: int = 0
    tokens: int = 0
    answer_tokens: int = 0

    def __iter__(self) -> Iterator[tuple[list[int], list[int]]]:
        """Yield ids and labels of each example that is not too long."""
        title = f"tokenise {self.source.stem}"
        progress = tqdm(read_jsonl(self.source), desc=title, unit=" rows", mininterval=1)
        for number, row in enumerate(progress, start=1):
            where = f"{self.source}:{number}"
            messages = _messages(row, where)
            ids, labels = self.encoder.encode(messages, where)
            if number <= 8:
                self._check_sample(messages[-1]["content"], labels, where)
            if max(ids) >= self.vocabulary:
                raise UserError(
                    f"{where}: token id {max(ids)} lies outside the base's embedding "
                    f"({self.vocabulary} rows); tokenizer and weights do not belong together"
                )
            if len(ids) > self.max_length:
                self.dropped += 1
                continue
            self.kept += 1
            self.tokens += len(ids)
            self.answer_tokens += sum(label != IGNORED for label in labels)
            yield ids, labels
        if self.dropped:
            logger.warning(
                "%s: %d of %d examples are longer than max_length %d tokens and were left out",
                *(self.source, self.dropped, self.kept + self.dropped, self.max_length),
            )
        if not self.kept:
            raise UserError(
                f"{self.source}: no example is left to train on ({self.dropped} are longer than "
                f"max_length {self.max_length}); raise sft.max_length or give more data"
            )

    def _check_sample(self, answer: str, labels: list[int], where: str) -> None:
        """On the first examples: the loss covers the answer."""
        learnt = self.encoder.tokenizer.decode([label for label in labels if label != IGNORED])
        if "".join(answer.split()) not in "".join(learnt.split()):
            raise UserError(
                f"{where}: the loss covers {learnt[:200]!r}, which does not hold the whole answer; "
                "check the `{% generation %}` marks of the chat template "
                f"({self.encoder.chat.source})"
            )


def _messages(row: dict[str, Any], where: str) -> list[dict[str, str]]:
    """A row's messages, of the form that training takes."""
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


def _write(file: Path, examples: Iterable[tuple[list[int], list[int]]]) -> None:
    """Write examples to an Arrow stream in batches."""
    import pyarrow as pa

    schema = pa.schema({name: pa.list_(pa.int32()) for name in ("input_ids", "labels")})
    with pa.ipc.new_stream(str(file), schema) as stream:
        examples = iter(examples)
        while batch := list(islice(examples, _BATCH)):
            ids, labels = zip(*batch, strict=True)
            columns = {"input_ids": list(ids), "labels": list(labels)}
            stream.write_table(pa.table(columns, schema=schema))


def _pack(rows: Path, target: Path, max_length: int) -> int:
    """Pack a split's examples into rows of at most `max_length` tokens; returns the row count."""
    from datasets import Dataset, disable_progress_bars
    from trl import pack_dataset

    disable_progress_bars()
    # Nothing is cut here: longer examples are gone already, and "bfd" never splits the others.
    packed = pack_dataset(
        Dataset.from_file(str(rows)),
        max_length,
        "bfd",
        {"cache_file_name": str(target), "batch_size": _BATCH, "load_from_cache_file": False},
    )
    return len(packed)
