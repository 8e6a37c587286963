# Integrity: `snakemake verify` reads every file that has a digest (docs/checks.md). It changes
# nothing, needs no --cores, and may run beside another Snakemake.


def study_options():
    """The options that say which study is meant, as for a shell: --configfile X --profile Y."""
    words = []
    for name in ("directory", "profile", "configfile", "config"):
        value = COMMAND.get(name) or []
        values = value if isinstance(value, list) else [value]
        words += [f"--{name}", *map(str, values)] if values else []
    return shlex.join(words)


rule verify:
    retries: 0
    localrule: True
    container:
        None
    params:
        script=own_script("verify.py"),
        config=lambda wildcards: dumps(config, keep_order=True),
        options=lambda wildcards: study_options(),
        remote="--remote" if RESULTS.remote else "",
    message:
        "compare the study's files with their manifests"
    shell:
        "{params.script} --config {params.config:q} --options={params.options:q} {params.remote}"
