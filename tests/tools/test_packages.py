"""Documented functions of packages as a source: what becomes a row, and how parts are kept apart.

The packages are real distributions: folders with a RECORD, on the import path of a process.
"""

import inspect
import textwrap
from itertools import islice
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from fixtures.data import read
from mixmerge.artifacts.manifest import read_manifest
from mixmerge.core.errors import UserError
from mixmerge.data.settings import PackageSource, Quality
from mixmerge.data.sources import fetch
from offline_sources.functions import is_wanted, read_functions
from offline_sources.packages import chosen_packages, read_packages

CASES = yaml.safe_load(Path(__file__).with_name("functions_of_packages.yaml").read_text("utf-8"))

GOOD = '''
def area(width, height):
    """Return the area of a rectangle."""
    product = width * height
    return product
'''


def functions(tmp_path: Path, text: str, **bounds: object) -> tuple[list[dict], dict[str, int]]:
    file = tmp_path / "module.py"
    file.write_text(textwrap.dedent(text), encoding="utf-8")
    rows, refused = read_functions(file, Quality.model_validate(bounds))
    return rows, dict(refused)


def test_a_function_is_taken_apart_at_its_docstring(tmp_path: Path) -> None:
    [row], _ = functions(tmp_path, GOOD)
    summary = "Return the area of a rectangle."
    del row["key"]
    assert row == {
        "name": "area",
        "code": GOOD.strip(),
        "docstring": summary,
        "summary": summary,
        "signature": "def area(width, height):",
        "stub": f'def area(width, height):\n    """{summary}"""',
        "body": "    product = width * height\n    return product",
    }
    for bounds in ({"min_words": 8}, {"max_summary": 20}, {"min_lines": 3}, {"max_code": 90}):
        assert not functions(tmp_path, GOOD, **bounds)[0], bounds


def test_methods_lose_indentation_and_decorators_and_still_run(tmp_path: Path) -> None:
    [row], _ = functions(
        tmp_path,
        '''
        class Shape:
            if True:
                @property
                @other(
                    1)
                async def size(
                    self,  # a comment
                    scale: int = 2,
                ) -> int:
                    r"""Return how large the shape is.

                    With a second\\d paragraph, and
                        an indented line.
                    """
                    text = """
        flush left
                    """
                    return len(text) * scale
        ''',
    )
    assert row["name"] == "Shape.size"
    assert row["code"].startswith("async def size(\n    self,")
    assert row["summary"] == "Return how large the shape is."
    assert row["docstring"].endswith("and\n    an indented line.")
    assert "\nflush left\n" in row["body"]
    names: dict = {}
    exec(f"{row['signature']}\n{row['body']}", names)
    assert list(inspect.signature(names["size"]).parameters) == ["self", "scale"]
    assert names["size"].__doc__ is None
    exec(row["code"], names)
    assert inspect.getdoc(names["size"]) == row["docstring"]


@pytest.mark.parametrize(("text", "reason"), CASES["functions"])
def test_what_is_refused_is_counted_with_its_reason(
    tmp_path: Path, text: str, reason: str | None
) -> None:
    rows, refused = functions(tmp_path, text)
    if reason is None:
        assert not refused
        return
    assert not rows
    assert [name.startswith(reason) for name in refused] == [True], refused


def test_tests_and_vendored_copies_are_left_out() -> None:
    for path in ("json/decoder.py", "numpy/testing/overrides.py", "latest/contest.py"):
        assert is_wanted(path), path
    for path in (
        *("test/support.py", "a/tests/b.py", "a/test_b.py", "a/b_test.py", "conftest.py"),
        *("pip/_vendor/rich/box.py", "a/third_party/b.py"),
    ):
        assert not is_wanted(path), path


def install(site: Path, name: str, version: str, modules: dict[str, str]) -> None:
    """Lay a distribution into a directory as pip does."""
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    record = []
    for place, text in modules.items():
        file = site / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        record.append(f"{place},,")
    (info / "RECORD").write_text("\n".join(record) + "\n")


