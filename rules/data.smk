# Data: fetch -> prepare -> decontaminate -> split -> subset / mix.


rule corpus:
    output:
        STUDY.manifest("data", "corpus"),
    log:
        log_of("corpus"),
    benchmark:
        benchmark_of("corpus")
    conda:
        "../envs/data.yaml"
    resources:
        **needs("corpus"),
    params:
        code=code("corpus.py"),
        out=directory_of,
        settings=lambda wildcards: dumps(CONFIG.embedded.model_dump(mode="json")),
        seed=STUDY.seed("corpus"),
    message:
        "generate the embedded corpus"
    shell:
        "script corpus.py --out {params.out:q} --settings {params.settings:q}"
        " --seed {params.seed} 2> {log:q}"


rule fetch:
    input:
        unpack(lambda wildcards: STUDY.source_inputs(wildcards.source)),
    output:
        STUDY.manifest("data", "sources", "{source}"),
    log:
        log_of("fetch", "source"),
    benchmark:
        benchmark_of("fetch", "source")
    # On this machine: compute nodes often have no internet.
    localrule: True
    conda:
        "../envs/data.yaml"
    threads: lambda wildcards: getattr(CONFIG.sources[wildcards.source], "threads", 1)
    resources:
        **needs("fetch"),
    params:
        code=code("fetch.py"),
        out=directory_of,
        settings=lambda wildcards: dumps(STUDY.fetch_settings(wildcards.source)),
        corpus=manifest_options,
    message:
        "fetch source {wildcards.source}"
    shell:
        "script fetch.py --source {wildcards.source:q} --settings {params.settings:q}"
        " {params.corpus:q} --out {params.out:q} 2> {log:q}"


rule prepare:
    input:
        lambda wildcards: [
            STUDY.manifest("data", "sources", source)
            for source in CONFIG.tasks[wildcards.task].sources
        ],
    output:
        STUDY.manifest("data", "tasks", "{task}"),
    log:
        log_of("prepare", "task"),
    benchmark:
        benchmark_of("prepare", "task")
    conda:
        "../envs/data.yaml"
    resources:
        **needs("prepare"),
    params:
        code=code("prepare.py"),
        out=directory_of,
        sources=lambda wildcards, input: [
            f"{source}={folder}"
            for source, folder in zip(
                CONFIG.tasks[wildcards.task].sources, directories(input)
            )
        ],
        settings=lambda wildcards: dumps(STUDY.prepare_settings(wildcards.task)),
    message:
        "map and deduplicate the rows of task {wildcards.task}"
    shell:
        "script prepare.py --task {wildcards.task:q} --sources {params.sources:q}"
        " --settings {params.settings:q} --out {params.out:q} 2> {log:q}"


rule decontaminate:
    input:
        rows=STUDY.manifest("data", "tasks", "{task}"),
        heldout=[
            STUDY.manifest("data", "heldout", suite)
            for suite in STUDY.decontaminating_suites()
        ],
    output:
        STUDY.manifest("data", "clean", "{task}"),
    log:
        log_of("decontaminate", "task"),
    benchmark:
        benchmark_of("decontaminate", "task")
    conda:
        "../envs/data.yaml"
    resources:
        **needs("decontaminate"),
    params:
        code=code("decontaminate.py"),
        rows=lambda wildcards, input: directories([input.rows]),
        heldout=[
            f"{suite}={STUDY.path('data', 'heldout', suite)}"
            for suite in STUDY.decontaminating_suites()
        ],
        out=directory_of,
        settings=lambda wildcards: dumps(
            CONFIG.data.decontamination.model_dump(mode="json")
        ),
    message:
        "drop rows of task {wildcards.task} that overlap with a suite"
    shell:
        "script decontaminate.py --rows {params.rows:q} --heldout {params.heldout:q}"
        " --settings {params.settings:q} --out {params.out:q} 2> {log:q}"


