"""``python -m mixmerge.planning``: what a run would take, before it starts.

Takes the arguments of ``snakemake``, such as ``--configfile config/config.yaml --profile slurm``,
runs nothing, and prints jobs, GPU-hours, wall time, peak disk and the critical path.
"""

import sys

from mixmerge.planning.dryrun import dry_run
from mixmerge.planning.fit import misfits
from mixmerge.planning.table import rendered


def main() -> None:
    """Print the plan; the exit code is 1 where Snakemake refuses."""
    planned = dry_run(sys.argv[1:])
    if planned is None:
        sys.exit(1)
    print(rendered(planned))
    for warning in misfits(planned):
        print(f"warning: {warning}")


if __name__ == "__main__":
    main()
