"""Training keeps its memory: what was set, and that the user's own setting stays."""

from __future__ import annotations

import os

from spacy_bioner.training.memory import KERNELS, bound_memory


def test_the_user_s_own_setting_stays(monkeypatch):
    name = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    monkeypatch.delenv(name, raising=False)
    bound_memory()
    assert os.environ[name] == KERNELS
    monkeypatch.setenv(name, "7")
    bound_memory()
    assert os.environ[name] == "7"
