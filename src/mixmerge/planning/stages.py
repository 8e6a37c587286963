"""Which stage of a study a rule belongs to, for people who watch or plan a run."""

#: Stage -> its rules, both in the order in which they run.
STAGES = {
    "data": (
        *("corpus", "fetch", "nltk_data", "prepare", "hold_out", "decontaminate", "split"),
        *("subset", "mix", "statistics", "suite", "ground_truth"),
    ),
    "train": ("pretrain", "snapshot", "dequantise", "sft"),
    "merge": ("recipe", "merge", "winner"),
    "generate": ("generate",),
    "score": ("score",),
    "weights": ("layers", "merged_layers", "updates"),
    "report": ("uncertainty", "tables", "figures", "verdict", "timing"),
}

_STAGE_OF = {rule: stage for stage, rules in STAGES.items() for rule in rules}


def stage_of(rule: str) -> str:
    """The stage of a rule; a rule that is in none is a stage of its own."""
    return _STAGE_OF.get(rule, rule)


def is_target(rule: str) -> bool:
    """Whether a rule only names what to make (``all``, ``all_tables``) and does nothing itself."""
    return rule == "all" or rule.startswith("all_")


def in_order(stages: set[str]) -> list[str]:
    """Stages in the order of a study, then others by name."""
    known = [stage for stage in STAGES if stage in stages]
    return known + sorted(stages.difference(STAGES))
