import pytest

from mixmerge.data.template import MissingField, NotText, Template, without_docstrings
from mixmerge.errors import UserError


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


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{code", "write a literal brace twice"),
        ("no field", "names no field"),
        ("{}", "write a field as {name}"),
        ("{code!r}", "without conversion"),
        ("{code:strp}", "did you mean 'strip'"),
        ("{code:>10}", "unknown filter '>10'"),
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
def test_docstrings_are_removed_with_their_lines(code, left):
    assert without_docstrings(code) == left
