"""Splits, nested subsets, mixtures and the statistics over all of them."""

from collections import Counter

import pytest

from fixtures.data import read, write
from mixmerge.artifacts.manifest import read_manifest, write_manifest
from mixmerge.core.errors import UserError
from mixmerge.core.io import write_json
from mixmerge.data.split import lowest, mix, rank, share, split, subset
from mixmerge.data.statistics import statistics


def clean(root, task, rows):
    """A decontaminated task with ``rows`` rows, or those given."""
    names = [f"{task}/s/{n}" for n in range(rows)] if isinstance(rows, int) else rows

    def messages(name):
        turns = (("user", "one two"), ("assistant", f"{name} é"))
        return [{"role": role, "content": text} for role, text in turns]

    whole = ({"id": n, "task": task, "source": "s", "messages": messages(n)} for n in names)
    directory = root / "clean" / task
    write(directory / "rows.jsonl", whole)
    write_manifest(directory, "rows", {"rows": len(names)})
    return directory


def parts(directory):
    return tuple(ids(directory / name) for name in ("train.jsonl", "validation.jsonl"))


def ids(path):
    return [row["id"] for row in read(path)]


@pytest.mark.parametrize(
    ("rows", "fraction", "held"),
    [(100, 0.1, 10), (101, 0.1, 10), (7, 0.25, 2), (2, 0.01, 1), (3, 0.49, 1), (10, 0.25, 2)],
)
def test_a_split_has_the_exact_size_and_keeps_the_order(tmp_path, rows, fraction, held):
    source = clean(tmp_path, "t", rows)
    assert split("t", fraction, source, tmp_path / "split", 3) == (rows - held, held)
    train, validation = parts(tmp_path / "split")
    everything = ids(source / "rows.jsonl")
    assert [name for name in everything if name in set(train)] == train
    assert [name for name in everything if name in set(validation)] == validation
    assert sorted(train + validation) == sorted(everything)
    facts = {"train": rows - held, "validation": held}
    assert read_manifest(tmp_path / "split", "rows")["facts"] == facts


def test_a_split_depends_on_seed_and_ids_not_on_the_order(tmp_path):
    names = [f"n{n}" for n in range(200)]
    held = []
    for number, (order, seed) in enumerate(((1, 0), (-1, 0), (1, 1))):
        source = clean(tmp_path / str(number), "t", names[::order])
        split("t", 0.2, source, tmp_path / str(number) / "split", seed)
        held.append(set(parts(tmp_path / str(number) / "split")[1]))
    assert held[0] == held[1] != held[2]


@pytest.mark.parametrize(
    ("rows", "fraction", "message"),
    [(1, 0.1, r"'t' has 1 row; a split .* needs two"), (5, 1.0, r"1\.0 is outside 0 < fraction")],
)
def test_what_cannot_be_split_is_refused(tmp_path, rows, fraction, message):
    with pytest.raises(UserError, match=message):
        split("t", fraction, clean(tmp_path, "t", rows), tmp_path / "split", 0)
    assert not (tmp_path / "split").exists()


def splits(root, **sizes):
    directories = {}
    for task, rows in sizes.items():
        split(task, 0.1, clean(root, task, rows), root / "split" / task, 0)
        directories[task] = root / "split" / task
    return directories


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
    with pytest.raises(UserError, match="101 % is outside"):
        subset("t", 101, source, tmp_path / "x", 5)


def mixed(root, directories, weights, percent=100, seed=7):
    out = root / "mix"
    seeds = dict.fromkeys(directories, 5)
    taken = mix(directories, weights, percent, out, seed, seeds)
    train, validation = parts(out)
    facts = read_manifest(out, "rows")["facts"]
    assert facts == {"train": len(train), "validation": len(validation), "tasks": taken}
    assert sum(taken.values()) == len(train) == len(set(train))
    assert {path.name for path in out.iterdir()} == {
        *("manifest.json", "provenance.json", "train.jsonl", "validation.jsonl")
    }
    return train, validation


def test_a_plain_mixture_is_the_shuffled_concatenation(tmp_path):
    directories = splits(tmp_path, a=100, b=300)
    train, validation = mixed(tmp_path, directories, {})
    together = [parts(directories[task]) for task in "ab"]
    assert sorted(train) == sorted(together[0][0] + together[1][0])
    assert sorted(validation) == sorted(together[0][1] + together[1][1])
    assert train != together[0][0] + together[1][0]
    # Shuffled through and through: each quarter has about its quarter of the smaller task.
    quarters = [sum(name[0] == "a" for name in train[i : i + 90]) for i in range(0, 360, 90)]
    assert all(10 <= count <= 36 for count in quarters), quarters
    assert mixed(tmp_path, directories, {})[0] == train
    assert mixed(tmp_path, directories, {}, seed=8)[0] != train


def copies(train, task):
    """How often each of a task's rows comes."""
    return Counter(name.split("#")[0] for name in train if name.startswith(task))


