"""Names of the files in the data stage's directories; shared without importing other stages."""

#: Rows of a source, a prepared task, or a decontaminated task.
ROWS = "rows.jsonl"
#: What a job counted.
REPORT = "report.json"
#: Rows that decontamination dropped, with the reason.
DROPPED = "dropped.jsonl"
#: The two parts of a split and of a training set.
TRAIN = "train.jsonl"
VALIDATION = "validation.jsonl"
#: A suite's problems in EvalPlus's format, byte for byte as they came.
PROBLEMS = "problems.jsonl"
#: A suite's texts that must not occur in training data.
TEXTS = "texts.jsonl"
#: A suite's prompts and references.
ITEMS = "items.jsonl"
