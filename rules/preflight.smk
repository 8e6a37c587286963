# Preflight: `snakemake preflight` looks at what would fail hours later (docs/preflight.md). It is no
# job: a study that cannot be read has no rules, and that is one finding among the others.
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir, "src")))

from mixmerge.study.invocation import arguments, wants

if workflow.is_main_process and wants(arguments(), "preflight"):
    from mixmerge.preflight.command import preflight

    sys.exit(preflight(config, workflow, arguments()))


# For the list of targets.
rule preflight:
    localrule: True
    message:
        "look at what would fail hours later"
