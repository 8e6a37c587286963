"""Peak memory does not follow the number of rows: all stages run in a process of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

#: Prints the peak resident memory, in KiB, after the stages have run on so many rows of 2 kB.
PROGRAM = """
import json, resource, sys
from pathlib import Path
from mixmerge.data.decontaminate import decontaminate
from mixmerge.data.prepare import prepare
from mixmerge.data.settings import Decontamination, LocalSource, PrepareSettings, SuiteSettings
from mixmerge.data.sources import fetch
from mixmerge.data.split import mix, split, subset
from mixmerge.data.suites import hold_out_rows
root, rows = Path(sys.argv[1]), int(sys.argv[2])
text = "x" * 1000
with (root / "src.jsonl").open("w") as file:
    for number in range(rows):
        file.write(json.dumps({"q": f"{number} {text}", "a": f"{text} {number}"}) + "\\n")
(root / "item.jsonl").write_text('{"q": "a b c d e f g h i j k", "a": "x"}\\n')
for name in ("src", "item"):
    fetch(name, LocalSource(kind="local", path=root / f"{name}.jsonl"), root / name)
templates = {"prompt": "Do:\\n{q}", "answer": "{a}"}
suite = {"suite": {"kind": "summary", "source": "item"}, "templates": templates}
hold_out_rows("s", SuiteSettings.model_validate(suite), root / "item", root / "held")
settings = PrepareSettings.model_validate({"templates": templates, "columns": {"src": {}}})
prepare("t", settings, {"src": root / "src"}, root / "task")
decontaminate("t", Decontamination(), root / "task", {"s": root / "held"}, root / "clean")
split("t", 0.1, root / "clean", root / "split", 1)
subset("t", 50, root / "split", root / "half", 1)
mix({"t": root / "split"}, {}, 100, root / "mix", 1, {"t": 1})
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(root: Path, rows: int) -> int:
    root.mkdir()
    command = [sys.executable, "-c", PROGRAM, str(root), str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout) * 1024


@pytest.mark.slow
def test_memory_stays_while_rows_grow(tmp_path: Path) -> None:
    few, many = peak(tmp_path / "few", 500), peak(tmp_path / "many", 10_000)
    size = (tmp_path / "many/mix/train.jsonl").stat().st_size
    # Digests (prepare), ids (prepare), ranks and places (split, subset, mix); never the rows.
    allowed = 10_000 * 400 + (4 << 20)
    assert many - few < allowed < size / 2, f"{(many - few) / 2**20:.0f} MiB more"
