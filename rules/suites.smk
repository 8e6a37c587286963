# Suites: what is held out, the items to answer, and what right answers are judged by.


rule hold_out:
    input:
        unpack(lambda wildcards: STUDY.hold_out_inputs(wildcards.suite)),
    output:
        STUDY.manifest("data", "heldout", "{suite}"),
    log:
        log_of("hold_out", "suite"),
    benchmark:
        benchmark_of("hold_out", "suite")
    # On this machine: EvalPlus's own suites are downloaded.
    localrule: True
    conda:
        "../envs/data.yaml"
    resources:
        **needs("hold_out"),
    params:
        code=code("heldout.py"),
        out=directory_of,
        settings=lambda wildcards: dumps(STUDY.hold_out_settings(wildcards.suite)),
        given=manifest_options,
    message:
        "hold out the problems or rows of suite {wildcards.suite}"
    shell:
        "script heldout.py --settings {params.settings:q} {params.given:q}"
        " --out {params.out:q} 2> {log:q}"


rule suite:
    input:
        unpack(lambda wildcards: STUDY.item_inputs(wildcards.suite)),
    output:
        STUDY.manifest("suites", "{suite}"),
    log:
        log_of("suite", "suite"),
    benchmark:
        benchmark_of("suite", "suite")
    conda:
        "../envs/data.yaml"
    resources:
        **needs("suite"),
    params:
        code=code("suite.py"),
        out=directory_of,
        settings=lambda wildcards: dumps(STUDY.suite_settings(wildcards.suite)),
        given=lambda wildcards, input: [
            *manifest_options(wildcards, input),
            *STUDY.sample_seed(wildcards.suite),
        ],
    message:
        "write the items of suite {wildcards.suite}"
    shell:
        "script suite.py --settings {params.settings:q} {params.given:q}"
        " --out {params.out:q} 2> {log:q}"


rule ground_truth:
    input:
        STUDY.manifest("suites", "{suite}"),
    output:
        STUDY.manifest("groundtruth", "{suite}"),
    log:
        log_of("ground_truth", "suite"),
    benchmark:
        benchmark_of("ground_truth", "suite")
    wildcard_constraints:
        suite=closed(STUDY.code_suites()),
    conda:
        "../envs/evaluate.yaml"
    threads: CONFIG.code_scoring.workers
    resources:
        **needs("ground_truth"),
    params:
        code=code("ground_truth.py"),
        suite=lambda wildcards, input: directories(input),
        settings=lambda wildcards: dumps(STUDY.ground_truth_settings(wildcards.suite)),
        out=directory_of,
    message:
        "run the reference solutions of suite {wildcards.suite}"
    shell:
        "script ground_truth.py --problems {params.suite:q}/problems.jsonl"
        " --settings {params.settings:q} --processes {threads}"
        " --out {params.out:q} 2> {log:q}"


rule nltk_data:
    output:
        f"{CONFIG.results}/nltk_data/manifest.json",
    log:
        f"{CONFIG.results}/nltk_data.log",
    benchmark:
        benchmark_of("nltk_data")
    localrule: True
    conda:
        "../envs/evaluate.yaml"
    resources:
        **needs("nltk_data"),
    params:
        code=code("nltk_data.py"),
        out=directory_of,
    message:
        "fetch WordNet and the word tokenizer that METEOR needs"
    shell:
        "script nltk_data.py --out {params.out:q} 2> {log:q}"
