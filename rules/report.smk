# Reporting: tables, figures, the verdict, and where the time went.
from mixmerge.report import layout as entries
from mixmerge.study.layout import layout_of

try:
    LAYOUT = layout_of(STUDY)
except UserError as error:
    raise WorkflowError(f"error: {error}") from None
TABLES = printed("tables", entries.table_files(LAYOUT))
FIGURES = printed("figures", entries.figure_files(LAYOUT))
VERDICT = printed("tables", entries.VERDICT_FILES)
TIMING = printed("tables", entries.TIMING_FILES)
PAPER = (
    [LAYOUT.paper.results, LAYOUT.paper.audit, LAYOUT.paper.data_scale]
    if LAYOUT.paper
    else []
)
SCORES = [RESULTS.summary(*pair) for pair in STUDY.checkpoints()]
EVIDENCE = [RESULTS.file("uncertainty", f"{model}.json") for model in CONFIG.models]
GEOMETRY = [
    *(
        STUDY.statistics(model, variant)
        for model, variant in STUDY.checkpoints("sft", "mix", "merge")
    ),
    *(STUDY.path("weights", model, "updates.json") for model in CONFIG.models),
]


rule tables:
    input:
        SCORES,
        [STUDY.manifest("checkpoints", *pair) for pair in STUDY.checkpoints()],
        STUDY.path("data", "statistics.json"),
        EVIDENCE,
        [str(path) for path in PAPER if path],
    output:
        shown("tables", "html", entries.table_entries(LAYOUT), "Tables"),
        shown("tables", "html", entries.paper_entries(LAYOUT), "Beside the paper"),
        unshown(TABLES, "html"),
    log:
        log_of("tables"),
    benchmark:
        benchmark_of("tables")
    conda:
        "../envs/report.yaml"
    resources:
        **needs("tables"),
    params:
        code=code("tables.py"),
        layout=lambda wildcards: LAYOUT.model_dump_json(
            exclude={"dpi", "high_correlation"}
        ),
        results=lambda wildcards: STUDY.path(),
        shelf=lambda wildcards, input: str(RESULTS.root),
        out=directory_of,
    message:
        "write the tables"
    shell:
        "script tables.py --layout {params.layout:q} --results {params.results:q}"
        " --shelf {params.shelf:q} --out {params.out:q} 2> {log:q}"


rule figures:
    input:
        SCORES,
        GEOMETRY,
    output:
        shown("figures", "svg", entries.figure_entries(LAYOUT), "Figures"),
        unshown(FIGURES, "svg"),
    log:
        log_of("figures"),
    benchmark:
        benchmark_of("figures")
    conda:
        "../envs/report.yaml"
    resources:
        **needs("figures"),
    params:
        code=code("figures.py"),
        layout=lambda wildcards: LAYOUT.model_dump_json(
            exclude={"paper", "high_correlation"}
        ),
        results=lambda wildcards: STUDY.path(),
        shelf=lambda wildcards, input: str(RESULTS.root),
        out=directory_of,
    message:
        "draw the figures"
    shell:
        "script figures.py --layout {params.layout:q} --results {params.results:q}"
        " --shelf {params.shelf:q} --out {params.out:q} 2> {log:q}"


rule verdict:
    input:
        SCORES,
        GEOMETRY,
        [STUDY.manifest("checkpoints", *pair) for pair in STUDY.checkpoints("merge")],
        EVIDENCE,
        # Costs come from benchmarks and provenance, which are no inputs: they must not make a job
        # run again, and results copied without them have a verdict all the same. What lies on a
        # bucket must be named to be there.
        ancient(RESULTS.provenance()),
    output:
        marked_for_report(
            RESULTS.file("tables", "verdict.html", keep=True),
            caption="../resources/captions/verdict.rst",
            category="Verdict",
            labels={"shows": "Mix or merge, per model"},
        ),
        unshown(VERDICT, "html"),
    log:
        log_of("verdict"),
    benchmark:
        benchmark_of("verdict")
    conda:
        "../envs/report.yaml"
    resources:
        **needs("verdict"),
    params:
        code=code("verdict.py"),
        layout=lambda wildcards: LAYOUT.model_dump_json(exclude={"paper", "dpi"}),
        results=lambda wildcards: STUDY.path(),
        shelf=lambda wildcards, input: str(RESULTS.root),
        out=directory_of,
    message:
        "reach the verdict"
    shell:
        "script verdict.py --layout {params.layout:q} --results {params.results:q}"
        " --shelf {params.shelf:q} --out {params.out:q} 2> {log:q}"


rule timing:
    input:
        # The last jobs of the study: when they are done, all benchmarks are there.
        TABLES,
        FIGURES,
        VERDICT,
    output:
        marked_for_report(
            RESULTS.file("tables", "timing.html", keep=True),
            caption="../resources/captions/timing.rst",
            category="Run",
            labels={"shows": "Where the time went"},
        ),
        unshown(TIMING, "html"),
    log:
        log_of("timing"),
    conda:
        "../envs/report.yaml"
    resources:
        **needs("timing"),
    params:
        code=code("timing.py"),
        benchmarks=lambda wildcards: STUDY.path("benchmarks"),
        out=directory_of,
    message:
        "gather where the time went"
    shell:
        "script timing.py --benchmarks {params.benchmarks:q} --out {params.out:q}"
        " 2> {log:q}"