@pytest.mark.parametrize("weight", [0.5, 1.0, 1.5, 2.0, 3.25])
@pytest.mark.parametrize("percent", [50, 100])
def test_a_weight_is_passes_and_a_nested_rest(tmp_path, weight, percent):
    directories = splits(tmp_path, a=200, b=20)
    train, _ = mixed(tmp_path, directories, {"a": weight}, percent)
    count = copies(train, "a")
    base = 180 * percent // 100
    assert sum(count.values()) == round(base * weight)
    assert set(count.values()) <= {int(weight), int(weight) + 1}
    subset("a", percent, directories["a"], tmp_path / "p", 5)
    rows = set(parts(tmp_path / "p")[0])
    assert set(count) <= rows if weight < 1 else set(count) == rows
    if weight % 1:  # the rest is the subset's own subset
        subset("a", round(percent * (weight % 1)), directories["a"], tmp_path / "q", 5)
        extra = {name for name, times in count.items() if times == int(weight) + 1}
        assert abs(len(extra ^ set(parts(tmp_path / "q")[0]))) <= 1
    assert sum(copies(train, "b").values()) == 18 * percent // 100


def test_repeated_rows_differ_in_their_ids_only(tmp_path):
    directories = splits(tmp_path, a=10, b=10)
    mixed(tmp_path, directories, {"a": 2})
    by_id = {row.pop("id"): row for row in read(tmp_path / "mix" / "train.jsonl")}
    assert sum("#2" in name for name in by_id) == 9
    for name, row in by_id.items():
        assert row == by_id[name.removesuffix("#2")]


@pytest.mark.parametrize(
    ("weights", "percent", "message"),
    [
        ({"c": 1.0}, 100, r"mixture\.weights: 'c' is none of the tasks"),
        ({"a": 0.0}, 100, r"mixture\.weights\.a: 0\.0 is not above 0"),
        ({"a": 999.0}, 100, r"more than 255 passes"),
        ({}, 0, r"mixture\.scale: 0 % is outside"),
    ],
)
def test_a_bad_mixture_is_refused(tmp_path, weights, percent, message):
    directories = splits(tmp_path, a=10, b=10)
    with pytest.raises(UserError, match=message):
        mixed(tmp_path, directories, weights, percent)
    assert not (tmp_path / "mix").exists()


@pytest.mark.parametrize("bucket", [1, 10_000, 10**9])
def test_a_shuffle_of_more_than_fits_into_memory_is_the_same(tmp_path, monkeypatch, bucket):
    monkeypatch.setattr("mixmerge.data.split._BUCKET_BYTES", bucket)
    directories = splits(tmp_path, a=100, b=300)
    train, validation = mixed(tmp_path, directories, {"a": 2})
    assert train == sorted(train, key=lambda name: rank(7, name))
    assert validation == sorted(validation, key=lambda name: rank(7, name))


def test_ranks_and_shares():
    import numpy as np

    assert rank(1, "a") != rank(2, "a") != rank(2, "b")
    assert lowest(np.array([5, 1, 1, 0], dtype=np.uint64), 2).tolist() == [False, True, False, True]
    assert [share(10, p) for p in (1, 25, 35, 100)] == [1, 2, 4, 10]


def test_statistics_gather_every_step(tmp_path):
    directories = splits(tmp_path, a=10, b=20)
    for task, rows in (("a", 10), ("b", 20)):
        prepared = tmp_path / "tasks" / task
        counts = {"read": rows + 5, "empty": 1, "duplicates": 2, "rows": rows + 2}
        write_json(prepared / "report.json", counts | {"sources": {"s": counts}})
        report = {
            "dropped": 2,
            "rows": rows,
            "sources": {"s": {"read": rows + 2, "dropped": 2}},
            "suites": {"humaneval": {"items": 3, "too_short": 0, "rows": 2}},
        }
        write_json(tmp_path / "clean" / task / "report.json", report)
    source = tmp_path / "sources" / "s"
    source.mkdir(parents=True)
    write_manifest(source, "rows", {"rows": 40})
    mixed(tmp_path, directories, {"a": 2})
    result = statistics(
        [source],
        [tmp_path / "tasks" / task for task in "ab"],
        [tmp_path / "clean" / task for task in "ab"],
        [directories[task] for task in "ab"],
        [tmp_path / "mix"],
    )
    assert result["sources"] == {"s": {"rows": 40}}
    assert result["sets"]["mix"] == {"train": 36, "validation": 3, "tasks": {"a": 18, "b": 18}}
    one = result["tasks"]["a"]
    counted = {"read": 15, "empty": 1, "duplicates": 2, "contaminated": 2, "rows": 10}
    assert counted.items() <= one.items()
    assert counted.items() <= one["sources"]["s"].items()
    assert one["train"] == 9 and one["validation"] == 1
    assert one["contaminated_by"] == {"humaneval": 2}
    assert one["prompt"]["words"] == {"total": 20, "mean": 2.0, "median": 2.0, "p95": 2.0, "max": 2}
    assert one["answer"]["characters"]["mean"] == len("a/s/0 é")
