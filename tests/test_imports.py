"""The floors of the house, and what may not be loaded on the way in."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "spacy_bioner"
# A module imports from its own floor or a lower one. Modules at the top are floor 0.
FLOORS = {
    "cli": 4,
    "pipeline": 3,
    "llm": 3,
    "models": 2,
    "training": 2,
    "layers": 1,
    "corpora": 1,
    "kb": 1,
}
HEAVY = ("torch", "transformers", "spacy_transformers", "spacy_llm", "scispacy", "onnx")
# As if these were not installed: no module, and no entry point that names one.
BLOCK = f"""
import importlib.abc, sys
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY}:
            raise ModuleNotFoundError(f"blocked: {{name}}", name=name)
sys.meta_path.insert(0, Block())
import catalogue
class Rest:
    found = catalogue.AVAILABLE_ENTRY_POINTS
    def select(self, group):
        points = self.found.select(group=group)
        return [p for p in points if p.value.partition(".")[0] not in {HEAVY}]
catalogue.AVAILABLE_ENTRY_POINTS = Rest()
"""
MODULES = sorted(PACKAGE.rglob("*.py"))


def floor_of(module: list[str]) -> int:
    """Of `["spacy_bioner", "cli", …]`."""
    return FLOORS.get(module[1], 0) if len(module) > 1 else 0


def imports(path: Path, nodes=None) -> Iterator[tuple[list[str], bool]]:
    """Each imported module, absolute, and whether that is when the file is loaded."""
    tree = ast.parse(path.read_text("utf8"))
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
    }
    here = list(path.relative_to(ROOT).with_suffix("").parts)
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = here[: -node.level] if node.level else []
            module = node.module.split(".") if node.module else []
            names = [base + module + [alias.name] for alias in node.names]
        for name in names:
            yield name, id(node) not in inside


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_from_lower_floors_only(path):
    own = floor_of(list(path.relative_to(ROOT).parts))
    for name, _ in imports(path):
        if name[0] == "spacy_bioner":
            assert floor_of(name) <= own, ".".join(name)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_libraries_are_imported_where_needed(path):
    for name, on_load in imports(path):
        assert not (on_load and name[0] in HEAVY), ".".join(name)


def run(code: str) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr


def test_the_package_loads_nothing_heavy():
    run(f"import spacy_bioner, sys; assert not set({HEAVY}) & set(sys.modules)")


def test_what_a_compiled_pipeline_names_works_without_torch():
    run(
        BLOCK
        + """
import spacy
from spacy.util import registry
nlp = spacy.blank("en")
nlp.tokenizer = registry.tokenizers.get("spacy-bioner.Tokenizer.v1")()(nlp)
states = {"@architectures": "spacy-bioner.OnnxGraph.v1"}
model = {"@architectures": "spacy-bioner.OnnxTagger.v1", "states": states}
nlp.add_pipe("gerbera_ner", name="ner", config={"model": model})
"""
    )


def test_the_packaged_pipeline_works_without_torch():
    found = list(ROOT.glob("packages/en_bioner_gerbera/en_bioner_gerbera/*/config.cfg"))
    if not found:
        pytest.skip("no packaged pipeline in packages/")
    path = found[0].parent
    run(BLOCK + f"import spacy; assert spacy.load({str(path)!r})('Cystic fibrosis.')")
