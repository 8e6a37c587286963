# Six temporary directories, each read by two jobs; the second one waits for the first.
NUMBERS = range(6)

rule all:
    input: expand("read/{n}", n=NUMBERS)

rule make:
    output: record="made/{n}", weights=temp(directory("merged/{n}"))
    resources: merged=1
    shell: "mkdir {output.weights}; echo {wildcards.n} | tee {output.record} > {output.weights}/w"

rule look:
    input: record=ancient("made/{n}")
    output: "looked/{n}"
    shell: "cp merged/{wildcards.n}/w {output}"

rule read:
    input: record="made/{n}", weights=ancient("merged/{n}"), looked=ancient("looked/{n}")
    output: "read/{n}"
    shell: "test ! -e fail/{wildcards.n}; sleep 0.2; cp {input.weights}/w {output}"
