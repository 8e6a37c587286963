# Uncertainty: intervals and tests on the scores of all checkpoints of a model.
# It is included after rules/report.smk, whose layout names checkpoints and columns.
from mixmerge.study.layout import uncertainty_settings


rule uncertainty:
    input:
        lambda wildcards: [
            file
            for variant in STUDY.variants[wildcards.model]
            for file in RESULTS.files("scores", wildcards.model, variant)
        ],
    output:
        RESULTS.file("uncertainty", "{model}.json"),
    log:
        log_of("uncertainty", "model"),
    benchmark:
        benchmark_of("uncertainty", "model")
    conda:
        "../envs/report.yaml"
    resources:
        **needs("uncertainty"),
    params:
        code=code("uncertainty.py"),
        scores=lambda wildcards, input: [
            f"{variant}={RESULTS.root / 'scores' / wildcards.model / variant}"
            for variant in STUDY.variants[wildcards.model]
        ],
        seed=lambda wildcards: STUDY.seed("uncertainty", wildcards.model),
        settings=lambda wildcards: dumps(
            uncertainty_settings(LAYOUT, wildcards.model, CONFIG.uncertainty),
            keep_order=True,
        ),
    message:
        "weigh the evidence on {wildcards.model}"
    shell:
        "script uncertainty.py --scores {params.scores:q} --settings {params.settings:q}"
        " --seed {params.seed} --out {output:q} 2> {log:q}"
