"""Pre-trains a small causal language model from scratch on the embedded corpus."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedded_study.family import family_of, train_tokenizer
from mixmerge.checkpoint.settings import EmbeddedModel
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_jsonl

if TYPE_CHECKING:
    import torch

_BETAS = (0.9, 0.95)
_FLOOR = 0.1  # the cosine ends at this share of the peak rate
_CLIP = 1.0
_POOL = 1024  # documents sorted by length at a time

Document = tuple[list[int], list[int]]
Batch = tuple["torch.Tensor", "torch.Tensor"]


def pretrain(
    out: Path, corpus: Path, settings: EmbeddedModel, seed: int, *, progress: bool = True
) -> None:
    """Train tokenizer and model on ``corpus/pretrain.jsonl``; write them in Hugging Face layout.

    Same inputs and seed, same bytes on the same machine with the same number of threads.

    Args:
        out: existing, empty directory.
        corpus: directory that `embedded_study.corpus.build_corpus` wrote.
        settings: architecture, size and training.
        seed: of the initial weights and the order of the documents.
        progress: whether to draw a progress bar on stderr.

    Raises:
        UserError: ``out`` is missing or not empty, the corpus is missing or malformed, or the
            training diverged.
    """
    if not out.is_dir() or any(out.iterdir()):
        raise UserError(f"{out}: the base model is written into an existing, empty directory")
    # Import here: this takes seconds, and the messages above shouldn't.
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    source = corpus / "pretrain.jsonl"
    rows = list(read_jsonl(source))
    pairs = [_split(row, settings, source, line) for line, row in enumerate(rows, start=1)]
    tokenizer = train_tokenizer([context + text for context, text in pairs], settings)
    contexts, texts = (tokenizer(list(part))["input_ids"] for part in zip(*pairs, strict=True))
    torch.manual_seed(seed)
    model = build_model(settings, tokenizer)
    documents = list(zip(contexts, texts, strict=True))
    batches = form_batches(documents, tokenizer.pad_token_id, settings, seed)
    _train(model, batches, settings, progress)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def _split(
    row: dict[str, Any], settings: EmbeddedModel, source: Path, line: int
) -> tuple[str, str]:
    """A document as what is given and what is learned: of a chat, the answer and its stop token."""
    family = family_of(settings)
    bos = family.bos or ""
    if isinstance(row.get("text"), str):
        return bos + str(row.get("context", "")), str(row["text"])
    if "messages" not in row:
        raise UserError(f"{source}:{line}: a document needs a field 'text' or 'messages'")
    from transformers.utils.chat_template_utils import render_jinja_template

    chat = row["messages"]
    template = {"chat_template": family.chat_template, "bos_token": bos}
    whole = str(render_jinja_template([chat], **template)[0][0])
    prompt = render_jinja_template([chat[:-1]], add_generation_prompt=True, **template)[0][0]
    return str(prompt), whole[len(prompt) :].removesuffix("\n")


def build_model(settings: EmbeddedModel, tokenizer: Any) -> Any:
    """A freshly initialised float32 `Qwen2ForCausalLM` or `LlamaForCausalLM`."""
    import transformers

    names = {"qwen2": "Qwen2", "llama": "Llama"}
    stem = names[settings.architecture]
    config = getattr(transformers, f"{stem}Config")(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden_size,
        intermediate_size=settings.intermediate_size,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.kv_heads,
        max_position_embeddings=settings.context,
        tie_word_embeddings=settings.tie_embeddings,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        # Keeps activations near unit size at any width; 0.02 is meant for widths in the thousands.
        initializer_range=0.5 * settings.hidden_size**-0.5,
    )
    model = getattr(transformers, f"{stem}ForCausalLM")(config)
    model.generation_config = transformers.GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        # A base may end an answer as it ended a plain document; both stop the generation.
        eos_token_id=[tokenizer.eos_token_id, tokenizer.pad_token_id],
        pad_token_id=tokenizer.pad_token_id,
        do_sample=False,
    )
    return model


def form_batches(
    documents: list[Document], end: int, settings: EmbeddedModel, seed: int
) -> list[Batch]:
    """Batches of whole documents of like length, an ``end`` token after each, padded on the right.

    A document is neither cut nor does it see another one: packing rows end to end, a study this
    small took three times the steps to learn to look back at a docstring. Passes over the corpus
    are repeated, each in another order, until the steps are filled.

    Args:
        documents: token ids of (context, text); only the text and ``end`` are learned.
        end: id of the token that ends a document and pads.
        settings: ``steps`` and ``batch_tokens``; documents are cut off at ``context`` tokens.
        seed: of the order.

    Returns:
        ``steps`` pairs of int64 ids and labels, both (documents, tokens); no loss where -100.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    batches: list[Batch] = []
    while len(batches) < settings.steps:
        order = torch.randperm(len(documents), generator=generator).tolist()
        groups: list[list[Document]] = []
        for start in range(0, len(order), _POOL):
            pool = [documents[index] for index in order[start : start + _POOL]]
            groups.extend(_groups(sorted(pool, key=_length), settings.batch_tokens))
        shuffled = torch.randperm(len(groups), generator=generator).tolist()
        batches.extend(_collate(groups[index], end, settings.context) for index in shuffled)
    return batches[: settings.steps]


def _length(document: Document) -> int:
    return len(document[0]) + len(document[1]) + 1


def _groups(ordered: list[Document], tokens: int) -> list[list[Document]]:
    """Cut documents ordered by length into runs of at most ``tokens``, padding included."""
    groups: list[list[Document]] = [[]]
    for document in ordered:
        if groups[-1] and (len(groups[-1]) + 1) * _length(document) > tokens:
            groups.append([])
        groups[-1].append(document)
    return groups


def _collate(group: list[Document], end: int, context: int) -> Batch:
    import torch

    width = min(context, max(map(_length, group)))
    ids = torch.full((len(group), width), end)
    labels = torch.full((len(group), width), -100)
    for row, (context_ids, text) in enumerate(group):
        tokens = torch.tensor([*context_ids, *text, end])[:width]
        ids[row, : len(tokens)] = tokens
        labels[row, len(context_ids) : len(tokens)] = tokens[len(context_ids) :]
    return ids, labels


def learning_rate(step: int, settings: EmbeddedModel) -> float:
    """Rate at ``step`` (from 0): linear warm-up, then a cosine down to a tenth of the peak."""
    rise = max(1, round(settings.warmup * settings.steps))
    if step < rise:
        return settings.learning_rate * (step + 1) / rise
    done = (step - rise) / max(1, settings.steps - rise)
    return settings.learning_rate * (_FLOOR + (1 - _FLOOR) * (1 + math.cos(math.pi * done)) / 2)


def _train(model: Any, batches: list[Batch], settings: EmbeddedModel, progress: bool) -> None:
    import torch
    from tqdm import tqdm

    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
        betas=_BETAS,
        fused=True,
    )
    model.train()
    bar = tqdm(batches, desc=f"pretrain {settings.architecture}", unit="step", disable=not progress)
    for step, (ids, labels) in enumerate(bar):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, settings)
        loss = model(input_ids=ids, labels=labels, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
        optimizer.step()
        optimizer.zero_grad()
        if step % 20 == 0 or step == len(batches) - 1:
            value = loss.item()
            if not math.isfinite(value):
                raise UserError(
                    f"pre-training diverged at step {step} (loss {value}); lower learning_rate "
                    f"(now {settings.learning_rate})"
                )
            bar.set_postfix(loss=f"{value:.3f}")
    model.eval()
