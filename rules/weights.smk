# Weights: layer statistics of each checkpoint against its base, and of updates against each other.


rule layers:
    input:
        base=STUDY.manifest("checkpoints", "{model}", "base"),
        variant=STUDY.manifest("checkpoints", "{model}", "{variant}"),
    output:
        STUDY.path("weights", "{model}", "{variant}.json"),
    log:
        log_of("layers", "model", "variant"),
    benchmark:
        benchmark_of("layers", "model", "variant")
    wildcard_constraints:
        variant=closed(name for _, name in STUDY.checkpoints("sft", "mix")),
    conda:
        "../envs/weights.yaml"
    resources:
        **needs("layers"),
    params:
        code=code("layers.py"),
        base=lambda wildcards, input: directories([input.base]),
        variant=lambda wildcards, input: directories([input.variant]),
    message:
        "layer statistics of {wildcards.model}: {wildcards.variant}"
    shell:
        "script layers.py --base {params.base:q} --variant {params.variant:q}"
        " --out {output:q} 2> {log:q}"


rule merged_layers:
    input:
        base=STUDY.manifest("checkpoints", "{model}", "base"),
        specialists=lambda wildcards: [
            STUDY.manifest("checkpoints", wildcards.model, name)
            for name in STUDY.merged(wildcards.model, wildcards.variant).values()
        ],
        recipe=STUDY.path("recipes", "{model}", "{variant}.yaml"),
        # The weights are read while they are there, and are no input: their return for another
        # reader is no reason to read them again. What they are made from is named above.
        record=ancient(STUDY.manifest("checkpoints", "{model}", "{variant}")),
    output:
        STUDY.path("weights", "{model}", "{variant}.json"),
    log:
        log_of("merged_layers", "model", "variant"),
    benchmark:
        benchmark_of("merged_layers", "model", "variant")
    wildcard_constraints:
        variant=closed(name for _, name in STUDY.checkpoints("merge")),
    # Frees merged weights, as generation does: before more are made.
    priority: 1
    conda:
        "../envs/merge.yaml"
    resources:
        **needs("merged_layers"),
        # One more merge on disk where the weights are gone and must be made again.
        merged=lambda wildcards: int(not os.path.isdir(STUDY.weights(**wildcards))),
    params:
        code=code("merged_layers.py"),
        base=lambda wildcards, input: directories([input.base]),
        weights=lambda wildcards: STUDY.weights(wildcards.model, wildcards.variant),
        record=lambda wildcards, input: directories([input.record]),
        seed=lambda wildcards: STUDY.merge_seed(wildcards.model, wildcards.variant),
        scratch=lambda wildcards: STUDY.path(
            "scratch", "layers", wildcards.model, wildcards.variant
        ),
    message:
        "layer statistics of {wildcards.model}: {wildcards.variant}"
    shell:
        "script merged_layers.py --base {params.base:q} --weights {params.weights:q}"
        " --record {params.record:q} --recipe {input.recipe:q} --seed {params.seed}"
        " --scratch {params.scratch:q} --out {output:q} 2> {log:q}"


rule updates:
    input:
        base=STUDY.manifest("checkpoints", "{model}", "base"),
        specialists=lambda wildcards: [
            STUDY.manifest("checkpoints", wildcards.model, name)
            for name in STUDY.specialists.values()
        ],
    output:
        STUDY.path("weights", "{model}", "updates.json"),
    log:
        log_of("updates", "model"),
    benchmark:
        benchmark_of("updates", "model")
    conda:
        "../envs/weights.yaml"
    resources:
        **needs("updates"),
    params:
        code=code("updates.py"),
        base=lambda wildcards, input: directories([input.base]),
        specialists=lambda wildcards, input: [
            f"{Path(folder).name}={folder}"
            for folder in directories(input.specialists)
        ],
    message:
        "compare the updates of {wildcards.model}'s specialists"
    shell:
        "script updates.py --base {params.base:q} --variants {params.specialists:q}"
        " --out {output:q} 2> {log:q}"
