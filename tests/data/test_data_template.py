import pytest

from mixmerge.core.errors import UserError
from mixmerge.data.columns import FieldError, MissingField
from mixmerge.data.templates import Template


def render(text, row, columns=None, role=None):
    return Template(text, "tasks.t.prompt", role).render(row, columns or {})


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


SYSTEM, ASKED, ANSWER = ("system", "Be brief."), ("user", "Q1"), ("assistant", "A1")
LONGER = [SYSTEM, ASKED, ANSWER, ("user", "Q2"), ("assistant", "A2")]


def openai(turns):
    return [{"role": role, "content": text} for role, text in turns]


def sharegpt(turns):
    words = {"user": "human", "assistant": "gpt"}
    return [{"from": words.get(role, role), "value": text} for role, text in turns]


def by_column(turns):
    """As a table's reader may give a list of objects."""
    return {"role": [role for role, _ in turns], "content": [text for _, text in turns]}


@pytest.mark.parametrize(
    ("chat", "path", "role", "text"),
    [
        (openai(LONGER), "c[user]", "user", "Q1"),
        (openai(LONGER), "c[User][content]", "user", "Q1"),
        (openai(LONGER), "c[assistant]", "assistant", "A1"),
        (openai(LONGER), "c[-1][content]", "assistant", "A2"),
        (openai(LONGER), "c[1]", "user", "Q1"),
        (openai(LONGER), "c[system]", "user", "Be brief."),
        (openai([ASKED, ANSWER]), "c[system]", "user", ""),
        # A greeting answers nothing.
        (openai([("assistant", "Hi"), ASKED, ANSWER]), "c[assistant]", "assistant", "A1"),
        (openai([ANSWER]), "c[assistant]", "assistant", "A1"),
        (sharegpt(LONGER), "c[human]", "user", "Q1"),
        (sharegpt(LONGER), "c[assistant][value]", "assistant", "A1"),
        (sharegpt(LONGER), "c[2][value]", "assistant", "A1"),
        (by_column(LONGER), "c[content][1]", "user", "Q1"),
        (by_column(LONGER), "c[assistant]", "assistant", "A1"),
        # A call of a tool has no text.
        ([{"role": "user", "content": "Q1"}, {"role": "assistant", "call": {}}], "c[1]", None, ""),
        # No chats: nobody speaks, or nobody says anything.
        (["Q1", "A1"], "c[1]", "user", "A1"),
        ([{"from": "a", "to": "b"}], "c[0][to]", "user", "b"),
        ([{"author": "Ann", "text": "Q1"}], "c[0][text]", "assistant", "Q1"),
        ([{"type": "text", "text": "Q1"}], "c[0][text]", "assistant", "Q1"),
        # Other words, and a turn in parts.
        ([{"speaker": " USER", "text": "Q1"}], "c[user]", "user", "Q1"),
        (openai([("prompter", [{"type": "text", "text": t} for t in "QR"])]), "c[0]", "user", "QR"),
    ],
)
def test_turns_of_chats_by_role_and_by_position(chat, path, role, text):
    assert render("{q}", {"c": chat}, {"q": path}, role).text == text


@pytest.mark.parametrize(
    ("chat", "path", "role", "words"),
    [
        (
            openai(LONGER),
            "c[0][content]",
            "user",
            "turns system, user, assistant, user, ...: [0] is",
        ),
        (openai(LONGER), "c[0][content]", "user", "not the user's; name turns by role, as c[user]"),
        (openai(LONGER), "c[1][content]", "assistant", "as c[assistant], in `columns`, or mend"),
        (openai(LONGER), "c[-2][content]", "assistant", "[-2] is not the assistant's"),
        (openai([ASKED]), "c[1][content]", "assistant", "turns user: no [1]"),
        (openai([ASKED]), "c[assistant]", "assistant", "no [assistant] after the user"),
        (openai([ANSWER, ASKED]), "c[assistant]", "assistant", "no [assistant] after the user"),
        (openai([ANSWER]), "c[usr]", "user", "no [usr]"),
        (openai([SYSTEM]), "c[0][content]", "user", "turns system: [0] is not the user's"),
        (openai([("user", [{"type": "image"}])]), "c[user]", "user", "holds a list, not text"),
        (sharegpt(LONGER), "c[0][value]", "user", "[0] is not the user's"),
        (by_column(LONGER), "c[content][0]", "user", "[0] is not the user's"),
        (openai([ASKED]), "c", "user", "holds a list, not text; reach into it as c[user] or"),
    ],
)
def test_a_turn_of_another_role_is_refused(chat, path, role, words):
    with pytest.raises(FieldError) as error:
        render("{q}", {"c": chat}, {"q": path}, role)
    assert words in str(error.value) and not isinstance(error.value, MissingField)


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
