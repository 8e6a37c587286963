import pytest

from mixmerge.core.errors import UserError
from mixmerge.data.code_text import without_triple_quoted
from mixmerge.data.templates import MissingField, NotText, Template, UnknownLanguage


def render(text, row, columns=None):
    return Template(text, "tasks.t.prompt").render(row, columns or {})


def test_only_the_template_is_formatted_never_a_value():
    turn = render("Fix {{}} in:\n{code}", {"code": "f'{x!r:>{w}}' {{}} %s {0}"})
    assert turn.text == "Fix {} in:\nf'{x!r:>{w}}' {{}} %s {0}"


def test_spans_cut_the_values_out_of_the_text():
    turn = render("\n\nDo {a} then {b}.\n", {"x": "one", "b": "two\n"}, {"a": "x"})
    assert turn.text == "Do one then two\n."
    assert [(f, turn.text[i:j]) for f, i, j in turn.spans] == [("a", "one"), ("b", "two\n")]


def test_trimming_keeps_the_first_lines_indentation():
    turn = render("{code}", {"code": " \n\n    return 1\n\n"})
    assert turn.text == "    return 1"
    assert turn.spans == (("code", 0, 12),)


@pytest.mark.parametrize("value", ["", None, " \n\t", "\n"])
def test_a_turn_is_blank_if_its_fields_are_whatever_the_template_adds(value):
    assert render("```python\n{solution}\n```", {"solution": value}).blank
    assert not render("{a}{b}", {"a": value, "b": "x"}).blank


def test_paths_reach_into_lists_and_objects():
    row = {"chat": [{"content": "hi"}, {"content": 3}], "odd[name]": "whole"}
    assert render("{chat[0][content]} {n} {o}", row, {"n": "chat[1][content]", "o": "odd[name]"})
    assert render("{n}", row, {"n": "chat[1][content]"}).text == "3"
    assert render("{o}", row, {"o": "odd[name]"}).text == "whole"
    for missing in ("chat[2][content]", "chat[0][text]", "chat[x]", "other[0]", "other"):
        with pytest.raises(MissingField):
            render("{n}", row, {"n": missing})
    with pytest.raises(NotText):
        render("{chat}", row)


def test_filters_apply_from_left_to_right():
    row = {"code": 'def f():\n    """Doc."""\n    return 1\n', "doc": "  Doc. "}
    assert render("{code:without_docstrings:strip}", row).text == "def f():\n    return 1"
    assert render("[{doc:strip}]", row).text == "[Doc.]"


def test_docstrings_are_told_by_the_language_of_the_template_or_of_the_row():
    python = {"code": 'def f():\n    """D."""\n    return """x"""', "lang": "python"}
    java = {"code": '/** D. */\nint f() { return """\nx"""; }', "lang": "java"}
    auto = "{code:without_docstrings[language]:strip}"
    for row, left in (
        (python, 'def f():\n    return """x"""'),
        (java, 'int f() { return """\nx"""; }'),
    ):
        assert render(auto, row, {"language": "lang"}).text == left
        assert render(f"{{code:without_docstrings[{row['lang']}]}}", row).text == left
    assert render("{code:without_docstrings}", python).text == 'def f():\n    return """x"""'
    assert Template(auto, "t").fields == ("code", "language")
    turn = render(auto, python, {"language": "lang"})
    assert [field for field, _, _ in turn.spans] == ["code"]
    with pytest.raises(MissingField, match="language"):
        render(auto, python)
    for odd in ("ruby", "Python", None):
        with pytest.raises(UnknownLanguage):
            render(auto, python | {"language": odd})


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{code", "write a literal brace twice"),
        ("no field", "names no field"),
        ("{}", "write a field as {name}"),
        ("{code!r}", "without conversion"),
        ("{code:strp}", "did you mean 'strip'"),
        ("{code:>10}", "unknown filter '>10'"),
        ("{code:without_docstring[java]}", "did you mean 'without_docstrings'"),
        ("{code:without_docstrings[]}", "unknown filter 'without_docstrings[]'"),
        ("{code:strip[java]}", "the filter 'strip' takes nothing in brackets"),
    ],
)
def test_a_malformed_template_names_its_place_and_the_way_out(template, message):
    with pytest.raises(UserError, match=r"^tasks\.t\.prompt: ") as error:
        Template(template, "tasks.t.prompt")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("code", "left"),
    [
        ('def f():\n    """A."""\n    return 1', "def f():\n    return 1"),
        ("def f():\n    r'''A\n    b'''\n    return 1", "def f():\n    return 1"),
        ('def f(): """A."""; return 1', "def f(): ; return 1"),
        ('def f():\n    """A \\""" b."""\n    x = ""', 'def f():\n    x = ""'),
        ("x = \"a\" + 'b'", "x = \"a\" + 'b'"),
        ('"""Only."""', ""),
        ("print 'Python 2'\n    '''doc'''\n", "print 'Python 2'\n"),
    ],
)
def test_the_released_filter_removes_triple_quoted_strings_with_their_lines(code, left):
    assert without_triple_quoted(code) == left
    assert render("{code:without_triple_quoted}|", {"code": code}).text.rstrip("|") == left