rule split:
    input:
        STUDY.manifest("data", "clean", "{task}"),
    output:
        STUDY.manifest("data", "split", "{task}"),
    log:
        log_of("split", "task"),
    benchmark:
        benchmark_of("split", "task")
    conda:
        "../envs/data.yaml"
    resources:
        **needs("split"),
    params:
        code=code("split.py"),
        rows=lambda wildcards, input: directories(input),
        out=directory_of,
        fraction=CONFIG.data.validation_fraction,
        seed=lambda wildcards: STUDY.seed("split", wildcards.task),
    message:
        "hold out validation rows of task {wildcards.task}"
    shell:
        "script split.py --rows {params.rows:q} --fraction {params.fraction}"
        " --seed {params.seed} --out {params.out:q} 2> {log:q}"


rule subset:
    input:
        STUDY.manifest("data", "split", "{task}"),
    output:
        STUDY.manifest("data", "sets", "{task}-p{percent}"),
    log:
        log_of("subset", "task", "percent"),
    benchmark:
        benchmark_of("subset", "task", "percent")
    conda:
        "../envs/data.yaml"
    resources:
        **needs("subset"),
    params:
        code=code("subset.py"),
        rows=lambda wildcards, input: directories(input),
        out=directory_of,
        # One seed at all percentages: 25 % lies inside 50 %.
        seed=lambda wildcards: STUDY.seed("subset", wildcards.task),
    message:
        "take {wildcards.percent} % of task {wildcards.task}"
    shell:
        "script subset.py --rows {params.rows:q} --percent {wildcards.percent}"
        " --seed {params.seed} --out {params.out:q} 2> {log:q}"


rule mix:
    input:
        [STUDY.manifest("data", "split", task) for task in CONFIG.tasks],
    output:
        STUDY.manifest("data", "sets", "mix-p{percent}"),
    log:
        log_of("mix", "percent"),
    benchmark:
        benchmark_of("mix", "percent")
    conda:
        "../envs/data.yaml"
    resources:
        **needs("mix"),
    params:
        code=code("mix.py"),
        tasks=lambda wildcards, input: [
            f"{task}={folder}"
            for task, folder in zip(CONFIG.tasks, directories(input))
        ],
        out=directory_of,
        weights=lambda wildcards: dumps(CONFIG.mixture.weights or {}),
        seed=STUDY.seed("mix"),
        subset_seeds=dumps({task: STUDY.seed("subset", task) for task in CONFIG.tasks}),
    message:
        "mix {wildcards.percent} % of all tasks"
    shell:
        "script mix.py --tasks {params.tasks:q} --percent {wildcards.percent}"
        " --weights {params.weights:q} --seed {params.seed}"
        " --subset-seeds {params.subset_seeds:q} --out {params.out:q} 2> {log:q}"


rule statistics:
    input:
        sources=[
            STUDY.manifest("data", "sources", source)
            for source in STUDY.training_sources()
        ],
        tasks=[STUDY.manifest("data", "tasks", task) for task in CONFIG.tasks],
        clean=[STUDY.manifest("data", "clean", task) for task in CONFIG.tasks],
        splits=[STUDY.manifest("data", "split", task) for task in CONFIG.tasks],
        sets=[STUDY.manifest("data", "sets", name) for name in STUDY.training_sets],
    output:
        STUDY.path("data", "statistics.json"),
    log:
        log_of("statistics"),
    benchmark:
        benchmark_of("statistics")
    conda:
        "../envs/data.yaml"
    resources:
        **needs("statistics"),
    params:
        code=code("data_statistics.py"),
        sources=lambda wildcards, input: directories(input.sources),
        tasks=lambda wildcards, input: directories(input.tasks),
        clean=lambda wildcards, input: directories(input.clean),
        splits=lambda wildcards, input: directories(input.splits),
        sets=lambda wildcards, input: directories(input.sets),
    message:
        "count rows and lengths for Table 2"
    shell:
        "script data_statistics.py --sources {params.sources:q} --tasks {params.tasks:q}"
        " --clean {params.clean:q} --splits {params.splits:q} --sets {params.sets:q}"
        " --out {output:q} 2> {log:q}"
