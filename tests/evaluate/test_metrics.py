"""Summary metrics against documented examples and the libraries called directly; whole suites."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml
from sacrebleu import sentence_chrf

from fixtures.code_suites import nltk_data, write_completions, write_items
from fixtures.forks import run_script
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json, read_jsonl
from mixmerge.evaluate.metrics import bleu4, chrfpp, meteor, rouge_l, use_nltk_data
from mixmerge.evaluate.normalisation import normalise
from mixmerge.evaluate.scoring import score
from mixmerge.evaluate.settings import ScoreSettings, SummaryJudging

HYPOTHESIS = (
    "It is a guide to action which ensures that the military always obeys the commands of the party"
)
REFERENCE = (
    "It is a guide to action that ensures that the military will forever heed Party commands"
)


NORMALISE = yaml.safe_load(Path(__file__).with_name("normalise.yaml").read_text("utf-8"))


@pytest.mark.parametrize(("text", "expected"), NORMALISE["normalised"])
def test_normalise(text: str, expected: str) -> None:
    assert normalise(text) == expected


def test_what_normalisation_leaves_and_what_it_leaves_nothing_of() -> None:
    for text in NORMALISE["left"]:
        assert normalise(text) == text
    for text in NORMALISE["nothing"]:
        assert normalise(text) == ""


@pytest.fixture(scope="module")
def wordnet(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        directory = nltk_data(root, tmp_path_factory.mktemp("nltk"))
    except UserError as error:
        pytest.skip(f"no WordNet to be had, METEOR NOT TESTED: {error}")
    use_nltk_data(directory)
    return directory


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prediction", "reference", "value"),
    [
        # The documented example of the library `evaluate`.
        (HYPOTHESIS, REFERENCE, 0.6944),
        # One chunk of one word: penalty 0.5 * (1/1)^3, so 0.5 for a match of any kind.
        ("cab", "taxi", 0.5),
        # nltk looks synonyms up by the stem: it misses those of words that have another one.
        ("automobile", "car", 0),
        ("running", "runs", 0.5),
        ("table", "car", 0),
    ],
)
def test_meteor(wordnet: Path, prediction: str, reference: str, value: float) -> None:
    assert meteor(prediction, reference) == pytest.approx(value, abs=5e-5)


def test_bleu_has_no_smoothing_and_no_warning() -> None:
    # nltk's documentation: three references give 0.5045666840058485.
    assert bleu4(HYPOTHESIS, REFERENCE) == pytest.approx(0.4118, abs=5e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert bleu4("a b c d", "a b x c d") < 1e-50  # no common 3-gram
        assert bleu4("a", "a") < 1e-50  # no 4-gram at all
        assert bleu4("a b c d", "a b c d") == 1


def test_rouge_l_and_chrfpp_by_hand() -> None:
    # Longest common subsequence "the cat the mat": 4 of 5 and 4 of 6 tokens; F = 8/11.
    assert rouge_l("the cat by the mat", "the cat sat on the mat") == pytest.approx(8 / 11)
    assert rouge_l("sums", "sum") == 0  # no stemmer
    assert chrfpp("sums", "sums") == pytest.approx(1)
    assert chrfpp("zzz", "sum") == 0
    expected = sentence_chrf(HYPOTHESIS, [REFERENCE], word_order=2).score / 100
    assert chrfpp(HYPOTHESIS, REFERENCE) == pytest.approx(expected)


WITHOUT_WORDNET = ["bleu4", "chrfpp", "rouge_l"]


def completed(directory: Path, pairs: list[tuple[str, str | None]]) -> tuple[Path, Path]:
    """A suite and completions: prediction and reference each."""
    references = {f"s/{i}": reference for i, (_, reference) in enumerate(pairs)}
    suite = write_items(directory / "suite", dict.fromkeys(references, "?"), references)
    texts = {f"s/{i}": text for i, (text, _) in enumerate(pairs)}
    return suite, write_completions(directory / "completions", {"s": texts})


def settings(*names: Any) -> ScoreSettings:
    return ScoreSettings(suites={"s": SummaryJudging(metrics=list(names))})


def test_rows_and_means_of_a_suite(tmp_path: Path) -> None:
    reference = "Return the sum of all positive numbers in the list."
    texts = [f'"""{reference}"""', "Sorts words.", "", " \n ", "```\n```", reference[:25]]
    pairs = [*((text, reference) for text in texts), ("Sums.", "/** */")]
    suite, completions = completed(tmp_path, pairs)
    own = settings(*WITHOUT_WORDNET)
    score(completions, {"s": suite}, {}, None, tmp_path / "out", own)
    rows = list(read_jsonl(tmp_path / "out/s.jsonl"))
    assert [row.pop("id") for row in rows] == [f"s/{i}" for i in range(7)]
    assert rows[0] == pytest.approx(dict.fromkeys(WITHOUT_WORDNET, 1.0))
    assert rows[1]["bleu4"] < 1e-100
    # Nothing was said, or nothing was to be said.
    assert [*rows[2:5], rows[6]] == [dict.fromkeys(WITHOUT_WORDNET, 0.0)] * 4
    assert 0 < rows[5]["chrfpp"] < 1
    scores = read_json(tmp_path / "out/scores.json")["s"]
    for name in WITHOUT_WORDNET:
        assert scores["metrics"][name] == pytest.approx(sum(row[name] for row in rows) / 7)
    assert (scores["n"], scores["stopped"]) == (7, pytest.approx(6 / 7))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--suites s=a s=b", "--suites: names s, s, but --settings has s; give NAME=PATH once"),
        ("--suites s=a --groundtruth s=b", "--groundtruth: names s, but --settings has none"),
        ("--suites s=a --processes 0", "--processes: workers: Input should be greater than 0"),
        ('--suites s=a --settings {"suits":{}}', "did you mean 'suites'"),
        ("--suites s=suite --nltk-data hollow", "hollow/manifest.json: no manifest; hollow is"),
        ("--suites s=suite", "--nltk-data: missing, but suite 's' is scored with METEOR"),
    ],
)
def test_arguments_that_do_not_fit_get_one_message(
    arguments: str, message: str, tmp_path: Path
) -> None:
    completed(tmp_path, [("a", "x")])
    (tmp_path / "hollow").mkdir()
    common = ["--completions", "completions", "--out", "out"]
    common += ["--settings", settings("meteor").model_dump_json()]
    done = run_script("score.py", *common, *arguments.split(), cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
