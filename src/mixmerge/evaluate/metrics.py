"""Metrics of summary suites, as PROTOCOL defines them, and what texts go through before.

nltk, sacrebleu and rouge-score do the arithmetic; this module fixes their settings.
"""

import gc
import html
import multiprocessing
import re
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

from sacrebleu import sentence_chrf
from tqdm import tqdm

from mixmerge.artifacts.manifest import read_manifest
from mixmerge.core.errors import UserError
from mixmerge.evaluate.suite import Completion, Item

#: Words whose stems and synonyms are remembered: summaries use few.
_WORDS = 20_000
#: Pairs for which another process is worth its start.
_PAIRS_A_PROCESS = 500

# Only names of HTML elements: `a < b > c` and `List<String>` are text.
_ELEMENTS = (
    "a|abbr|b|big|blockquote|br|caption|center|cite|code|dd|del|div|dl|dt|em|font|h[1-6]|hr|i|img"
    "|ins|kbd|li|ol|p|pre|q|s|samp|small|span|strike|strong|sub|sup|table|tbody|td|tfoot|th|thead"
    "|tr|tt|u|ul|var"
)
_JAVADOC = (
    "param|returns?|throws|exception|see|since|deprecated|author|version|serial\\w*|inheritDoc|code"
    "|link|linkplain|literal|value|apiNote|implNote|implSpec|hidden|category"
)

#: What `normalise` replaces, in order.
_REPLACED = [
    (re.compile(pattern, re.IGNORECASE | re.DOTALL | re.MULTILINE), replacement)
    for pattern, replacement in (
        ("\r\n|\r", "\n"),
        (r"<think>.*?(?:</think>|\Z)", " "),
        # The template opens the block for some models, so that only its end is in the completion.
        (r"\A.*</think>", " "),
        # A fence's marker goes with its language; what it encloses stays, for it may be all.
        (r"^[ \t]*(?:`{3,}|~{3,})[ \t]*[\w+#.-]*[ \t]*$", " "),
        ("`{3,}", " "),
        (r"\b[rub]{0,2}(?:\"\"\"|''')|(?:\"\"\"|''')", " "),
        # Markers of comments at a line's start, then anywhere.
        (r"^[ \t]*(?:/\*+|\*+/|\*+(?=\s|$)|//+!?|#+!?(?=\s|$)|--(?=\s))", " "),
        (r"/\*+|\*+/", " "),
        # Javadoc's inline and block tags, whose letters' case counts.
        (r"\{@\w+\s*([^{}]*)\}", r"\1"),
        (rf"(?<![\w.])@(?-i:{_JAVADOC})\b", " "),
        (rf"</?(?:{_ELEMENTS})(?:\s[^<>]*)?/?>", " "),
        (r"\s+", " "),
    )
]


def normalise(text: str) -> str:
    """Normalise a prediction or a reference; a text of markers alone becomes empty.

    In PROTOCOL's order: HTML entities are unescaped; ``<think>`` blocks go with their content;
    markers of code fences, triple quotes and comments go and leave theirs; HTML tags and javadoc
    tags go (``{@code x}`` leaves ``x``); white space collapses; one last full stop is stripped.
    """
    text = html.unescape(text)
    for pattern, replacement in _REPLACED:
        text = pattern.sub(replacement, text)
    return text.strip().removesuffix(".").rstrip()


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
    tools = {"stemmer": _stemmer(), "wordnet": _wordnet()}
    return float(meteor_score(*words, **tools, alpha=0.9, beta=3, gamma=0.5))


#: Name in the config -> metric: (prediction, reference) -> score between 0 and 1.
METRICS: dict[str, Callable[[str, str], float]] = {
    metric.__name__: metric for metric in (bleu4, chrfpp, rouge_l, meteor)
}


def score_pair(prediction: str, reference: str, metrics: Sequence[str]) -> dict[str, float]:
    """The metrics of one pair, after normalisation; all 0 where either text is then empty."""
    prediction, reference = normalise(prediction), normalise(reference)
    if not prediction or not reference:
        return dict.fromkeys(metrics, 0.0)
    return {name: METRICS[name](prediction, reference) for name in metrics}


def score_summaries(
    completions: list[Completion],
    items: list[Item],
    source: Path,
    metrics: Sequence[str],
    processes: int = 1,
) -> list[dict[str, Any]]:
    """Score completions against their items' references: rows of id and metrics, in order.

    ``source`` is the items' file, for messages. Little to do is done by fewer processes.
    """
    lacking = [item.id for item in items if item.reference is None]
    if lacking:
        raise UserError(
            f"{source}: item {lacking[0]!r} has no reference, which a summary suite needs"
        )
    pairs = [row.completion for row in completions], [str(item.reference) for item in items]
    score = partial(score_pair, metrics=metrics)
    bar = partial(tqdm, desc="score", total=len(items), unit="pair", mininterval=1)
    processes = min(processes, len(items) // _PAIRS_A_PROCESS)
    if processes < 2:  # forked, one would outlive a job that is killed
        scores = list(bar(map(score, *pairs)))
    else:
        # Forked: WordNet, which takes seconds and 100 MB to load, is there already, and shared.
        gc.freeze()
        fork = multiprocessing.get_context("fork")
        try:
            with ProcessPoolExecutor(processes, fork, _reopen_files) as pool:
                scores = list(bar(pool.map(score, *pairs, chunksize=50)))
        except BrokenProcessPool:
            raise UserError(
                f"{source}: a process scoring its pairs was killed, most likely for memory; "
                "score with fewer processes or give the job more memory"
            ) from None
    return [{"id": item.id, **values} for item, values in zip(items, scores, strict=True)]


def use_nltk_data(directory: Path) -> None:
    """Make nltk look in ``directory`` and nowhere else, and load what METEOR needs from there."""
    import nltk

    read_manifest(directory, "nltk_data")
    nltk.data.path[:] = [str(directory)]
    _wordnet.cache_clear()
    try:
        meteor("word", "word")
    except LookupError:
        raise UserError(
            f"{directory}: lacks WordNet or punkt_tab, which METEOR needs; "
            "run the rule nltk_data (workflow/scripts/nltk_data.py --out DIR) again"
        ) from None


def _reopen_files() -> None:
    """Give a forked process files of WordNet of its own: it would share positions with siblings."""
    if _wordnet.cache_info().currsize:
        _wordnet()._data_file_map = {}


@cache
def _wordnet() -> Any:
    """WordNet reader of nltk."""
    import nltk
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    # The mapping to other languages' WordNets would take a third of a scoring job's start.
    WordNetCorpusReader.map_wn = lambda *_: None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "multilingual functions are not available"
        reader = WordNetCorpusReader(nltk.data.find("corpora/wordnet"), None)
    reader.synsets = lru_cache(_WORDS)(reader.synsets)
    return reader


@cache
def _stemmer() -> Any:
    from nltk.stem.porter import PorterStemmer

    stemmer = PorterStemmer()
    stemmer.stem = lru_cache(_WORDS)(stemmer.stem)
    return stemmer
