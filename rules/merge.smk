# Merging: a recipe that MergeKit itself accepts, then the merged checkpoint.
MERGE_CODE = code("merge.py")


rule recipe:
    output:
        STUDY.path("recipes", "{model}", "{variant}.yaml"),
    log:
        log_of("recipe", "model", "variant"),
    benchmark:
        benchmark_of("recipe", "model", "variant")
    wildcard_constraints:
        variant=closed(name for _, name in STUDY.checkpoints("merge")),
    localrule: True
    conda:
        "../envs/merge.yaml"
    resources:
        **needs("recipe"),
    params:
        code=code("recipe.py"),
        settings=lambda wildcards: dumps(
            STUDY.recipe_settings(wildcards.model, wildcards.variant), keep_order=True
        ),
        # Not read: what makes a merge anew plans its recipe, and by that its statistics, to which
        # the merge itself is an `ancient` input. Snakemake does not look at a job's own params
        # below one that is planned, and so would miss the statistics.
        merge=lambda wildcards: [
            MERGE_CODE(wildcards),
            STUDY.merge_seed(wildcards.model, wildcards.variant),
            CONFIG.merging.shard_bytes,
        ],
    message:
        "write the recipe of {wildcards.model}: {wildcards.variant}"
    shell:
        "script recipe.py --settings {params.settings:q} --out {output:q} 2> {log:q}"


# Weights are deleted when all that reads them is done, unless the config keeps them.
MERGED = directory(STUDY.path("merged", "{model}", "{variant}"))


rule merge:
    input:
        recipe=STUDY.path("recipes", "{model}", "{variant}.yaml"),
        base=STUDY.manifest("checkpoints", "{model}", "base"),
        specialists=lambda wildcards: [
            STUDY.manifest("checkpoints", wildcards.model, name)
            for name in STUDY.merged(wildcards.model, wildcards.variant).values()
        ],
    output:
        # What stays of a merge, and the edge to all below it: the SHA-256 of its files.
        record=STUDY.manifest("checkpoints", "{model}", "{variant}"),
        weights=MERGED if CONFIG.merging.keep == "all" else temp(MERGED),
    log:
        log_of("merge", "model", "variant"),
    benchmark:
        benchmark_of("merge", "model", "variant")
    wildcard_constraints:
        variant=closed(name for _, name in STUDY.checkpoints("merge")),
    conda:
        "../envs/merge.yaml"
    threads: 1
    resources:
        **needs("merge"),
        # How many merges may be on disk at once: the scheduler `mixmerge` counts them.
        merged=1,
    params:
        code=MERGE_CODE,
        record=directory_of,
        seed=lambda wildcards: STUDY.merge_seed(wildcards.model, wildcards.variant),
        shard_bytes=CONFIG.merging.shard_bytes,
    message:
        "merge {wildcards.model}: {wildcards.variant}"
    shell:
        "script merge.py --recipe {input.recipe:q} --seed {params.seed}"
        " --shard-bytes {params.shard_bytes} --threads {threads}"
        " --out {output.weights:q} --record {params.record:q} 2> {log:q}"
