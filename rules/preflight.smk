# Preflight: `snakemake preflight` looks at what would fail hours later (docs/checks.md). It
# changes nothing and needs no --cores. A config with mistakes is refused before, with all of them.


rule preflight:
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
        script=own_script("preflight.py"),
        config=lambda wildcards: dumps(config, keep_order=True),
        where=" + ".join(map(str, workflow.configfiles)) or "config",
        repository=workflow.basedir,
        executor=lambda wildcards: workflow.executor_plugin.name,
        partitions=partitions(),
        deployed="--deployed" if _deployed else "",
        plan=lambda wildcards: dumps(plan_arguments(), keep_order=True),
    message:
        "look at what would fail hours later"
    shell:
        "{params.script} --config {params.config:q} --where={params.where:q}"
        " --repository {params.repository:q} --executor={params.executor:q}"
        " {params.partitions:q} {params.deployed} --plan {params.plan:q}"
