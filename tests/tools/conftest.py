"""The embedded study's corpus, small, made once."""

from pathlib import Path

import pytest

from embedded_study.corpus import build_corpus
from mixmerge.data.settings import CorpusSettings


@pytest.fixture(scope="session")
def small() -> CorpusSettings:
    """How much of it there is."""
    return CorpusSettings(pretrain_items=150, train_items=80, validation_items=15, test_items=20)


@pytest.fixture(scope="session")
def corpus(small: CorpusSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its directory."""
    out = tmp_path_factory.mktemp("corpus")
    build_corpus(out, small, 7)
    return out
