"""What of each component goes into a compiled graph, and what stays behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from spacy.language import Language
from thinc.api import Model

from ..errors import BionerError, Errors
from ..layers.heads import head_params
from .candidate_filter import CandidateFilter
from .gerbera_ner import GerberaNER
from .nested_spancat import NestedSpancat
from .settings import take_cfg


class Part(ABC):
    """One trained component on the encoder.

    settings (dict): What changes in its config.
    model (dict): The config of its compiled model, but for `states`.
    width (int): The columns of its part of the graph's output.
    """

    settings: dict[str, Any] = {}
    model: dict[str, Any]
    width: int

    def __init__(self, source: Any) -> None:
        self.source = source

    @abstractmethod
    def make_module(self):
        """A torch module, on the CPU, from the encoder's states (tokens, encoder's
        width) to what goes into the graph's output (tokens, width)."""

    @abstractmethod
    def fill(self, target: Any) -> None:
        """Give the compiled component what the source has learnt and is not in the
        graph."""


class Heads(Part):
    """A `gerbera_ner`: all of its heads that are not general-domain.

    Raises BionerError if there is none.
    """

    settings = {"general": []}
    model = {"@architectures": "spacy-bioner.OnnxTagger.v1"}

    def __init__(self, source: Any) -> None:
        super().__init__(source)
        names = [head for head in source.heads if head not in source.cfg["general"]]
        if not names:
            raise BionerError(Errors.B512.format(name=source.name))
        self.heads = source.model.get_ref("heads")
        sizes = (self.heads.get_param(f"{name}:b2").shape[0] for name in names)
        self.tags = dict(zip(names, sizes, strict=True))
        self.width = sum(self.tags.values())

    def make_module(self):
        """All first layers are one matrix (width, heads * hidden); the second layers
        are the blocks of a diagonal (heads * hidden, tags of all heads)."""
        import torch

        params = [[_tensor(self.heads, p) for p in head_params(h)] for h in self.tags]
        W1, b1, W2, b2 = zip(*params, strict=True)

        class Module(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.hidden = _linear(torch.cat(W1), torch.cat(b1))
                self.tags = _linear(torch.block_diag(*W2), torch.cat(b2))

            def forward(self, states):
                return self.tags(torch.relu(self.hidden(states)))

        return Module()

    def fill(self, target: Any) -> None:
        labels = {head: self.source.heads[head] for head in self.tags}
        take_cfg(target, self.source, heads=labels, general=[])
        run = [head for head in self.source.model.attrs["run"] if head in self.tags]
        target.model.attrs.update(run=run, tags=self.tags)


class Projection(Part):
    """A `nested_spancat`: what it computes of each token; the table stays behind."""

    def __init__(self, source: Any) -> None:
        super().__init__(source)
        table = source.model.get_ref("table")
        self.width = table.get_dim("nI")
        self.model = {
            "@architectures": "spacy-bioner.OnnxSpanScorer.v1",
            "hidden": table.get_dim("nH"),
            "max_width": table.get_dim("nW"),
        }

    def make_module(self):
        linear = self.source.model.get_ref("project")
        return _linear(_tensor(linear, "W"), _tensor(linear, "b"))

    def fill(self, target: Any) -> None:
        take_cfg(target, self.source)
        target.model.set_dim("nO", len(self.source.labels))
        source = self.source.model.get_ref("table")
        table = target.model.get_ref("table")
        table.set_dim("nO", source.get_dim("nO"))
        for name in source.param_names:
            table.set_param(name, table.ops.asarray(source.get_param(name)).copy())


class Matching(Part):
    """A `candidate_filter`: what it computes of each token. Spans and labels, known
    ones and others, stay behind."""

    def __init__(self, source: Any) -> None:
        super().__init__(source)
        match = source.model.get_ref("match")
        self.width = match.get_dim("nI")
        self.model = {
            "@architectures": "spacy-bioner.OnnxSpanMatcher.v1",
            "hidden": match.get_dim("nH"),
            "max_width": match.get_dim("nW"),
            "label_rows": match.get_dim("nR"),
        }

    def make_module(self):
        linear = self.source.model.get_ref("project")
        return _linear(_tensor(linear, "W"), _tensor(linear, "b"))

    def fill(self, target: Any) -> None:
        take_cfg(target, self.source)
        source = self.source.model.get_ref("match")
        match = target.model.get_ref("match")
        for name in source.param_names:
            match.set_param(name, match.ops.asarray(source.get_param(name)).copy())


PARTS: dict[type, type[Part]] = {
    GerberaNER: Heads,
    NestedSpancat: Projection,
    CandidateFilter: Matching,
}


def _tensor(model: Model, param: str):
    import torch

    return torch.tensor(model.ops.to_numpy(model.get_param(param)))


def _linear(W, b):
    import torch

    layer = torch.nn.Linear(W.shape[1], W.shape[0])
    layer.weight.data, layer.bias.data = W, b
    return layer


def find_transformer(nlp: Language) -> str:
    """The name of a pipeline's transformer, rather one of this package's architecture
    than another's; empty if there is none."""
    found: dict[str, Any] = {
        name: pipe
        for name, pipe in nlp.components
        if nlp.get_pipe_meta(name).factory == "transformer"
    }
    return min(
        found, key=lambda n: "word_shapes" not in found[n].model.attrs, default=""
    )
