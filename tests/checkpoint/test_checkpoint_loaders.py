"""What the source and the shipped configs say of what is loaded from outside."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _calls(tree: ast.AST, name: str) -> list[ast.Call]:
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [
        node for node in found if isinstance(node.func, ast.Attribute) and node.func.attr == name
    ]


def test_every_loader_in_the_source_is_told_so() -> None:
    """No call may leave it to a library's default whether pickles are read or code is run."""
    seen = 0
    for path in sorted((ROOT / "src/mixmerge").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for call in _calls(tree, "from_pretrained"):
            given = {word.arg: ast.unparse(word.value) for word in call.keywords}
            where = f"{path}:{call.lineno}"
            assert given.get("local_files_only") == "True", where
            trust = given.get("trust_remote_code", "")
            assert trust in ("False", "trusted") or trust.startswith("trusts_code("), where
            if "AutoModel" in ast.unparse(call.func):
                assert given.get("use_safetensors") == "True", where
            seen += 1
        for module in ("torch", "pickle", "joblib", "dill"):
            for call in [*_calls(tree, "load"), *_calls(tree, "loads")]:
                assert not ast.unparse(call.func).startswith(f"{module}."), f"{path}:{call.lineno}"
    assert seen >= 7


def test_the_models_of_the_shipped_configs_are_pinned() -> None:
    from mixmerge.config.load import load_config
    from mixmerge.core.section import is_commit

    for path in (ROOT / "config").glob("*.yaml"):
        config = load_config(path)
        assert not any(
            getattr(model, "trust_remote_code", None) for model in config.models.values()
        )
        for entry in [*config.models.values(), *config.sources.values()]:
            if entry.kind == "hub" and not is_commit(entry.revision):
                # The one whose commit could not be looked up; the file says so beside it.
                assert (path.name, entry.id) == (
                    "config.yaml",
                    "google/code_x_glue_ct_code_to_text",
                )
                assert "Its commit could not be looked up" in path.read_text(encoding="utf-8")
    presets = [path.read_text("utf-8") for path in (ROOT / "config/presets").rglob("*.yaml")]
    assert not any("allow_moving" in text or "trust_remote_code" in text for text in presets)
