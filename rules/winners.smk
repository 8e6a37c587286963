# Winners: of each sweep the merge that the tables choose, whose weights were deleted, made again.
# It is included after rules/report.smk, whose layout names checkpoints and columns.
from mixmerge.study.layout import contenders, winner_layout

WINNERS = [STUDY.manifest("winners", *pair) for pair in STUDY.winners()]


rule winner:
    input:
        base=STUDY.manifest("checkpoints", "{model}", "base"),
        specialists=lambda wildcards: [
            STUDY.manifest("checkpoints", wildcards.model, name)
            for name in STUDY.specialists.values()
        ],
        recipes=lambda wildcards: [
            STUDY.path("recipes", wildcards.model, f"{name}.yaml")
            for name in STUDY.merges(wildcards.model, wildcards.strategy)
        ],
        records=lambda wildcards: [
            STUDY.manifest("checkpoints", wildcards.model, name)
            for name in STUDY.merges(wildcards.model, wildcards.strategy)
        ],
        scores=lambda wildcards: [
            RESULTS.summary(wildcards.model, name)
            for name in contenders(LAYOUT, wildcards.model, wildcards.strategy)
        ],
    output:
        STUDY.manifest("winners", "{model}", "{strategy}"),
    log:
        log_of("winner", "model", "strategy"),
    benchmark:
        benchmark_of("winner", "model", "strategy")
    wildcard_constraints:
        strategy=closed(CONFIG.strategies),
    conda:
        "../envs/merge.yaml"
    threads: 1
    resources:
        **needs("winner"),
    params:
        code=code("winner.py"),
        layout=lambda wildcards: dumps(
            winner_layout(LAYOUT, wildcards.model, wildcards.strategy),
            keep_order=True,
        ),
        shelf=lambda wildcards, input: str(RESULTS.root),
        recipes=lambda wildcards, input: [
            f"{Path(file).name.removesuffix('.yaml')}={file}" for file in input.recipes
        ],
        records=lambda wildcards, input: [
            f"{Path(folder).name}={folder}" for folder in directories(input.records)
        ],
        seed=lambda wildcards: STUDY.seed("merge", wildcards.model, wildcards.strategy),
        out=directory_of,
    message:
        "keep the winner of {wildcards.model}: {wildcards.strategy}"
    shell:
        "script winner.py --layout {params.layout:q} --shelf {params.shelf:q}"
        " --recipes {params.recipes:q} --records {params.records:q} --seed {params.seed}"
        " --threads {threads} --out {params.out:q} 2> {log:q}"
