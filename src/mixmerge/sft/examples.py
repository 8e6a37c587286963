"""Tokenised training and validation sets, on disk in the scratch directory, checked on the way."""

import logging
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mixmerge.checkpoint.chat import Messages
from mixmerge.checkpoint.index import read_index
from mixmerge.checkpoint.tensors import check_finite, embeddings, read_config
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json, read_jsonl, write_json
from mixmerge.sft.encoding import IGNORED, Encoder
from mixmerge.sft.job import Job

logger = logging.getLogger(__name__)

#: In a job's directory of tokenised sets: the `Counts` of ``train`` and ``validation``.
COUNTS = "prepared.json"
_BATCH = 1000

#: What became of one split: ``examples`` kept, and ``dropped`` for being longer than `max_length`;
#: ``tokens`` of the kept ones, prompts included; ``answer_tokens`` of them, which are inside the
#: loss; ``rows`` that batches are made of: packed rows with `packing`, else examples.
Counts = dict[str, int]


def prepare(job: Job, encoder: Encoder) -> dict[str, Counts]:
    """Tokenise both splits of a job's data, pack them, and check every example on the way.

    Writes ``train.arrow`` and ``validation.arrow`` into ``job.tokens``, with columns ``input_ids``
    and ``labels``, where rows are packed ``seq_lengths`` too.
    Streams: memory is bound by a batch of examples. What an interrupted run left complete is used
    again. Returns the counts of ``train`` and ``validation``.
    """
    record = job.tokens / COUNTS
    counts: dict[str, Counts] = read_json(record) if record.exists() else {}
    if counts:
        return counts
    check_length(job.base, job.settings.max_length)
    check_finite(job.base)
    check_vocabulary(job.base, encoder.chat.tokenizer)
    job.tokens.mkdir(parents=True, exist_ok=True)
    for name in ("train", "validation"):
        rows, target = (job.tokens / f"{name}{kind}.arrow" for kind in (".rows", ""))
        counts[name] = _tokenise(job, job.data / f"{name}.jsonl", rows, encoder)
        if job.settings.packing:
            counts[name]["rows"] = _pack(rows, target, job.settings.max_length)
        else:
            rows.rename(target)
    write_json(record, counts)
    return counts


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
    """Check that rows of ``max_length`` tokens have positions in the base; `UserError` if not."""
    positions = read_config(base).get("max_position_embeddings")
    if isinstance(positions, int) and max_length > positions:
        raise UserError(
            f"{base / 'config.json'}: max_position_embeddings is {positions}, but sft.max_length "
            f"is {max_length}: the model has no positions for rows that long. Set max_length to "
            f"{positions} or less, in `sft` or in the model's own `sft`"
        )


def check_vocabulary(base: Path, tokenizer: Any) -> None:
    """Check that a base has an embedding, with a row for each token of its tokenizer, if given."""
    index = read_index(base)
    embedding = embeddings(index)
    if embedding is None:
        raise UserError(
            f"{base}: no input embedding under a known name among its tensors "
            f"({', '.join(list(index)[:3])}, ...); this architecture is not supported"
        )
    tokens = 0 if tokenizer is None else 1 + max(tokenizer.get_vocab().values(), default=-1)
    if tokens > embedding.shape[0]:
        raise UserError(
            f"{base}: the tokenizer has {tokens} tokens, but the embedding ({embedding.name}) only "
            f"{embedding.shape[0]} rows; tokenizer and weights do not belong together. Take both "
            "from the same revision"
        )


def _tokenise(job: Job, source: Path, target: Path, encoder: Encoder) -> Counts:
    """Write the examples of a split that are not too long to an Arrow stream, in batches."""
    import pyarrow as pa

    max_length = job.settings.max_length
    counts = Counter(dict.fromkeys(("examples", "dropped", "tokens", "answer_tokens", "rows"), 0))
    schema = pa.schema({name: pa.list_(pa.int32()) for name in ("input_ids", "labels")})
    encoded = _encoded(source, encoder)
    with pa.ipc.new_stream(str(target), schema) as stream:
        while batch := list(islice(encoded, _BATCH)):
            kept = [row for row in batch if len(row["input_ids"]) <= max_length]
            for row in kept:
                counts["tokens"] += len(row["input_ids"])
                counts["answer_tokens"] += sum(label != IGNORED for label in row["labels"])
            counts.update(examples=len(kept), rows=len(kept), dropped=len(batch) - len(kept))
            stream.write_table(pa.Table.from_pylist(kept, schema=schema))
    if counts["dropped"]:
        logger.warning(
            "%s: %d of %d examples are longer than max_length %d tokens and were left out",
            *(source, counts["dropped"], counts["dropped"] + counts["examples"], max_length),
        )
    if not counts["examples"]:
        raise UserError(
            f"{source}: no example is left to train on ({counts['dropped']} are longer than "
            f"max_length {max_length}); raise sft.max_length or give more data"
        )
    return dict(counts)


def _encoded(source: Path, encoder: Encoder) -> Iterator[dict[str, list[int]]]:
    """Token ids and labels of each example of a split."""
    title = f"tokenise {source.stem}"
    progress = tqdm(read_jsonl(source), desc=title, unit=" rows", mininterval=1)
    for number, row in enumerate(progress, start=1):
        where = f"{source}:{number}"
        messages = _messages(row, where)
        ids, labels = encoder.encode(messages, where)
        if number <= 8:
            encoder.check_answer(messages[-1]["content"], labels, where)
        yield {"input_ids": ids, "labels": labels}


def _messages(row: dict[str, Any], where: str) -> Messages:
    """A row's messages, which somebody may have edited."""
    messages: Any = row.get("messages")
    try:
        fits = messages[-1]["role"] == "assistant"
        fits &= all(isinstance(m[key], str) for m in messages for key in ("role", "content"))
    except (LookupError, TypeError):
        fits = False
    if not fits:
        raise UserError(
            f"{where}: messages: expected a list that ends with the assistant's answer, each with "
            f"`role` and `content`, found {str(messages)[:80]}; make the training set again"
        )
    return list(messages)


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
