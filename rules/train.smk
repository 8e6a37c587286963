# Training: base checkpoints (pre-trained here, or snapshots), then fine-tuning.
import signal

# Slurm sends SIGUSR1, which training waits for, to all processes of a job, and the Snakemake in it
# would end by it, and the job with it, before anything is saved. Other jobs take no notice of it.
if workflow.remote_exec:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


rule pretrain:
    input:
        STUDY.manifest("data", "corpus"),
    output:
        STUDY.manifest("checkpoints", "{model}", "base"),
    log:
        log_of("pretrain", "model"),
    benchmark:
        benchmark_of("pretrain", "model")
    wildcard_constraints:
        model=closed(STUDY.models_of_kind("embedded")),
    # Long jobs first, so that none is left over at the end.
    priority: 10
    conda:
        "../envs/train.yaml"
    resources:
        **needs("pretrain"),
    params:
        code=code("pretrain.py"),
        corpus=lambda wildcards, input: directories(input),
        out=directory_of,
        settings=lambda wildcards: dumps(STUDY.base_settings(wildcards.model)),
        seed=lambda wildcards: STUDY.seed("pretrain", wildcards.model),
    message:
        "pre-train base model {wildcards.model}"
    shell:
        "script pretrain.py --corpus {params.corpus:q} --settings {params.settings:q}"
        " --seed {params.seed} --out {params.out:q} 2> {log:q}"


rule snapshot:
    input:
        lambda wildcards: STUDY.snapshot_inputs(wildcards.model),
    output:
        STUDY.manifest("checkpoints", "{model}", "base"),
    log:
        log_of("snapshot", "model"),
    benchmark:
        benchmark_of("snapshot", "model")
    wildcard_constraints:
        model=closed(STUDY.models_of_kind("hub", "local")),
    # On this machine: compute nodes often have no internet.
    localrule: True
    conda:
        "../envs/train.yaml"
    resources:
        **needs("snapshot"),
    params:
        code=code("snapshot.py"),
        out=directory_of,
        settings=lambda wildcards: dumps(STUDY.base_settings(wildcards.model)),
    message:
        "fetch base model {wildcards.model}"
    shell:
        "script snapshot.py --model {wildcards.model:q} --settings {params.settings:q}"
        " --out {params.out:q} 2> {log:q}"


rule dequantise:
    input:
        lambda wildcards: STUDY.snapshot_inputs(wildcards.model),
    output:
        STUDY.manifest("checkpoints", "{model}", "base"),
    log:
        log_of("dequantise", "model"),
    benchmark:
        benchmark_of("dequantise", "model")
    wildcard_constraints:
        model=closed(STUDY.models_of_kind("gguf")),
    # On this machine: compute nodes often have no internet.
    localrule: True
    conda:
        "../envs/train.yaml"
    resources:
        **needs("dequantise"),
    params:
        code=code("dequantise.py"),
        out=directory_of,
        scratch=lambda wildcards: STUDY.path("scratch", "dequantise", wildcards.model),
        settings=lambda wildcards: dumps(STUDY.base_settings(wildcards.model)),
    message:
        "de-quantise base model {wildcards.model}"
    shell:
        "script dequantise.py --settings {params.settings:q} --scratch {params.scratch:q}"
        " --out {params.out:q} 2> {log:q}"


rule sft:
    input:
        base=STUDY.manifest("checkpoints", "{model}", "base"),
        data=lambda wildcards: STUDY.manifest(
            "data", "sets", STUDY.training_set(wildcards.model, wildcards.variant)
        ),
    output:
        STUDY.manifest("checkpoints", "{model}", "{variant}"),
    log:
        log_of("sft", "model", "variant"),
    benchmark:
        benchmark_of("sft", "model", "variant")
    wildcard_constraints:
        variant=closed(name for _, name in STUDY.checkpoints("sft", "mix")),
    priority: 5
    conda:
        "../envs/train.yaml"
    threads: lambda wildcards: STUDY.sft(wildcards.model, wildcards.variant).all_threads
    resources:
        **needs("sft"),
    params:
        code=code("sft.py"),
        base=lambda wildcards, input: directories([input.base]),
        data=lambda wildcards, input: directories([input.data]),
        out=directory_of,
        scratch=lambda wildcards: STUDY.path(
            "scratch", "sft", wildcards.model, wildcards.variant
        ),
        settings=lambda wildcards: dumps(
            STUDY.sft_settings(wildcards.model, wildcards.variant)
        ),
        seed=lambda wildcards: STUDY.seed("sft", wildcards.model, wildcards.variant),
    message:
        "fine-tune {wildcards.model}: {wildcards.variant}"
    # bash takes part in a signal to the whole job only after training has saved and ended.
    shell:
        "trap : TERM USR1; script sft.py --base {params.base:q} --data {params.data:q}"
        " --settings {params.settings:q}"
        " --processes {resources.processes} --nodes {resources.nodes}"
        " --seed {params.seed} --scratch {params.scratch:q} --out {params.out:q} 2> {log:q}"
