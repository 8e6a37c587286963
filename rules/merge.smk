# Merging: a recipe that MergeKit itself accepts, then the merged checkpoint.


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
    message:
        "write the recipe of {wildcards.model}: {wildcards.variant}"
    shell:
        "script recipe.py --settings {params.settings:q} --out {output:q} 2> {log:q}"


rule merge:
    input:
        recipe=STUDY.path("recipes", "{model}", "{variant}.yaml"),
        base=STUDY.manifest("checkpoints", "{model}", "base"),
        specialists=lambda wildcards: [
            STUDY.manifest("checkpoints", wildcards.model, name)
            for name in STUDY.merged(wildcards.model, wildcards.variant).values()
        ],
    output:
        STUDY.manifest("checkpoints", "{model}", "{variant}"),
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
    params:
        code=code("merge.py"),
        out=directory_of,
        seed=lambda wildcards: STUDY.merge_seed(wildcards.model, wildcards.variant),
        shard_bytes=CONFIG.merging.shard_bytes,
    message:
        "merge {wildcards.model}: {wildcards.variant}"
    shell:
        "script merge.py --recipe {input.recipe:q} --seed {params.seed}"
        " --shard-bytes {params.shard_bytes} --threads {threads}"
        " --out {params.out:q} 2> {log:q}"
