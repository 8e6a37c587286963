"""Rows mapped to conversations: ids, duplicates, blanks, and one message for each mistake."""

import pytest

from fixtures.data import fetched, read, run_script
from mixmerge.artifacts.manifest import read_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import read_json
from mixmerge.data.prepare import prepare
from mixmerge.data.settings import PrepareSettings

TEMPLATES = {"prompt": "Solve:\n{problem}", "answer": "```python\n{solution}\n```"}


def run(root, rows, columns=None, **settings):
    """Prepare one or two sources; returns the rows written."""
    sources = rows if isinstance(rows, dict) else {"src": rows}
    directories = {name: fetched(root, name, these) for name, these in sources.items()}
    given = {
        "templates": TEMPLATES,
        "columns": {name: columns or {} for name in sources},
        **settings,
    }
    out = root / "tasks" / "task"
    prepare("task", PrepareSettings.model_validate(given), directories, out)
    return read(out / "rows.jsonl")


def row(number, **more):
    return {"problem": f"problem {number}", "solution": f"x = {number}", **more}


def test_rows_become_chats_in_order(tmp_path):
    rows = run(
        tmp_path,
        [row(n, key=n) for n in (3, 1, 2)],
        {"id_column": "key"},
        templates=TEMPLATES | {"system": "Be {brief}."},
    )
    assert rows[1] == {
        "id": "task/src/1",
        "task": "task",
        "source": "src",
        "messages": [
            {"role": "system", "content": "Be {brief}."},
            {"role": "user", "content": "Solve:\nproblem 1"},
            {"role": "assistant", "content": "```python\nx = 1\n```"},
        ],
        "spans": {"problem": [[1, 7, 16]], "solution": [[2, 10, 15]]},
    }
    assert [one["id"][-1] for one in rows] == ["3", "1", "2"]


def test_made_ids_follow_from_the_content_alone(tmp_path):
    first = {one["id"] for one in run(tmp_path, [row(1), row(2)])}
    again = {one["id"] for one in run(tmp_path, [row(2, extra=1), row(3), row(1)])}
    assert first < again and len(again) == 3


def test_duplicates_are_dropped_across_sources_and_counted(tmp_path):
    spaced = {"problem": "problem\n 1", "solution": " x =\t1 "}
    rows = run(tmp_path, {"a": [row(1), row(2), spaced], "b": [row(2), row(4)]})
    assert [one["source"] for one in rows] == ["a", "a", "b"]
    report = read_json(tmp_path / "tasks" / "task" / "report.json")
    assert report == {
        "task": "task",
        "read": 5,
        "empty": 0,
        "duplicates": 2,
        "rows": 3,
        "sources": {
            "a": {"read": 3, "empty": 0, "duplicates": 1, "rows": 2},
            "b": {"read": 2, "empty": 0, "duplicates": 1, "rows": 1},
        },
    }
    assert read_manifest(tmp_path / "tasks" / "task", "rows")["facts"] == {"rows": 3}


def test_without_deduplication_equal_rows_have_ids_of_their_own(tmp_path):
    rows = run(tmp_path, [row(1), row(1), row(1)], deduplicate=False)
    assert len({one["id"] for one in rows}) == 3
    assert rows[1]["id"] == rows[0]["id"] + ".2"


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        (
            [row(1), {"problem": "p", "solutions": "s"}],
            {},
            r"rows\.jsonl:2: source 'src' has no column 'solution' \(field \{solution\} of "
            r"tasks\.task\); it has 'problem', 'solutions'; did you mean 'solutions'\?",
        ),
        ([row(1)], {"columns": {"solution": "4o"}}, r":1: .*no column '4o'.*sources\.src\.columns"),
        ([row(1)], {"columns": {"soluton": "x"}}, r"have no field 'soluton'; did you mean 'soluti"),
        ([row(1)], {"id_column": "id"}, r"no column 'id' \(sources\.src\.id_column\)"),
        ([row(1, id=None)], {"id_column": "id"}, r"the id in column 'id' is None"),
        (
            [row(1, id=7), row(2, id=8), row(3, id="7")],
            {"id_column": "id"},
            r"rows\.jsonl:3: duplicate id '7' in column 'id' of source 'src'; line 1 has it too",
        ),
        ([row(1, problem=["a"])], {}, r"column 'problem' of source 'src' holds a list, not text"),
        (
            [row(1), row(2, solution=" \n"), row(3), row(4, solution=None), row(5, problem="")],
            {},
            r"rows\.jsonl:2: empty answer; 3 rows have an empty prompt or answer .*on_empty: drop",
        ),
        ([row(1, solution="")], {"on_empty": "drop"}, r"no rows left of 1 read"),
    ],
)
def test_bad_rows_give_one_message_and_no_target(tmp_path, rows, columns, message):
    with pytest.raises(UserError, match=message) as error:
        run(tmp_path, rows, columns)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "tasks" / "task").exists()
    assert not list((tmp_path / "tasks").iterdir())


def test_blank_rows_may_be_dropped_and_are_counted(tmp_path):
    rows = run(tmp_path, [row(1), row(2, solution=" "), row(3)], {"on_empty": "drop"})
    assert len(rows) == 2
    assert read_json(tmp_path / "tasks" / "task" / "report.json")["empty"] == 1


def test_the_script_fails_cleanly_and_goes_on_after_mending(tmp_path):
    directory = fetched(tmp_path, "src", [row(1), {"problem": "p"}])
    out = tmp_path / "tasks" / "task"
    settings = {"templates": TEMPLATES, "columns": {"src": {}}}
    arguments = ("--task", "task", "--sources", f"src={directory}", "--out", out)
    message = run_script("prepare", *arguments, settings=settings)
    missing = f"error: {directory}/rows.jsonl:2: source 'src' has no column 'solution'"
    assert message.startswith(missing) and not out.exists()
    fetched(tmp_path, "src", [row(1), row(2)])
    assert run_script("prepare", *arguments, settings=settings) == ""
    assert read_manifest(out, "rows")["facts"] == {"rows": 2}


def test_the_same_input_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        run(tmp_path / name, [row(n) for n in range(20)])
    one, two = (tmp_path / name / "tasks/task/manifest.json" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
