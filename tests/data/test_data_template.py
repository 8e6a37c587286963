import pytest

from mixmerge.core.errors import UserError
from mixmerge.data.templates import FieldError, MissingField, Template


def render(text, row, columns=None):
    return Template(text, "tasks.t.prompt").render(row, columns or {})


def test_only_the_template_is_formatted_and_spans_cut_the_values_out():
    turn = render("Fix {{}} in:\n{code}", {"code": "f'{x!r:>{w}}' {{}} %s {0}"})
    assert turn.text == "Fix {} in:\nf'{x!r:>{w}}' {{}} %s {0}"
    turn = render("\n\nDo {a} then {b}.\n", {"x": "one", "b": "two\n"}, {"a": "x"})
    assert turn.text == "Do one then two\n."
    assert [(f, turn.text[i:j]) for f, i, j in turn.spans] == [("a", "one"), ("b", "two\n")]
    # The first line's indentation is no white space to trim.
    turn = render("{code}", {"code": " \n\n    return 1\n\n"})
    assert (turn.text, turn.spans) == ("    return 1", (("code", 0, 12),))


@pytest.mark.parametrize("value", ["", None, " \n\t", "\n"])
def test_a_turn_is_blank_if_its_fields_are_whatever_the_template_adds(value):
    assert render("```python\n{solution}\n```", {"solution": value}).blank
    assert not render("{a}{b}", {"a": value, "b": "x"}).blank


def test_paths_reach_into_lists_and_objects():
    row = {"chat": [{"content": "hi"}, {"content": 3}], "odd[name]": "whole"}
    assert render("{chat[0][content]}", row).text == "hi"
    assert render("{n}", row, {"n": "chat[1][content]"}).text == "3"
    assert render("{o}", row, {"o": "odd[name]"}).text == "whole"
    for missing in ("chat[2][content]", "chat[0][text]", "chat[x]", "other[0]", "other", ""):
        with pytest.raises(MissingField):
            render("{n}", row, {"n": missing})
    with pytest.raises(FieldError, match=r"'chat' holds a list.*chat\[0\] or chat\[key\]"):
        render("{chat}", row)


def test_filters_apply_from_left_to_right():
    row = {"code": 'def f():\n    """Doc."""\n    return 1\n', "doc": "  Doc. "}
    for name in ("without_docstrings", "without_triple_quoted"):
        assert render(f"{{code:{name}:strip}}", row).text == "def f():\n    return 1"
    assert render("[{doc:strip}]", row).text == "[Doc.]"


def test_docstrings_are_told_by_the_language_of_the_template_or_of_the_row():
    python = {"code": 'def f():\n    """D."""\n    return """x"""', "lang": "python"}
    java = {"code": '/** D. */\nint f() { return """\nx"""; }', "lang": "java"}
    auto = "{code:without_docstrings[language]:strip}"
    lefts = ['def f():\n    return """x"""', 'int f() { return """\nx"""; }']
    for row, left in zip((python, java), lefts, strict=True):
        turn = render(auto, row, {"language": "lang"})
        assert turn.text == left and [field for field, _, _ in turn.spans] == ["code"]
        assert render(f"{{code:without_docstrings[{row['lang']}]}}", row).text == left
    assert render("{code:without_docstrings}", python).text == lefts[0]
    assert Template(auto, "t").fields == ("code", "language")
    with pytest.raises(MissingField, match="language"):
        render(auto, python)
    for odd in ("ruby", "Python", None):
        with pytest.raises(FieldError, match="only in python and java"):
            render(auto, python | {"language": odd})


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{code", "write a literal brace twice"),
        ("no field", "names no field"),
        ("{}", "a field without a name, or with a conversion); write a field as {name}"),
        ("{code!r}", "or with a conversion"),
        ("{code:strp}", "did you mean 'strip'"),
        ("{code:>10}", "unknown filter '>10'"),
        ("{code:without_docstring[java]}", "did you mean 'without_docstrings'"),
        ("{code:without_docstrings[]}", "unknown filter 'without_docstrings[]'"),
        ("{code:strip[java]}", "unknown filter 'strip[java]'; did you mean 'strip'"),
    ],
)
def test_a_malformed_template_names_its_place_and_the_way_out(template, message):
    with pytest.raises(UserError, match=r"^tasks\.t\.prompt: ") as error:
        Template(template, "tasks.t.prompt")
    assert message in str(error.value)
