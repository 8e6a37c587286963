"""Packages as a source: how their parts are kept apart.

The packages are real distributions: folders with a RECORD, on the import path of a process.
"""

import json
from itertools import islice
from pathlib import Path

import pytest
from pydantic import ValidationError
from test_package_functions import GOOD

from mixmerge.artifacts.manifest import read_manifest
from mixmerge.core.errors import UserError
from mixmerge.data.packages import chosen_packages
from mixmerge.data.settings import PackageSource
from mixmerge.data.sources import fetch
from offline_sources.packages import read_packages


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


def names(given: PackageSource) -> list[str]:
    return [row["name"] for row in read_packages(given, "functions")]


def test_no_package_and_no_function_is_in_two_parts(site: Path) -> None:
    test = list(read_packages(source(part="test"), "functions"))
    # Of two rows with one docstring the first is kept: files in their order, delta before gamma.
    assert [(row["id"], row["version"]) for row in test] == [
        ("gamma/delta:other", "0.3+local"),
        ("gamma/gamma:shared", "0.3+local"),
    ]
    # `shared` went to test although alpha-tools comes first by name.
    assert names(source(part="train")) == ["alpha", "beta"]
    assert names(source(part="train", validation=["beta"])) == ["alpha"]
    assert names(source(part="validation", validation=["beta"])) == ["beta"]


def test_order_and_bytes_do_not_depend_on_the_number_of_processes(site: Path) -> None:
    one = list(read_packages(source(threads=1), "functions"))
    assert one == list(read_packages(source(threads=3), "functions"))
    assert {row["path"] for row in one} == {"alpha/one.py", "beta.py"}


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
    lock.write_text("alpha-tools==1.1\ngamma==0.3\n")
    with pytest.raises(UserError, match=r"pins alpha-tools==1\.1, which is installed as 1\.0"):
        chosen_packages(source(lock=lock, only=None), "functions")
    lock.write_text("nowhere-to-be-found==1.1\n")
    with pytest.raises(UserError, match="which is not installed; make the environment"):
        chosen_packages(source(lock=lock, only=None), "functions")
    lock.write_text("alpha-tools\n")
    with pytest.raises(UserError, match="holds no line of the form name==version"):
        chosen_packages(source(lock=lock), "functions")


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
    rows = [json.loads(line) for line in (tmp_path / "out/rows.jsonl").read_text().splitlines()]
    assert [row["name"] for row in rows] == ["alpha", "beta"]
    assert "2 kept, 1 repeated" in capsys.readouterr().err
    facts = read_manifest(tmp_path / "out", "rows")["facts"]
    assert facts["rows"] == 2 and "key" not in facts["columns"]
