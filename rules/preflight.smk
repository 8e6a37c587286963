# Preflight: `snakemake preflight` looks at what would fail hours later (docs/checks.md). It is no
# job: a study that cannot be read has no rules, and that is one finding among the others.
import sys
from pathlib import Path

# What the rules and scripts import: the package, the libraries beside it, the tools.
SOURCES = [
    str(Path(workflow.basedir, folder))
    for folder in (
        "src",
        "packages/judgebox/src",
        "packages/snakemake-logger-plugin-mixmerge/src",
        "tools",
    )
]
sys.path[:0] = SOURCES

from mixmerge.study.invocation import arguments, wants

if workflow.is_main_process and wants(arguments(), "preflight"):
    from mixmerge.preflight.command import preflight

    sys.exit(preflight(config, workflow, arguments()))


# For the list of targets.
rule preflight:
    localrule: True
    message:
        "look at what would fail hours later"
