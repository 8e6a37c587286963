"""Splits, nested subsets, mixtures and the statistics over all of them."""

from collections import Counter

import numpy as np
import pytest

from fixtures.data import read, write
from mixmerge.artifacts.manifest import read_manifest, write_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import write_json
from mixmerge.data.split import lowest, mix, rank, share, split, statistics, subset


def clean(root, task, names):
    """A decontaminated task with rows of these names."""
    rows = []
    for name in names:
        texts = {"user": "one two", "assistant": f"{name} é"}
        messages = [{"role": role, "content": text} for role, text in texts.items()]
        rows.append({"id": name, "task": task, "source": "s", "messages": messages})
    directory = root / "clean" / task
    write(directory / "rows.jsonl", rows)
    write_manifest(directory, "rows", {"rows": len(names)})
    return directory


def splits(root, **sizes):
    directories = {task: root / "split" / task for task in sizes}
    for task, size in sizes.items():
        rows = clean(root, task, [f"{task}/s/{n}" for n in range(size)])
        split(task, 0.1, rows, directories[task], 0)
    return directories


def parts(directory):
    """Ids of a directory's training and validation rows."""
    names = ("train.jsonl", "validation.jsonl")
    return tuple([row["id"] for row in read(directory / name)] for name in names)


@pytest.mark.parametrize(
    ("rows", "fraction", "held"),
    [(100, 0.1, 10), (101, 0.1, 10), (7, 0.25, 2), (2, 0.01, 1), (3, 0.49, 1), (10, 0.25, 2)],
)
def test_a_split_has_the_exact_size_and_keeps_the_order(tmp_path, rows, fraction, held):
    names = [f"n{n}" for n in range(rows)]
    source = clean(tmp_path, "t", names)
    assert split("t", fraction, source, tmp_path / "split", 3) == (rows - held, held)
    train, validation = parts(tmp_path / "split")
    assert train == [name for name in names if name not in validation]
    assert validation == [name for name in names if name not in train]
    facts = {"train": rows - held, "validation": held}
    assert read_manifest(tmp_path / "split", "rows")["facts"] == facts


def test_a_split_depends_on_seed_and_ids_not_on_the_order(tmp_path):
    names = [f"n{n}" for n in range(200)]
    held = []
    for order, seed in ((1, 0), (-1, 0), (1, 1)):
        split("t", 0.2, clean(tmp_path, "t", names[::order]), tmp_path / "split", seed)
        held.append(set(parts(tmp_path / "split")[1]))
    assert held[0] == held[1] != held[2]
    with pytest.raises(UserError, match=r"'t' has 1 row; a split .* needs two"):
        split("t", 0.1, clean(tmp_path, "t", names[:1]), tmp_path / "none", 0)
    assert not (tmp_path / "none").exists()


def test_subsets_are_nested_exact_and_ordered(tmp_path):
    source = splits(tmp_path, t=210)["t"]
    whole, validation = parts(source)
    previous: set[str] = set()
    for percent in (1, 25, 50, 99, 100):
        out = tmp_path / f"t-p{percent}"
        count = subset("t", percent, source, out, 5)
        train, held = parts(out)
        assert count == len(train) == round(len(whole) * percent / 100)
        assert previous < set(train)
        assert train == [name for name in whole if name in set(train)]
        assert held == validation
        previous = set(train)
    assert (out / "train.jsonl").read_bytes() == (source / "train.jsonl").read_bytes()
    assert share(10, 1) == 1


def mixed(root, directories, weights, percent=100, seed=7):
    out = root / "mix"
    taken = mix(directories, weights, percent, out, seed, dict.fromkeys(directories, 5))
    train, validation = parts(out)
    facts = read_manifest(out, "rows")["facts"]
    assert facts == {"train": len(train), "validation": len(validation), "tasks": taken}
    assert sum(taken.values()) == len(train) == len(set(train))
    for names in (train, validation):
        assert names == sorted(names, key=lambda name: rank(seed, name))
    return train, validation


