"""Metrics of summary suites by nltk, sacrebleu and rouge-score, with the settings of PROTOCOL."""

import warnings
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from sacrebleu import sentence_chrf
from tqdm import tqdm

from mixmerge.artifacts.manifest import read_manifest
from mixmerge.core.errors import UserError
from mixmerge.evaluate.normalisation import normalise
from mixmerge.evaluate.suite import Completion, Item


def bleu4(prediction: str, reference: str) -> float:
    """Sentence BLEU of nltk: uniform weights to 4-grams, no smoothing, white-space tokens."""
    from nltk.translate.bleu_score import sentence_bleu

    with warnings.catch_warnings():
        # Without smoothing, a pair that shares no 4-gram scores 0, and nltk says so each time.
        warnings.simplefilter("ignore")
        return float(sentence_bleu([reference.split()], prediction.split()))


def chrfpp(prediction: str, reference: str) -> float:
    """Sentence chrF of sacrebleu with word order 2, as a share."""
    return float(sentence_chrf(prediction, [reference], word_order=2).score) / 100


def rouge_l(prediction: str, reference: str) -> float:
    """ROUGE-L of rouge-score: F-measure, no stemmer."""
    from rouge_score.rouge_scorer import RougeScorer

    return float(RougeScorer(["rougeL"]).score(reference, prediction)["rougeL"].fmeasure)


def meteor(prediction: str, reference: str) -> float:
    """METEOR of nltk on `word_tokenize` tokens with WordNet; alpha 0.9, beta 3, gamma 0.5."""
    from nltk.tokenize import word_tokenize
    from nltk.translate.meteor_score import meteor_score

    words = [word_tokenize(reference)], word_tokenize(prediction)
    return float(meteor_score(*words, **_meteor_tools(), alpha=0.9, beta=3, gamma=0.5))


@cache
def _meteor_tools() -> dict[str, Any]:
    """Stemmer and WordNet reader of nltk, which remember words: half as long again without."""
    import nltk
    from nltk.corpus.reader.wordnet import WordNetCorpusReader
    from nltk.stem.porter import PorterStemmer

    # The mapping to other languages' WordNets would take a third of a scoring job's start.
    WordNetCorpusReader.map_wn = lambda *_: None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "multilingual functions are not available"
        wordnet = WordNetCorpusReader(nltk.data.find("corpora/wordnet"), None)
    stemmer = PorterStemmer()
    stemmer.stem = lru_cache(20_000)(stemmer.stem)  # summaries use few words
    wordnet.synsets = lru_cache(20_000)(wordnet.synsets)
    return {"stemmer": stemmer, "wordnet": wordnet}


def use_nltk_data(directory: Path) -> None:
    """Make nltk look in ``directory`` and nowhere else; the rule nltk_data has tried it."""
    import nltk

    read_manifest(directory, "nltk_data")
    nltk.data.path[:] = [str(directory)]


#: Name in the config -> metric: (prediction, reference) -> score between 0 and 1.
METRICS = {metric.__name__: metric for metric in (bleu4, chrfpp, rouge_l, meteor)}


def score_summaries(
    completions: list[Completion], items: list[Item], source: Path, metrics: Sequence[str]
) -> list[dict[str, Any]]:
    """Score completions against their items' references: rows of id and metrics, in order.

    All are 0 where either text is empty after normalisation; ``source`` is the items' file.
    """
    rows = []
    pairs = zip(completions, items, strict=True)
    for row, item in tqdm(pairs, "score", len(items), unit="pair", mininterval=1):
        if item.reference is None:
            raise UserError(f"{source}: item {item.id!r} has no reference to be scored against")
        texts = normalise(row.completion), normalise(item.reference)
        scores = {name: METRICS[name](*texts) if all(texts) else 0.0 for name in metrics}
        rows.append({"id": item.id, **scores})
    return rows
