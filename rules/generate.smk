# Generation: all suites of a checkpoint in one load of the model.


rule generate:
    input:
        checkpoint=STUDY.manifest("checkpoints", "{model}", "{variant}"),
        # Merged weights are temporary, their manifest is not: it says whether they have changed.
        weights=ancient(lambda wildcards: STUDY.of_merge(STUDY.weights, **wildcards)),
        # Whoever else reads merged weights does so before they are deleted.
        readers=ancient(lambda wildcards: STUDY.of_merge(STUDY.statistics, **wildcards)),
        suites=[STUDY.manifest("suites", suite) for suite in CONFIG.suites],
    output:
        RESULTS.files("completions", "{model}", "{variant}", made=True),
    log:
        log_of("generate", "model", "variant"),
    benchmark:
        benchmark_of("generate", "model", "variant")
    # Frees merged weights: before more are made.
    priority: 1
    conda:
        "../envs/generate.yaml"
    threads: CONFIG.decoding.threads
    resources:
        **needs("generate"),
    params:
        code=code("generate.py"),
        checkpoint=lambda wildcards: STUDY.weights(wildcards.model, wildcards.variant),
        suites=named_suites(CONFIG.suites),
        out=directory_of,
        scratch=lambda wildcards: STUDY.path(
            "scratch", "generate", wildcards.model, wildcards.variant
        ),
        settings=lambda wildcards: dumps(
            STUDY.generate_settings(wildcards.model, wildcards.variant)
        ),
    message:
        "generate with {wildcards.model}: {wildcards.variant}"
    shell:
        "script generate.py --checkpoint {params.checkpoint:q}"
        " --manifest {input.checkpoint:q} --suites {params.suites:q}"
        " --settings {params.settings:q} --scratch {params.scratch:q}"
        " --out {params.out:q} 2> {log:q}"
