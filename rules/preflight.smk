# Preflight: `snakemake preflight` looks at what would fail hours later (docs/checks.md). It
# changes nothing and needs no --cores. A config with mistakes is refused before, with all of them.


def plan_arguments():
    """The arguments of this Snakemake for a dry run of the whole study in its directory."""
    started = Path(os.environ.get("PWD", "."))
    words = [word for word in sys.argv[1:] if word not in ("--", "preflight")]
    words += ["--snakefile", str(workflow.main_snakefile), "--directory", os.getcwd()]
    if workflow.overwrite_configfiles:
        words += ["--configfile", *map(str, workflow.overwrite_configfiles)]
    # Paths are meant from where Snakemake was called; it went to --directory before.
    for name in ("profile", "workflow_profile"):
        path = started / str(COMMAND.get(name))
        if path.is_dir():
            words += [f"--{name.replace('_', '-')}", str(path)]
    return words


def partitions():
    """The profile's Slurm partitions, of jobs without GPUs and with them."""
    defaults = workflow.resource_settings.default_resources or {}
    names = {
        "slurm_partition": "--partition",
        "gpu_job_slurm_partition": "--gpu-partition",
    }
    found = {
        option: GpuRequest({f"gpu_job_{name}": defaults[name]}).words[name]
        for name, option in names.items()
        if name in defaults
    }
    return [f"{option}={value}" for option, value in found.items() if value is not None]


rule preflight:
    retries: 0
    localrule: True
    container:
        None
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