def test_a_plain_mixture_is_the_shuffled_concatenation(tmp_path):
    directories = splits(tmp_path, a=100, b=300)
    train, validation = mixed(tmp_path, directories, {})
    together = [parts(directories[task]) for task in "ab"]
    assert sorted(train) == sorted(together[0][0] + together[1][0])
    assert sorted(validation) == sorted(together[0][1] + together[1][1])
    assert mixed(tmp_path, directories, {}, seed=8)[0] != train


@pytest.mark.parametrize("weight", [0.001, 0.5, 1.0, 1.5, 3.25])
@pytest.mark.parametrize("percent", [50, 100])
def test_a_weight_is_passes_and_a_nested_rest(tmp_path, weight, percent):
    directories = splits(tmp_path, a=200, b=20)
    train, _ = mixed(tmp_path, directories, {"a": weight}, percent)
    count = Counter(name.split("#")[0] for name in train if name.startswith("a"))
    assert count.total() == max(1, round(180 * percent // 100 * weight))  # at least one row
    assert set(count.values()) <= {int(weight), int(weight) + 1}
    subset("a", percent, directories["a"], tmp_path / "p", 5)
    rows = set(parts(tmp_path / "p")[0])
    assert set(count) <= rows if weight < 1 else set(count) == rows
    if weight % 1:  # the rest is the subset's own subset
        subset("a", round(percent * (weight % 1)), directories["a"], tmp_path / "q", 5)
        extra = {name for name, times in count.items() if times == int(weight) + 1}
        assert abs(len(extra ^ set(parts(tmp_path / "q")[0]))) <= 1
    assert sum(name.startswith("b") for name in train) == 18 * percent // 100


def test_repeated_rows_differ_in_their_ids_only(tmp_path):
    mixed(tmp_path, splits(tmp_path, a=10, b=10), {"a": 2})
    by_id = {row.pop("id"): row for row in read(tmp_path / "mix" / "train.jsonl")}
    assert sum("#2" in name for name in by_id) == 9
    for name, row in by_id.items():
        assert row == by_id[name.removesuffix("#2")]


def test_the_earlier_row_wins_a_tie():
    assert lowest(np.array([5, 1, 1, 0], dtype=np.uint64), 2).tolist() == [False, True, False, True]


def test_statistics_gather_every_step(tmp_path):
    directories = splits(tmp_path, a=10, b=20)
    for task, rows in (("a", 10), ("b", 20)):
        counts = {"read": rows + 5, "empty": 1, "duplicates": 2, "rows": rows + 2}
        counts["notes"] = [f"turns of {task}"]
        write_json(tmp_path / "tasks" / task / "report.json", counts | {"sources": {"s": counts}})
        sources = {"s": {"read": rows + 2, "dropped": 2}}
        report = {"dropped": 2, "sources": sources, "suites": {"humaneval": {"rows": 2}}}
        report["notes"] = ["short ones"]
        write_json(tmp_path / "clean" / task / "report.json", report)
    source = tmp_path / "sources" / "s"
    source.mkdir(parents=True)
    write_manifest(source, "rows", {"rows": 40})
    mixed(tmp_path, directories, {"a": 2})
    tasks, cleaned = ([tmp_path / stage / task for task in "ab"] for stage in ("tasks", "clean"))
    result = statistics([source], tasks, cleaned, [*directories.values()], [tmp_path / "mix"])
    assert result["sources"] == {"s": {"rows": 40}}
    assert result["sets"]["mix"] == {"train": 36, "validation": 3, "tasks": {"a": 18, "b": 18}}
    task = result["tasks"]["a"]
    counted = {"read": 15, "empty": 1, "duplicates": 2, "contaminated": 2, "rows": 10}
    lengths = {"total": 20, "mean": 2.0, "median": 2.0, "p95": 2.0, "max": 2}
    for part in (task, task["sources"]["s"]):
        assert counted.items() <= part.items()
        assert part["prompt"]["words"] == lengths
        assert part["answer"]["characters"]["mean"] == len("a/s/0 é")
    assert task["train"] == 9 and task["validation"] == 1
    assert task["contaminated_by"] == {"humaneval": 2}
    assert result["notes"] == ["turns of a", "turns of b", "short ones"]
