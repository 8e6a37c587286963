"""The four summary metrics as PROTOCOL defines them, and what texts go through before.

nltk, sacrebleu and rouge-score do the arithmetic; this module fixes their settings.
"""

import html
import re
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


_THINK = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL | re.IGNORECASE)
# The template opens the block for some models, so that only its end is in the completion.
_THOUGHT_BEFORE = re.compile(r"\A.*</think>", re.DOTALL | re.IGNORECASE)
# A fence's marker goes with its language; what it encloses stays, for it may be all there is.
_FENCE = re.compile(r"^[ \t]*(?:`{3,}|~{3,})[ \t]*[\w+#.-]*[ \t]*$", re.MULTILINE)
_INLINE_FENCE = re.compile(r"`{3,}")
_TRIPLE_QUOTES = re.compile(r"\b[rRuUbB]{0,2}(?:\"\"\"|''')|(?:\"\"\"|''')")
_LINE_MARKER = re.compile(
    r"^[ \t]*(?:/\*+|\*+/|\*+(?=\s|$)|//+!?|#+!?(?=\s|$)|--(?=\s))", re.MULTILINE
)
_BLOCK_EDGE = re.compile(r"/\*+|\*+/")
_INLINE_TAG = re.compile(r"\{@\w+\s*([^{}]*)\}")
_BLOCK_TAG = re.compile(
    r"(?<![\w.])@(?:param|returns?|throws|exception|see|since|deprecated|author|version|serial\w*"
    r"|inheritDoc|code|link|linkplain|literal|value|apiNote|implNote|implSpec|hidden|category)\b"
)
# Only names of HTML elements: `a < b > c` and `List<String>` are text.
_ELEMENTS = (
    "a|abbr|b|big|blockquote|br|caption|center|cite|code|dd|del|div|dl|dt|em|font|h[1-6]|hr|i|img"
    "|ins|kbd|li|ol|p|pre|q|s|samp|small|span|strike|strong|sub|sup|table|tbody|td|tfoot|th|thead"
    "|tr|tt|u|ul|var"
)
_HTML_TAG = re.compile(rf"</?(?:{_ELEMENTS})(?:\s[^<>]*)?/?>", re.IGNORECASE)
_WHITE_SPACE = re.compile(r"\s+")


def normalise(text: str) -> str:
    """Normalise a prediction or a reference; a text of markers alone becomes empty.

    In PROTOCOL's order: HTML entities are unescaped; ``<think>`` blocks go with their content;
    markers of code fences, triple quotes and comments go and leave theirs; HTML tags and javadoc
    tags go (``{@code x}`` leaves ``x``); white space collapses; one last full stop is stripped.
    """
    text = html.unescape(text).replace("\r\n", "\n").replace("\r", "\n")
    text = _THINK.sub(" ", text)
    text = _THOUGHT_BEFORE.sub(" ", text)
    text = _FENCE.sub(" ", text)
    text = _INLINE_FENCE.sub(" ", text)
    text = _TRIPLE_QUOTES.sub(" ", text)
    text = _LINE_MARKER.sub(" ", text)
    text = _BLOCK_EDGE.sub(" ", text)
    text = _INLINE_TAG.sub(r"\1", text)
    text = _BLOCK_TAG.sub(" ", text)
    text = _HTML_TAG.sub(" ", text)
    text = _WHITE_SPACE.sub(" ", text).strip()
    return text.removesuffix(".").rstrip()


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