def documented(name: str, summary: str, body: str = "return value + 1") -> str:
    return f'def {name}(value):\n    """{summary}"""\n    {body}\n'


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three packages; alpha-tools and beta share a function and a docstring with Gamma."""
    site = tmp_path / "site"
    own = documented("alpha", "Add one to the value of alpha.")
    shared = documented("shared", "Add one to what is shared.")
    copied = documented("copied", "Read the  Docstring of\n    the other package.", "return 3")
    install(site, "alpha_tools", "1.0", {"alpha/one.py": own + shared, "alpha/tests/x.py": GOOD})
    install(site, "beta", "2.1", {"beta.py": documented("beta", "Return the value of beta.")})
    beside = documented("other", "Read the docstring of the other package.", "return 4")
    laid_out = shared.replace("value + 1", "value  +  1  # differs in layout only")
    install(site, "Gamma", "0.3+local", {"gamma.py": laid_out + copied, "delta.py": beside})
    monkeypatch.syspath_prepend(str(site))
    return site


def source(**values: object) -> PackageSource:
    given = {"kind": "packages", "only": ["alpha-tools", "beta", "gamma"], "test": ["Gamma"]}
    return PackageSource.model_validate({**given, "threads": 1, **values})


def test_no_package_and_no_function_is_in_two_parts(site: Path) -> None:
    test = list(read_packages(source(part="test"), "functions"))
    # Of two rows with one docstring the first is kept: files in their order, delta before gamma.
    assert [(row["id"], row["version"]) for row in test] == [
        ("gamma/delta:other", "0.3+local"),
        ("gamma/gamma:shared", "0.3+local"),
    ]
    # `shared` went to test although alpha-tools comes first by name.
    train = list(read_packages(source(part="train"), "functions"))
    assert [(row["name"], row["path"]) for row in train] == [
        ("alpha", "alpha/one.py"),
        ("beta", "beta.py"),
    ]
    assert train == list(read_packages(source(part="train", threads=3), "functions"))
    for part, name in (("train", "alpha"), ("validation", "beta")):
        [row] = read_packages(source(part=part, validation=["beta"]), "functions")
        assert row["name"] == name


def test_the_standard_library_is_read_and_named_twice_gets_two_ids() -> None:
    rows = read_packages(source(only=["python"], test=[], threads=2), "functions")
    first = list(islice(rows, 100))
    rows.close()  # type: ignore[attr-defined]
    assert all(row["package"] == "python" for row in first)
    assert len({row["id"] for row in first}) == 100
    assert not any("/test/" in row["path"] for row in first)
    for row in first[:50]:
        compile(f"{row['signature']}\n{row['body']}", row["id"], "exec")


def test_lock_narrows_and_is_held_against_the_environment(site: Path, tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("# pinned\nAlpha.Tools==1.0\ngamma==0.3 ; python_version > '3'\n")
    packages = chosen_packages(source(lock=lock, only=None), "functions")
    assert [p.name for p in packages["train"]] == ["alpha-tools", "python"]
    assert [p.name for p in packages["test"]] == ["gamma"]
    for text, message in (
        ("alpha-tools==1.1\ngamma==0.3\n", r"pins alpha-tools==1\.1, which is installed as 1\.0"),
        ("nowhere-to-be-found==1.1\n", "which is not installed; make the environment"),
        ("alpha-tools\n", "holds no line of the form name==version"),
    ):
        lock.write_text(text)
        with pytest.raises(UserError, match=message):
            chosen_packages(source(lock=lock, only=None), "functions")


def test_mistakes_name_the_field_and_the_way_out(site: Path) -> None:
    with pytest.raises(UserError, match=r"sources\.f\.only: 'alfa-tools' .* did you mean 'alpha-"):
        chosen_packages(source(only=["alfa-tools"]), "f")
    with pytest.raises(UserError, match=r"sources\.f\.test: 'gama' .* did you mean 'gamma'"):
        chosen_packages(source(test=["gama"]), "f")
    with pytest.raises(ValidationError, match="'gamma' stands in `validation` and in `test`"):
        source(validation=["GAMMA"])
    with pytest.raises(UserError, match=r"sources\.f: no package is left to read"):
        list(read_packages(source(only=["gamma"], test=[], part="test"), "f"))


def test_fetch_writes_them_like_any_other_source(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch("functions", source(part="train"), tmp_path / "out", None, read_packages)
    assert [row["name"] for row in read(tmp_path / "out/rows.jsonl")] == ["alpha", "beta"]
    assert "2 kept, 1 repeated" in capsys.readouterr().err
    facts = read_manifest(tmp_path / "out", "rows")["facts"]
    assert facts["rows"] == 2 and "key" not in facts["columns"]
