"""The summary metrics against documented examples and against the libraries called directly."""

import random
import warnings
from pathlib import Path

import pytest

from fixtures.code_suites import nltk_data
from mixmerge.core.errors import UserError
from mixmerge.evaluate.metrics import METRICS, bleu4, chrfpp, meteor, rouge_l, use_nltk_data
from mixmerge.evaluate.suite import Completion, Item
from mixmerge.evaluate.summaries import score_pair, score_summaries

HYPOTHESIS = (
    "It is a guide to action which ensures that the military always obeys the commands of the party"
)
REFERENCE = (
    "It is a guide to action that ensures that the military will forever heed Party commands"
)


@pytest.fixture(scope="module")
def wordnet(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        directory = nltk_data(root, tmp_path_factory.mktemp("nltk"))
    except UserError as error:
        pytest.skip(f"no WordNet to be had, METEOR NOT TESTED: {error}")
    use_nltk_data(directory)
    return directory


def test_meteor_of_the_evaluate_librarys_documented_example(wordnet: Path) -> None:
    assert meteor(HYPOTHESIS, REFERENCE) == pytest.approx(0.6944, abs=5e-5)


def test_meteor_counts_synonyms_and_stems(wordnet: Path) -> None:
    # One chunk of one word: penalty 0.5 * (1/1)^3, so 0.5 for a match of any kind.
    assert meteor("cab", "taxi") == pytest.approx(0.5)
    # nltk looks synonyms up by the stem, so that it misses those of words that have another one.
    assert meteor("automobile", "car") == 0
    assert meteor("running", "runs") == pytest.approx(0.5)
    assert meteor("table", "car") == 0


def test_bleu_of_nltks_documented_example() -> None:
    # nltk's documentation: three references give 0.5045666840058485.
    from nltk.translate.bleu_score import sentence_bleu

    assert bleu4(HYPOTHESIS, REFERENCE) == sentence_bleu([REFERENCE.split()], HYPOTHESIS.split())
    assert bleu4(HYPOTHESIS, REFERENCE) == pytest.approx(0.4118, abs=5e-5)


def test_bleu_has_no_smoothing_and_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert bleu4("a b c d", "a b x c d") < 1e-50  # no common 3-gram
        assert bleu4("a", "a") < 1e-50  # no 4-gram at all
        assert bleu4("a b c d", "a b c d") == 1


def test_rouge_l_by_hand() -> None:
    # Longest common subsequence "the cat the mat": 4 of 5 and 4 of 6 tokens; F = 8/11.
    assert rouge_l("the cat on the mat".replace("on ", "by "), "the cat sat on the mat") == (
        pytest.approx(8 / 11)
    )
    assert rouge_l("sums", "sum") == 0  # no stemmer


def test_chrfpp_by_hand() -> None:
    # chrF++ of one identical word is 1; of no common character 0; word order 2 counts words too.
    assert chrfpp("sums", "sums") == pytest.approx(1)
    assert chrfpp("zzz", "sum") == 0
    from sacrebleu.metrics import CHRF

    assert chrfpp(HYPOTHESIS, REFERENCE) == pytest.approx(
        CHRF(word_order=2).sentence_score(HYPOTHESIS, [REFERENCE]).score / 100
    )
    assert chrfpp(HYPOTHESIS, REFERENCE) != pytest.approx(
        CHRF().sentence_score(HYPOTHESIS, [REFERENCE]).score / 100
    )


def test_pairs_equal_direct_calls_of_the_libraries(wordnet: Path) -> None:
    """Random sentences: our pair scores are the libraries' own on the normalised texts."""
    from nltk.tokenize import word_tokenize
    from nltk.translate.bleu_score import sentence_bleu
    from nltk.translate.meteor_score import single_meteor_score
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu import sentence_chrf

    dice = random.Random(0)
    words = ["return", "returns", "the", "a", "list", "of", "lists", "sum", "numbers,"]
    words += ["positive", "(sorted)", "word", "word's"]
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    for _ in range(60):
        prediction, reference = (
            " ".join(dice.choices(words, k=dice.randint(1, 14))) for _ in range(2)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = {
                "bleu4": sentence_bleu([reference.split()], prediction.split()),
                "chrfpp": sentence_chrf(prediction, [reference], word_order=2).score / 100,
                "rouge_l": scorer.score(reference, prediction)["rougeL"].fmeasure,
                "meteor": single_meteor_score(
                    word_tokenize(reference),
                    word_tokenize(prediction),
                    alpha=0.9,
                    beta=3,
                    gamma=0.5,
                ),
            }
        found = score_pair(f'"""{prediction}."""', f"/** {reference}. */", list(METRICS))
        assert found == pytest.approx(expected, abs=1e-12)


def test_the_data_came_with_its_licences(wordnet: Path) -> None:
    assert "Princeton" in (wordnet / "corpora/wordnet/LICENSE").read_text(encoding="utf-8")
    assert (wordnet / "tokenizers/punkt_tab/README").exists()


def test_forked_processes_read_wordnet_each_for_itself(wordnet: Path, tmp_path: Path) -> None:
    """They share open files with their parent, and would read where a sibling has just moved to."""
    with (wordnet / "corpora/wordnet/index.noun").open(encoding="utf-8") as file:
        words = [line.split()[0] for line in file if not line.startswith(" ") and "_" not in line]
    dice = random.Random(1)
    texts = [" ".join(dice.sample(words, 12)) for _ in range(3000)]
    items = [Item(str(number), [], text) for number, text in enumerate(texts[:1500])]
    rows = [
        Completion(item.id, text, "stop", 1, 1)
        for item, text in zip(items, texts[1500:], strict=True)
    ]
    path = tmp_path / "items.jsonl"
    use_nltk_data(wordnet)  # forget what was read
    forked = score_summaries(rows, items, path, ["meteor"], processes=3)
    assert forked == score_summaries(rows, items, path, ["meteor"])
