"""The four summary metrics on one normalised pair, as PROTOCOL defines them.

nltk, sacrebleu and rouge-score do the arithmetic; this module fixes their settings.
"""

import warnings
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from mixmerge.core.errors import UserError

#: Words whose stems and synonyms are remembered: summaries use few.
_WORDS = 20_000

#: A metric: (prediction, reference) -> score between 0 and 1.
Metric = Callable[[str, str], float]


def bleu4(prediction: str, reference: str) -> float:
    """Sentence BLEU of nltk: uniform weights to 4-grams, no smoothing, white-space tokens."""
    from nltk.translate.bleu_score import sentence_bleu

    with warnings.catch_warnings():
        # Without smoothing, a pair that shares no 4-gram scores 0, and nltk says so each time.
        warnings.simplefilter("ignore")
        return float(sentence_bleu([reference.split()], prediction.split()))


def chrfpp(prediction: str, reference: str) -> float:
    """Sentence chrF of sacrebleu with word order 2, as a share."""
    return float(_chrf().sentence_score(prediction, [reference]).score) / 100


def rouge_l(prediction: str, reference: str) -> float:
    """ROUGE-L of rouge-score: F-measure, no stemmer."""
    return float(_rouge_scorer().score(reference, prediction)["rougeL"].fmeasure)


def meteor(prediction: str, reference: str) -> float:
    """METEOR of nltk on `word_tokenize` tokens with WordNet; alpha 0.9, beta 3, gamma 0.5."""
    from nltk.tokenize import word_tokenize
    from nltk.translate.meteor_score import meteor_score

    return float(
        meteor_score(
            [word_tokenize(reference)],
            word_tokenize(prediction),
            stemmer=_stemmer(),
            wordnet=_wordnet(),
            alpha=0.9,
            beta=3,
            gamma=0.5,
        )
    )


#: Name in the config -> metric.
METRICS: dict[str, Metric] = {
    "bleu4": bleu4,
    "chrfpp": chrfpp,
    "rouge_l": rouge_l,
    "meteor": meteor,
}


def use_nltk_data(directory: Path) -> None:
    """Make nltk look in ``directory`` and nowhere else, and load what METEOR needs from there.

    Raises:
        UserError: WordNet or the tokenizer's data are not there.
    """
    import nltk

    nltk.data.path[:] = [str(directory)]
    _wordnet.cache_clear()
    try:
        meteor("word", "word")
    except LookupError:
        raise UserError(
            f"{directory}: lacks WordNet or punkt_tab, which METEOR needs; "
            "run the rule nltk_data (workflow/scripts/nltk_data.py --out DIR) again"
        ) from None


def reopen_files() -> None:
    """Give a forked process files of its own.

    WordNet's reader keeps its files open, and a forked process shares their positions with its
    siblings: each would read where another has just moved to.
    """
    if _wordnet.cache_info().currsize:
        reader = _wordnet()
        reader._data_file_map = {}
        reader._key_count_file = None
        reader._key_synset_file = None


@cache
def _wordnet() -> Any:
    """WordNet reader of nltk, without the mapping to other languages' WordNets.

    nltk builds that mapping at every start (a third of the start-up of a scoring job); METEOR
    looks up English synonyms only.
    """
    import nltk
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    class English(WordNetCorpusReader):  # type: ignore[misc]
        def map_wn(self, version: str = "wordnet") -> None:
            return None

        @lru_cache(_WORDS)  # noqa: B019 -- one reader a process
        def synsets(self, lemma: str) -> Any:
            return super().synsets(lemma)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "multilingual functions are not available"
        return English(nltk.data.find("corpora/wordnet"), None)


@cache
def _stemmer() -> Any:
    from nltk.stem.porter import PorterStemmer

    class Remembering(PorterStemmer):  # type: ignore[misc]
        @lru_cache(_WORDS)  # noqa: B019 -- one stemmer a process
        def stem(self, word: str) -> Any:
            return super().stem(word)

    return Remembering()


@cache
def _chrf() -> Any:
    from sacrebleu.metrics import CHRF

    return CHRF(word_order=2)


@cache
def _rouge_scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], use_stemmer=False)
