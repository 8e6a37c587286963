# Integrity: `snakemake verify` reads every file that has a digest (docs/checks.md). It changes
# nothing, needs no --cores, and may run beside another Snakemake.


rule verify:
    retries: 0
    localrule: True
    # It prints for people, runs alone, and in Snakemake's own environment.
    handover: True
    container:
        None
    resources:
        # A handover rule that names none takes all, and a cluster's profile has no number of cores.
        mem_mb=2000,
    params:
        script=own_script("verify.py"),
        config=lambda wildcards: dumps(config, keep_order=True),
        options=lambda wildcards: study_options(),
        remote="--remote" if RESULTS.remote else "",
    message:
        "compare the study's files with their manifests"
    shell:
        "{params.script} --config {params.config:q} --options={params.options:q} {params.remote}"
