"""Rows that share an n-gram with a suite are dropped, with the reason; nothing else is."""

import random
import re

import pytest

from fixtures.data import prepared, read, write
from mixmerge.artifacts.manifest import read_manifest, write_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json
from mixmerge.data.decontaminate import decontaminate, ngram_index, ngrams
from mixmerge.data.settings import Decontamination

# Nine words of instruction: a template of its own would be an overlap at n = 5.
TEMPLATES = {
    "prompt": "Write a Python function that does the following, please:\n{problem}",
    "answer": "Here is the code you asked me for:\n{solution}",
}


def row(name, problem="nothing in particular", solution="pass"):
    return {"id": name, "problem": problem, "solution": solution}


def item(name, **texts):
    return {"id": name, "texts": texts}


def run(root, rows, suites, **settings):
    task = prepared(root, "codegen", {"src": rows}, TEMPLATES, {"id_column": "id"})
    heldout = {suite: root / "heldout" / suite for suite in suites}
    for suite, directory in heldout.items():
        write(directory / "texts.jsonl", suites[suite])
        write_manifest(directory, "heldout", {"items": len(suites[suite])})
    out = root / "clean" / "codegen"
    report = decontaminate("codegen", Decontamination(ngram=5, **settings), task, heldout, out)
    return read(out / "rows.jsonl"), read(out / "dropped.jsonl"), report


SUITES = {
    "mbpp": [item("Mbpp/9", problem="the LONGEST common prefix, of-both strings"), item("M", t="")],
    "humaneval": [
        item("HumanEval/0", problem="Return the longest common prefix of both words.", solution=""),
        item("HumanEval/1", problem="Short one", solution="for a in b: c(a, [1, 2, 3, 4, 5, 6])"),
    ],
}


def test_rows_that_share_an_ngram_are_dropped_and_told(tmp_path):
    rows = [
        row("same", "Please return the longest  Common\nprefix -- of both"),
        row("near", "Return the longest prefix of both words in common"),
        row("code", solution="def f():\n    for a in b:\n        c( a )"),
        row("numbers", solution="g(1, 2, 3, 4, 5, 6)"),
        row("across", "return the longest", "common prefix of both"),
        row("fine"),
    ]
    kept, dropped, report = run(tmp_path, rows, SUITES)
    assert [row["id"][12:] for row in kept] == ["near", "numbers", "across", "fine"]
    assert set(kept[0]) == {"id", "task", "source", "messages"}
    first = {"suite": "humaneval", "item": "HumanEval/0", "field": "problem"}
    first["ngram"] = "return the longest common prefix"
    second = {"suite": "mbpp", "item": "Mbpp/9", "field": "problem"}
    second["ngram"] = "the longest common prefix of"
    assert dropped[0] == {"id": "codegen/src/same", **first, "overlaps": [first, second]}
    gaps = {"items": 2, "too_short": 0, "no_text": 0, "rows": 2}
    assert report["suites"]["humaneval"] == gaps
    assert report["suites"]["mbpp"] == gaps | {"no_text": 1, "rows": 1}
    assert report["dropped"] == len(dropped) == 2
    assert read_manifest(tmp_path / "clean" / "codegen", "rows")["facts"] == {"rows": 4}
    assert read_json(tmp_path / "clean" / "codegen" / "report.json") == report


def test_the_words_of_the_templates_are_no_overlap(tmp_path):
    instruction = TEMPLATES["prompt"].format(problem="") + TEMPLATES["answer"].format(solution="")
    suites = {"s": [item("a", problem=instruction), item("b", problem="please:\nkeep this row")]}
    kept, dropped, _ = run(tmp_path, [row("one", "keep this row"), row("two")], suites)
    assert len(kept) == 2 and not dropped


@pytest.mark.parametrize(
    ("settings", "left"),
    [
        ({"fields": ["problem"]}, 2),
        ({"fields": ["solution"]}, 1),
        ({"fields": ["another"]}, 1),  # a task without it: all
        ({"enabled": False}, 2),
    ],
)
def test_settings_narrow_what_is_compared(tmp_path, settings, left):
    rows = [row("one", solution="return the longest common prefix of both"), row("two")]
    kept, dropped, report = run(tmp_path, rows, SUITES, **settings)
    assert (len(kept), len(dropped), report["rows"]) == (left, 2 - left, left)
    assert "spans" not in kept[0] and bool(report["suites"]) == settings.get("enabled", True)


CHINESE = "请编写一个函数，接收一个整数列表，返回其中所有偶数的平方和，并保持原有顺序不变。"
THAI = "เขียนฟังก์ชันที่รับรายการจำนวนเต็มแล้วคืนผลรวมของจำนวนคู่ทั้งหมดโดยไม่ใช้ลูป"


