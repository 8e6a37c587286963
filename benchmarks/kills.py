"""Kill the driver and its jobs at random moments; the tables must come out the same.

    python benchmarks/kills.py [--kills 50] [--seed 4] [--cores 2] [--keep DIRECTORY]

A tiny study (a model pre-trained here, two specialists, a mixture, two merges, 51 jobs) runs once
undisturbed. Then it runs again, from nothing, while a seeded kill -9 hits in turn Snakemake
itself, a training, a merge, a generation or a scoring job; `snakemake` is called again, with the
very same arguments, until all is done. When a study is finished before all kills are spent, the
next one begins. At the end, tables and manifests are compared byte by byte.
"""

import argparse
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from fixtures.kills import KINDS, Kills, Run, fingerprints  # noqa: E402
from fixtures.workspace import Workspace, shrink  # noqa: E402

STUDY = "killed"


def config() -> dict[str, Any]:
    """The demo's config with one model, one scale and two merges."""
    data = shrink(yaml.safe_load((ROOT / "config/demo.yaml").read_text(encoding="utf-8")))
    data["study"] = STUDY
    del data["models"]["llama-small"]
    data["data_scale"] = [100]
    data["strategies"] = {key: data["strategies"][key] for key in ("linear", "dare")}
    data["strategies"]["linear"]["ratios"] = [0.3]
    return data


def workspace(folder: Path, nltk_data: Path | None) -> Workspace:
    """A directory for a study; nltk's data, which has to be fetched, is taken from another."""
    folder.mkdir(parents=True)
    made = Workspace(folder)
    made.write_config(config())
    if nltk_data is not None:
        shutil.copytree(nltk_data, folder / "results/nltk_data")
    return made


def started(workspace: Workspace) -> int:
    """Number of jobs that were started in a directory, over all runs."""
    logs = (workspace.path / ".snakemake/log").glob("*.log")
    return sum(len(re.findall(r"^Job \d+: ", log.read_text(), re.MULTILINE)) for log in logs)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="a new directory for the studies and their logs")
    parser.add_argument("--nltk-data", type=Path, help="results/nltk_data of another study")
    given = parser.parse_args()
    folder = given.keep or Path(tempfile.mkdtemp(prefix="mixmerge-kills-"))

    calm = Run(workspace(folder / "calm", given.nltk_data), cores=given.cores)
    begin = time.perf_counter()
    calm.finish(attempts=1)
    calm_seconds = time.perf_counter() - begin
    calm_jobs = started(calm.workspace)
    expected = fingerprints(calm.workspace, STUDY)
    print(
        f"undisturbed: {calm_jobs} jobs, {calm_seconds:.0f} s, {len(expected)} files compared",
        flush=True,
    )

    # About fifty in the time of two or three undisturbed studies, however slow the machine is.
    pending = Kills(given.kills, given.seed, calm_seconds / 10)
    killed: list[str] = []
    seconds, studies, jobs, starts, different = 0.0, 0, 0, 0, 0
    while pending.left.total():
        studies += 1
        place = workspace(folder / f"kills-{studies}", folder / "calm/results/nltk_data")
        run = Run(place, cores=given.cores)
        begin = time.perf_counter()
        before = len(killed)
        try:
            while pending.left.total() and (victim := run.strike(pending)):
                killed.append(victim)
                passed = time.perf_counter() - begin
                print(f"{len(killed):3d} {victim} at {passed:.0f} s of study {studies}", flush=True)
            run.finish()
        finally:
            run.close()
        seconds += time.perf_counter() - begin
        jobs += started(place)
        starts += run.starts
        found = fingerprints(place, STUDY)
        wrong = sorted(
            path for path in expected.keys() | found.keys() if expected.get(path) != found.get(path)
        )
        different += bool(wrong)
        outcome = f"these differ: {' '.join(wrong)}" if wrong else "same bytes"
        print(f"study {studies}: {len(killed) - before} kills, {outcome}", flush=True)

    counts = Counter(killed)
    print(
        f"\n{len(killed)} kills in {studies} studies ("
        + ", ".join(f"{counts[kind]} {kind}" for kind in KINDS)
        + f"), Snakemake called {starts} times\n"
        f"{jobs - studies * calm_jobs} jobs were run again, {jobs} in all\n"
        f"{(seconds - studies * calm_seconds) / max(len(killed), 1):.0f} s lost a kill\n"
        f"{studies - different} of {studies} studies byte-identical to the undisturbed one"
    )
    if given.keep is None:
        shutil.rmtree(folder)
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
