# Integrity: `snakemake verify` reads every file that has a digest (docs/checks.md). It is no job:
# it changes nothing, and works without --cores and beside a run.
from mixmerge.study.invocation import arguments, chosen_options, wants

if workflow.is_main_process and wants(arguments(), "verify"):
    from mixmerge.verify.verify import main as verify

    sys.exit(verify(STUDY, chosen_options(arguments()), RESULTS.remote))


# For the list of targets.
rule verify:
    localrule: True
    message:
        "compare the study's files with their manifests"
