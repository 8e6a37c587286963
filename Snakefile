# mixmerge: data mix or model merge?
#
# The targets of a study. Each stage has its rules in rules/, its logic in src/mixmerge/ and its
# settings in one YAML: `snakemake --configfile config/demo.yaml --cores all`.
from snakemake.utils import min_version

min_version("9.0")

# A config file given on the command line replaces the paper's study; Snakemake would merge the two.
if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


report: "resources/report.rst"


include: "rules/common.smk"
include: "rules/preflight.smk"
include: "rules/verify.smk"
include: "rules/data.smk"
include: "rules/suites.smk"
include: "rules/train.smk"
include: "rules/merge.smk"
include: "rules/generate.smk"
include: "rules/score.smk"
include: "rules/weights.smk"
include: "rules/report.smk"
include: "rules/uncertainty.smk"
include: "rules/winners.smk"


remember_signatures(workflow.rules)


rule all:
    default_target: True
    input:
        TABLES,
        FIGURES,
        VERDICT,
        TIMING,
        WINNERS,
    localrule: True
    message:
        "study {STUDY.config.study} is up to date"


rule all_tables:
    input:
        TABLES,
    localrule: True
    message:
        "all tables are up to date"


rule all_figures:
    input:
        FIGURES,
    localrule: True
    message:
        "all figures are up to date"


rule all_checkpoints:
    input:
        STUDY.kept(),
    localrule: True
    message:
        "all checkpoints that are kept are up to date"


rule all_winners:
    input:
        WINNERS,
    localrule: True
    message:
        "all winners are up to date"
