# Scoring: completions against tests and references, on the CPU.


rule score:
    input:
        completions=RESULTS.files("completions", "{model}", "{variant}"),
        suites=[STUDY.manifest("suites", suite) for suite in CONFIG.suites],
        ground_truth=[
            STUDY.manifest("groundtruth", suite) for suite in STUDY.code_suites()
        ],
        nltk_data=[f"{CONFIG.results}/nltk_data/manifest.json"]
        * bool(STUDY.meteor_suites()),
    output:
        RESULTS.files("scores", "{model}", "{variant}", made=True),
    log:
        log_of("score", "model", "variant"),
    benchmark:
        benchmark_of("score", "model", "variant")
    conda:
        "../envs/evaluate.yaml"
    threads: CONFIG.code_scoring.workers
    resources:
        **needs("score"),
    params:
        code=code("score.py"),
        completions=lambda wildcards, input: directories(input.completions[:1]),
        suites=named_suites(CONFIG.suites),
        ground_truth=lambda wildcards, input: [
            f"{suite}={folder}"
            for suite, folder in zip(
                STUDY.code_suites(), directories(input.ground_truth)
            )
        ],
        nltk_data=lambda wildcards, input: [
            word
            for folder in directories(input.nltk_data)
            for word in ("--nltk-data", folder)
        ],
        out=directory_of,
        settings=lambda wildcards: dumps(STUDY.score_settings()),
    message:
        "score {wildcards.model}: {wildcards.variant}"
    shell:
        "script score.py --completions {params.completions:q} --suites {params.suites:q}"
        " --groundtruth {params.ground_truth:q} {params.nltk_data:q}"
        " --settings {params.settings:q} --processes {threads}"
        " --out {params.out:q} 2> {log:q}"
