"""Tokenised training and validation sets, on disk in the scratch directory, checked on the way."""

import logging
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mixmerge.checkpoint.architecture import embeddings
from mixmerge.checkpoint.index import read_index
from mixmerge.checkpoint.side_files import context_length
from mixmerge.checkpoint.tensors import check_finite
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json, read_jsonl, write_json
from mixmerge.sft.encoding import IGNORED, Encoder
from mixmerge.sft.job import Job

logger = logging.getLogger(__name__)

#: In a job's directory of tokenised sets: the `Counts` of ``train`` and ``validation``.
COUNTS = "prepared.json"

#: Of one split: ``examples`` kept, and ``dropped`` as longer than `max_length`; ``tokens`` of those
#: kept, and ``answer_tokens``, inside the loss; ``rows`` of batches: packed ones, or examples.
Counts = dict[str, int]


def prepare(job: Job, encoder: Encoder) -> dict[str, Counts]:
    """Tokenise both splits of a job's data, pack them, and check every example on the way.

    Writes ``train.arrow`` and ``validation.arrow`` into ``job.tokens``: ``input_ids``, ``labels``,
    of packed rows ``seq_lengths``. Streams; what an interrupted run left complete is used again.
    """
    from datasets import Dataset, disable_progress_bars
    from trl import pack_dataset

    record = job.tokens / COUNTS
    counts: dict[str, Counts] = read_json(record) if record.exists() else {}
    if counts:
        return counts
    check_length(job.base, job.settings.max_length)
    check_finite(job.base)
    check_vocabulary(job.base, encoder.chat.tokenizer)
    job.tokens.mkdir(parents=True, exist_ok=True)
    disable_progress_bars()
    for name in ("train", "validation"):
        rows, target = (job.tokens / f"{name}{kind}.arrow" for kind in (".rows", ""))
        counts[name] = _tokenise(job, job.data / f"{name}.jsonl", rows, encoder)
        if job.settings.packing:
            options = {"cache_file_name": str(target), "load_from_cache_file": False}
            examples, longest = Dataset.from_file(str(rows)), job.settings.max_length
            # Nothing is cut here: longer examples are gone already, and "bfd" splits no other.
            counts[name]["rows"] = len(pack_dataset(examples, longest, "bfd", options))
        else:
            rows.rename(target)
    write_json(record, counts)
    return counts


def fill_up(dataset: Any, batch_size: int) -> Any:
    """Append rows without a loss until the last batch of an epoch is full.

    Else an epoch's last step would follow a few examples alone at the full learning rate, and with
    several processes accelerate would repeat some. The sampler scatters these rows of two tokens.
    """
    from datasets import Dataset, concatenate_datasets

    missing = -len(dataset) % batch_size
    if not missing:
        return dataset
    blank: dict[str, Any] = {"input_ids": [0, 0], "labels": [IGNORED, IGNORED], "seq_lengths": [2]}
    columns = {name: [blank[name]] * missing for name in dataset.column_names}
    return concatenate_datasets([dataset, Dataset.from_dict(columns, features=dataset.features)])


def check_length(base: Path, max_length: int, *, run_code: bool = True) -> None:
    """Check that rows of ``max_length`` tokens have positions in the base; `UserError` if not."""
    field, positions = context_length(base, run_code=run_code)
    if positions is not None and max_length > positions:
        raise UserError(
            f"{base / 'config.json'}: {field} is {positions}, but sft.max_length is {max_length}; "
            f"set {positions} or less, in `sft` or in the model's own `sft`"
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
            f"{embedding.shape[0]} rows; take tokenizer and weights from the same revision"
        )


def _tokenise(job: Job, source: Path, target: Path, encoder: Encoder) -> Counts:
    """Write the examples of a split that are not too long to an Arrow stream."""
    from datasets import Features, List, Value
    from datasets.arrow_writer import ArrowWriter

    longest = job.settings.max_length
    counts = dict.fromkeys(("examples", "dropped", "tokens", "answer_tokens", "rows"), 0)
    columns = Features(dict.fromkeys(("input_ids", "labels"), List(Value("int32"))))
    with ArrowWriter(path=str(target), features=columns) as writer:
        rows = tqdm(read_jsonl(source), desc=f"tokenise {source.stem}", unit=" rows", mininterval=1)
        for number, row in enumerate(rows, start=1):
            where = f"{source}:{number}"
            messages: Any = row.get("messages")
            try:
                is_chat = messages[-1]["role"] == "assistant"
                is_chat &= all(isinstance(m[k], str) for m in messages for k in ("role", "content"))
            except (LookupError, TypeError):
                is_chat = False
            if not is_chat:
                raise UserError(
                    f"{where}: messages: expected a list that ends with the assistant's answer, "
                    f"each with `role` and `content`, found {str(messages)[:80]}; make it again"
                )
            ids, labels = encoder.encode(messages, where)
            if number <= 8:
                encoder.check_answer(messages[-1]["content"], labels, where)
            if len(ids) > longest:
                counts["dropped"] += 1
                continue
            counts["examples"] += 1
            counts["tokens"] += len(ids)
            counts["answer_tokens"] += sum(label != IGNORED for label in labels)
            writer.write({"input_ids": ids, "labels": labels})
        writer.finalize()
    if counts["dropped"]:
        logger.warning(
            "%s: %d of %d examples are longer than max_length %d tokens and were left out",
            *(source, counts["dropped"], counts["dropped"] + counts["examples"], longest),
        )
    if not counts["examples"]:
        raise UserError(
            f"{source}: no example is left to train on ({counts['dropped']} are longer than "
            f"max_length {longest}); raise sft.max_length or give more data"
        )
    return {**counts, "rows": counts["examples"]}
