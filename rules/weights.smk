# Weights: layer statistics of each checkpoint against its base, and of updates against each other.


rule layers:
    input:
        base=STUDY.manifest("checkpoints", "{model}", "base"),
        variant=STUDY.manifest("checkpoints", "{model}", "{variant}"),
        # Merged weights are temporary, their manifest is not.
        weights=lambda wildcards: STUDY.temporary(wildcards.model, wildcards.variant),
    output:
        STUDY.path("weights", "{model}", "{variant}.json"),
    log:
        log_of("layers", "model", "variant"),
    benchmark:
        benchmark_of("layers", "model", "variant")
    wildcard_constraints:
        variant=closed(name for _, name in STUDY.checkpoints("sft", "mix", "merge")),
    conda:
        "../envs/weights.yaml"
    resources:
        **needs("layers"),
    params:
        code=code("layers.py"),
        base=lambda wildcards, input: directories([input.base]),
        variant=lambda wildcards: STUDY.weights(wildcards.model, wildcards.variant),
    message:
        "layer statistics of {wildcards.model}: {wildcards.variant}"
    shell:
        "script layers.py --base {params.base:q} --variant {params.variant:q}"
        " --out {output:q} 2> {log:q}"


rule updates:
    input:
        base=STUDY.manifest("checkpoints", "{model}", "base"),
        specialists=lambda wildcards: [
            STUDY.manifest("checkpoints", wildcards.model, name)
            for name in STUDY.specialists(wildcards.model).values()
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
