"""Rows mapped to conversations: ids, duplicates, blanks, and one message for each mistake."""

from typing import Any

import pytest

from fixtures.data import prepared, read
from mixmerge.artifacts.manifest import read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json

TEMPLATES = {"prompt": "Solve:\n{problem}", "answer": "```python\n{solution}\n```"}


def run(root, rows, columns=None, templates=TEMPLATES, **settings) -> list[dict[str, Any]]:
    """Prepare one or two sources; returns the rows written."""
    sources = rows if isinstance(rows, dict) else {"src": rows}
    out = prepared(root, "task", sources, templates, columns or {}, **settings)
    return read(out / "rows.jsonl")


def row(number, **more):
    return {"problem": f"problem {number}", "solution": f"x = {number}", **more}


def test_rows_become_chats_in_order(tmp_path):
    rows = [row(n, key=n) for n in (3, 1, 2)]
    rows = run(tmp_path, rows, {"id_column": "key"}, TEMPLATES | {"system": "Be {brief}."})
    texts = {"system": "Be {brief}.", "user": "Solve:\nproblem 1"}
    texts["assistant"] = "```python\nx = 1\n```"
    messages = [{"role": role, "content": text} for role, text in texts.items()]
    spans = {"problem": [[1, 7, 16]], "solution": [[2, 10, 15]]}
    name = {"id": "task/src/1", "task": "task", "source": "src"}
    assert rows[1] == {**name, "messages": messages, "spans": spans}
    assert [row["id"][-1] for row in rows] == ["3", "1", "2"]


def test_made_ids_follow_from_the_content_alone(tmp_path):
    first = {row["id"] for row in run(tmp_path, [row(1), row(2)])}
    before = (tmp_path / "tasks/task/manifest.json").read_bytes()
    again = {row["id"] for row in run(tmp_path, [row(2, extra=1), row(3), row(1)])}
    assert first < again and len(again) == 3
    run(tmp_path, [row(1), row(2)])
    assert (tmp_path / "tasks/task/manifest.json").read_bytes() == before


def test_duplicates_and_blanks_are_dropped_across_sources_and_counted(tmp_path):
    spaced = {"problem": "problem\n 1", "solution": " x =\t1 "}
    sources = {"a": [row(1), row(2), spaced, row(3, solution=" ")], "b": [row(2), row(4)]}
    rows = run(tmp_path, sources, {"on_empty": "drop"})
    assert [row["source"] for row in rows] == ["a", "a", "b"]
    counts = {
        "a": {"read": 4, "empty": 1, "duplicates": 1, "rows": 2, "unused_turns": 0},
        "b": {"read": 2, "empty": 0, "duplicates": 1, "rows": 1, "unused_turns": 0},
    }
    total = {"task": "task", "read": 6, "empty": 1, "duplicates": 2, "rows": 3, "sources": counts}
    total |= {"unused_turns": 0, "notes": []}
    assert read_json(tmp_path / "tasks/task/report.json") == total
    assert read_manifest(tmp_path / "tasks/task", "rows")["facts"] == {"rows": 3}


def test_without_deduplication_equal_rows_have_ids_of_their_own(tmp_path):
    rows = run(tmp_path, [row(1), row(1), row(1)], deduplicate=False)
    assert len({row["id"] for row in rows}) == 3
    assert rows[1]["id"] == rows[0]["id"] + ".2"


CHAT = {"problem": "chat[user]", "solution": "chat[assistant]"}


def chat(*roles):
    return {"chat": [{"role": role, "content": f"{role} {n}"} for n, role in enumerate(roles)]}


def test_turns_are_chosen_by_role_and_others_counted(tmp_path, capsys):
    tool = chat("user", "assistant", "tool", "assistant")
    rows = [chat("system", "user", "assistant"), tool, chat("user", "assistant")]
    rows = run(tmp_path, rows, {"columns": CHAT}, {"prompt": "{problem}", "answer": "{solution}"})
    texts = [[turn["content"] for turn in row["messages"]] for row in rows]
    assert texts == [["user 1", "assistant 2"], ["user 0", "assistant 1"]]
    report = read_json(tmp_path / "tasks/task/report.json")
    assert report["unused_turns"] == report["sources"]["src"]["unused_turns"] == 3
    note = "tasks.task: turns of sources.src that are in neither prompt nor answer: 3"
    assert report["notes"] == [note] and f"warning: {note}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        (
            [row(1), {"problem": "p", "solutions": "s"}],
            {},
            r"rows\.jsonl:2: no column 'solution' for the field \{solution\} of tasks\.task; did "
            r"you mean 'solutions'\?; name the right one in sources\.src\.columns: \{solution: ",
        ),
        ([row(1)], {"columns": {"solution": "4o"}}, r":1: no column '4o' for the field \{solution"),
        ([row(1)], {"columns": {"soluton": "x"}}, r"have no field 'soluton'; did you mean 'soluti"),
        ([row(1)], {"id_column": "id"}, r":1: sources\.src\.id_column: no column 'id'; known: pro"),
        (
            [row(1, id=7), row(2, id=8), row(3, id="7")],
            {"id_column": "id"},
            r"rows\.jsonl:3: duplicate id '7' in column 'id'; line 1 has it too.* sources\.src\.id",
        ),
        (
            [row(1), row(2, solution=" \n"), row(3), row(4, solution=None), row(5, problem="")],
            {},
            r"rows\.jsonl:2: empty answer; .* answer: 3\. .*sources\.src\.on_empty: drop",
        ),
        ([row(1, solution="")], {"on_empty": "drop"}, r"no rows left of 1 read"),
        (
            [chat("user", "assistant"), chat("system", "user", "assistant")],
            {"columns": {"problem": "chat[0][content]", "solution": "chat[1][content]"}},
            r"rows\.jsonl:2: column 'chat' has the turns system, user, assistant: \[0\] is not the "
            r"user's; .* chat\[user\], in `columns`, or mend the row \(sources\.src\)",
        ),
        (
            [chat("user", "assistant", "user", "assistant")],
            {"columns": {"problem": "chat[0][content]", "solution": "chat[-1][content]"}},
            r":1: turn 3 of 'chat' does not answer turn 0; name turns by role",
        ),
        (
            [chat("user", "tool", "assistant")],
            {"columns": {"problem": "chat[user]", "solution": "chat[1][content]"}},
            r":1: column 'chat' has the turns .*: \[1\] is not the assistant's; name turns by role",
        ),
        (
            [chat("assistant", "user", "assistant")],
            {"columns": {"problem": "chat[user]", "solution": "chat[0][content]"}},
            r":1: turn 0 of 'chat' does not answer turn 1",
        ),
    ],
)
def test_bad_rows_give_one_message_and_no_target(tmp_path, rows, columns, message):
    with pytest.raises(UserError, match=message) as error:
        run(tmp_path, rows, columns)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("tasks/*"))
