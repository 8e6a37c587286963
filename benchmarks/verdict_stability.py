"""Whether verdicts depend on the machine's load: the same completions, judged again and again.

    MIXMERGE_DATA=DIR python benchmarks/verdict_stability.py --work DIR

Judges 563 published completions ten times, five of them with a busy process on every core besides,
and prints for each run how many verdicts differ from the first run's and from the published ones.
Exits with 1 if any two runs differ.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from load import busy
from published import published

from mixmerge.evaluate.settings import CodeScoring


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="keeps the ground truths")
    parser.add_argument("--runs", type=int, default=5, help="of each kind")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--burners", type=int, default=os.cpu_count())
    given = parser.parse_args()
    suites = published(given.work, given.workers)
    code = CodeScoring(workers=given.workers)
    first: dict[str, object] = {}
    unstable = False
    print("| run | burners | load | suite | seconds | base | plus | as first | as published |")
    print("|---|---|---|---|---|---|---|---|---|")
    for number in range(2 * given.runs):
        burners = given.burners if number >= given.runs else 0
        for suite in suites:
            with busy(burners):
                started = time.monotonic()
                verdicts = suite.judge(code)
                seconds = time.monotonic() - started
            load = os.getloadavg()[0]
            reference = first.setdefault(suite.name, verdicts)
            assert isinstance(reference, dict)
            other = [pair[0] for pair in verdicts if verdicts[pair] != reference[pair]]
            unstable = unstable or bool(other)
            found, wanted = suite.solved(verdicts), suite.published()
            differ = [task for task in wanted if found[task] != wanted[task]]
            base, plus = (sum(row[i] for row in found.values()) / len(found) for i in (0, 1))
            print(
                f"| {number + 1} | {burners} | {load:.1f} | {suite.name} | {seconds:.1f} "
                f"| {100 * base:.1f} | {100 * plus:.1f} | {', '.join(other) or 'all'} "
                f"| {', '.join(differ) or 'all'} |",
                flush=True,
            )
    sys.exit(unstable)


if __name__ == "__main__":
    main()