@pytest.mark.parametrize(
    ("held_out", "text", "is_dropped"),
    [
        # Shorter than an n-gram: equal after normalisation, or not.
        ("Count vowels.", "count  VOWELS", True),
        ("Count vowels.", "Ｃｏｕｎｔ vow\u00adels！", True),
        ("Count vowels.", "Count the vowels.", False),
        ("Count vowels.", "Please count vowels.", False),
        ("Straße", "STRASSE", True),
        ("cafe\u0301", "café", True),
        ("{}", "{ }", True),
        ("{}", "()", False),
        (" \n", "...", False),
        ("return a + b", "return a + b\n", True),
        ("return a + b", "return a - b", False),
        ("return a * b", "return a - b", False),
        ("1, 2, 3, 4, 5, 6", "1 2 3 4 5 6", True),  # an n-gram without letters
        ("1, 2, 3, 4, 5, 6", "1 2 3 4 5 6 7", False),
        ("1, 2, 3, 4, 5", "a b 1 2 3 4 5 c", False),
        # Without spaces: whole, or ten characters of it.
        ("两数之和", "两数之和。", True),
        ("两数之和", "三数之和", False),
        (CHINESE, f"任务：{CHINESE[7:20]}", True),
        (CHINESE, f"任务：{CHINESE[7:17]}", False),  # a comma is no character of it
        (CHINESE, CHINESE[:9] + "字符串，判断它是否为回文。", False),
        (THAI, f"ข้อ 1 {THAI[5:40]}", True),
        (THAI, f"ข้อ 1 {THAI[:12]}", False),
        ("文字列を逆順にする関数を書く", "ﾃｽﾄ 文字列を逆順にする関数を", True),
        ("សរសេរអនុគមន៍ដែលត្រឡប់ផលបូក", "សរសេរអនុគមន៍ដែលត្រឡប់", True),
        ("ဂဏန်းစာရင်းပေါင်းလဒ်ကိုရှာပါ", "ဂဏန်းစာရင်းပေါင်းလဒ်ကို", True),
        # Words count for as much as two characters.
        ("用 python 写 quick sort 函数 and test", "请用 Python 写 quick sort 函数", True),
        ("用 python 写 quick sort 函数 and test", "请用 Python 写 quick 函数", False),
        # Scripts with spaces have words, marks and all.
        ("두 수의 합을 구하는 함수를 작성하세요", "자, 두 수의 합을 구하는 함수를", True),
        ("두 수의 합을 구하는 함수를 작성하세요", "자, 두 수의 합을 코드", False),
        ("दो संख्याओं का योग लौटाने वाला", "दो संख्याओं का योग", False),
    ],
)
def test_texts_of_any_length_and_script(tmp_path, held_out, text, is_dropped):
    suites = {"s": [item("a", problem="xyzzy", solution=held_out)]}
    for number, turn in enumerate(({"problem": text}, {"solution": text})):
        rows = [row("one", **turn), row("two", "b c d e f g h")]
        kept, dropped, _ = run(tmp_path / str(number), rows, suites)
        assert [row["id"][12:] for row in dropped] == ["one"] * is_dropped, dropped
        assert len(kept) == 2 - is_dropped


def test_a_turn_of_several_fields_is_compared_as_a_whole(tmp_path):
    """A field that names a language is everywhere the same; a problem may stand beside it."""
    templates = {"prompt": "In {language}: {problem}", "answer": "{solution}"}
    suite = item("a", **{"language, problem": "Python\nSort it.", "solution": "s.sort()"})

    def dropped(language, problem):
        rows = [{"language": language, "problem": problem, "solution": "x"}]
        rows += [{"language": "Python", "problem": "Keep", "solution": "this"}]
        task = prepared(tmp_path, "t", {"src": rows}, templates, {})
        write(tmp_path / "held/texts.jsonl", [suite])
        write_manifest(tmp_path / "held", "heldout", {"items": 1})
        held_out = {"s": tmp_path / "held"}
        decontaminate("t", Decontamination(ngram=5), task, held_out, tmp_path / "clean")
        return read(tmp_path / "clean/dropped.jsonl")

    [row] = dropped("python", "sort IT")
    assert (row["item"], row["field"], row["ngram"]) == ("a", "language, problem", "python sort it")
    assert not dropped("Java", "Sort it.")


def test_what_cannot_be_compared_is_told(tmp_path, capsys):
    suites = {"s": [item("a", problem="Short"), item("b", problem=" "), item("c", problem="x")]}
    run(tmp_path, [row("one"), row("two")], suites)
    told = capsys.readouterr().err
    assert (
        "warning: items shorter than an n-gram (5 words), where rows go that equal one, not" in told
    )
    assert "longer text: 2 of 3 of s\n" in told
    assert "warning: items without a text to compare with: 1 of 3 of s\n" in told
    suites = {"s": [item("a", solution="yes")]}
    with pytest.raises(UserError, match=r"left none of 2 .* name the question's field in `fields`"):
        run(tmp_path, [row("one", solution="Yes"), row("two", solution="yes")], suites)


def test_nothing_left_or_nothing_to_compare_with_is_an_error(tmp_path):
    rows = [row("one", "return the longest common prefix of both")]
    with pytest.raises(UserError, match=r"left none of 1 rows; a longer data\.decontamination"):
        run(tmp_path, rows, SUITES)
    assert not (tmp_path / "clean" / "codegen").exists()
    with pytest.raises(UserError, match=r"no --heldout directory"):
        run(tmp_path, rows, {})


def grams(text, n):
    words = re.findall(r"\w+", text.lower())
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


@pytest.mark.parametrize("n", [3, 4, 10])
def test_the_index_agrees_with_the_definition(n):
    """N-grams with a letter in them, and the first item that holds each."""
    rng = random.Random(n)
    vocabulary = ["a", "b", "If", "x_1", "7", "42", "é", "()", ",", "_"]

    def text(length):
        return " ".join(rng.choices(vocabulary, k=length))

    items = [item(f"i{i}", a=text(rng.randint(0, 12)), b=text(15)) for i in range(40)]
    index, _ = ngram_index(items, n)
    known = {}
    for entry in items:
        for gram in (gram for text in entry["texts"].values() for gram in grams(text, n)):
            if any(character.isalpha() for word in gram for character in word):
                known.setdefault(gram, entry["id"])
    hits = 0
    for _ in range(200):
        query = f"{text(rng.randint(0, 2 * n + 2))} {rng.choice(items)['texts']['b']}"
        expected = [known.get(gram) for gram in grams(query, n)]
        _, hashes, _, is_whole = ngrams(query, n)
        assert is_whole or [index.get(value) for value in hashes] == expected
        hits += len(set(expected)) > 1
    assert hits > 0
