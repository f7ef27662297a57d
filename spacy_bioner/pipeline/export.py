"""From the trainable form to the compiled one: torch -> ONNX -> fused -> int8.

The encoder and the heads of every component on it become one graph, which the first
of them holds; general-domain heads, which are not run on documents without a task,
stay behind.
"""

from __future__ import annotations

import copy
import logging
import re
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from spacy.util import load_model_from_config
from thinc.api import Model

from ..errors import BionerError, Errors
from ..layers.heads import head_params
from ..models.encoding import encode, frame, uncut
from ..models.onnx import Compiled, make_session
from ..sample import SENTENCES
from ..training.outliers import FP32_LAYER, split_outliers
from .gerbera_ner import GerberaNER

NEEDED = ("torch", "transformers", "onnx", "ml_dtypes")
OPSET = 17
IN_FP32 = re.compile(rf"/tags/|/{FP32_LAYER}/")  # small, and they decide
FLOAT = 1  # onnx.TensorProto.FLOAT, the type of what the fusing left untyped
TOLERANCE = 1e-3  # of fp32 logits
Windows = Sequence[tuple[NDArray, NDArray]]  # ids and word shapes, (pieces,) each


def compile_pipeline(
    nlp: Language,
    quantize: str = "int8",
    name: str = "",
    texts: Sequence[str] = SENTENCES,
    report: Callable[[str], object] = lambda step: None,
) -> Language:
    """Make a pipeline without torch out of a trained one.

    nlp (Language): Has a `transformer` of architecture TransformerModel.v1 and at
        least one `gerbera_ner` that listens to it. It is not changed.
    quantize (str): "int8" or "none" (fp32).
    name (str): The new pipeline's name; the source's if empty.
    texts (sequence): Show which of the encoder's activations are too large for int8;
        a few sentences do.
    report (callable): Is told each step as it begins.
    RETURNS (Language): The other components, the tokenizer and the meta data are
        copies of the source's.
    Raises BionerError for what cannot be compiled.
    """
    if quantize not in ("int8", "none"):
        raise BionerError(Errors.B503.format(quantize=quantize))
    if missing := [m for m in NEEDED if find_spec(m) is None]:
        raise BionerError(Errors.B513.format(modules=", ".join(missing)))
    encoder, names = find_parts(nlp)
    parts = {part: compiled_heads(nlp.get_pipe(part)) for part in names}
    target = load_model_from_config(_make_config(nlp, encoder, names), auto_fill=True)
    target.from_bytes(nlp.to_bytes(exclude=["config.cfg", "transformer", *names]))
    windows = None if quantize == "none" else _make_windows(nlp, encoder, texts)
    modules = [heads_module(nlp.get_pipe(part), parts[part]) for part in names]
    graph = make_graph(encoder.transformer, modules, windows, report)
    compiled = Compiled(
        graph=graph,
        tokenizer=encoder.tokenizer.backend_tokenizer.to_str(),
        parts=parts,
        first=encoder.tokenizer.cls_token_id,
        last=encoder.tokenizer.sep_token_id,
        word_shapes=encoder.attrs["word_shapes"],
    )
    for part in names:
        _fill(nlp.get_pipe(part), target.get_pipe(part), compiled)
    target.meta["name"] = name or nlp.meta["name"]
    return target


def find_parts(nlp: Language) -> tuple[Any, list[str]]:
    """The encoder to compile and the names of the components on it.

    Raises BionerError if something else listens to the encoder, or nothing does.
    """
    path = nlp.path or nlp.meta["name"]
    if "transformer" not in nlp.component_names:
        raise BionerError(Errors.B504.format(path=path, found=nlp.component_names))
    transformer: Any = nlp.get_pipe("transformer")
    if "word_shapes" not in transformer.model.attrs:
        raise BionerError(Errors.B505)
    found = transformer.listening_components
    if not found or not all(isinstance(nlp.get_pipe(t), GerberaNER) for t in found):
        raise BionerError(Errors.B506.format(found=found))
    return transformer.model, found


def _make_config(nlp: Language, encoder: Any, taggers: list[str]) -> dict[str, Any]:
    """The source's config without its encoder and its training."""
    source = nlp.config.interpolate()
    config = {"nlp": source["nlp"], "components": source["components"]}
    for key in ("pipeline", "disabled"):
        config["nlp"][key] = [k for k in source["nlp"][key] if k != "transformer"]
    del config["components"]["transformer"]
    for tagger in taggers:
        config["components"][tagger]["general"] = []
        config["components"][tagger]["model"] = {
            "@architectures": "spacy-bioner.OnnxListener.v1"
        }
    config["components"][taggers[0]]["model"] = {
        "@architectures": "spacy-bioner.OnnxTagger.v1",
        "window": encoder.attrs["window"],
        "overlap": encoder.attrs["overlap"],
        "threads": 0,
    }
    return config


def _make_windows(nlp: Language, encoder: Any, texts: Sequence[str]) -> Windows:
    tokenizer, attrs = encoder.tokenizer, encoder.attrs
    special = tokenizer.cls_token_id, tokenizer.sep_token_id
    windows = []
    for text in texts:
        size = attrs["window"], attrs["overlap"]
        pieces = encode(uncut(tokenizer.backend_tokenizer), nlp.make_doc(text), *size)
        for window in pieces.windows:
            ids, shapes = frame(pieces, window, *special)
            windows.append((ids, shapes * attrs["word_shapes"]))
    return windows


def compiled_heads(source: Any) -> dict[str, int]:
    """The heads of a `gerbera_ner` that are compiled, and their numbers of tags.

    Raises BionerError if there is none.
    """
    names = [head for head in source.heads if head not in source.cfg["general"]]
    if not names:
        raise BionerError(Errors.B512.format(name=source.name))
    heads = source.model.get_ref("heads")
    return {name: heads.get_param(f"{name}:b2").shape[0] for name in names}


def _fill(source: Any, target: Any, compiled: Compiled) -> None:
    """Give a compiled GerberaNER its labels, its settings and its graph or, if an
    earlier component holds that, its name."""
    sizes, attrs = compiled.parts[source.name], target.model.attrs
    labels = {head: source.heads[head] for head in sizes}
    target.cfg.update(copy.deepcopy(source.cfg), heads=labels, general=[])
    attrs["run"] = [head for head in source.model.attrs["run"] if head in sizes]
    attrs["part"] = source.name
    if target.model.shims:
        target.model.shims[0].compiled = compiled
    else:
        attrs.update(graph=compiled.digest, heads=sizes)


def make_graph(
    encoder,
    parts: Sequence[Any],
    windows: Windows | None,
    report: Callable[[str], object] = lambda step: None,
) -> bytes:
    """Export, fuse, check and, given sample text, quantize.

    encoder (transformers.PreTrainedModel): Any with BERT's parts: `embeddings` on
        ids and token types, `encoder` on their output.
    parts (sequence): Torch modules from the states of tokens to scores.
    windows (sequence): Sample text for int8; None for fp32.
    """
    module = _make_module(encoder, parts)
    if windows is not None:
        report("finding the activations that int8 cannot hold")
        split_outliers(module.body, windows)
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "graph.onnx"
        report("exporting to ONNX")
        _export(module, path)
        report("fusing attention, layer norms and activations")
        _fuse(module.body.config, path)
        report("checking the graph's scores against the encoder's")
        _check(path, module, encoder)
        if windows is not None:
            report("quantizing to int8")
            _quantize(path)
        return path.read_bytes()


def heads_module(source: Any, names: Iterable[str]):
    """The named heads of a `gerbera_ner` as one torch module, on the CPU.

    All first layers are one matrix (width, heads * hidden); the second layers are
    the blocks of a diagonal (heads * hidden, tags of all heads).
    """
    import torch

    heads = source.model.get_ref("heads")
    params = [[_tensor(heads, p) for p in head_params(name)] for name in names]
    W1, b1, W2, b2 = zip(*params, strict=True)

    class Heads(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = _linear(torch.cat(W1), torch.cat(b1))
            self.tags = _linear(torch.block_diag(*W2), torch.cat(b2))

        def forward(self, states):  # (tokens, width)
            return self.tags(torch.relu(self.hidden(states)))

    return Heads()


def _make_module(encoder, parts: Sequence[Any]):
    """Encoder and parts as one torch module for one window, on the CPU."""
    import torch
    from transformers import AutoModel

    body = AutoModel.from_config(
        copy.deepcopy(encoder.config), attn_implementation="eager"
    )
    body.load_state_dict(encoder.state_dict())
    if not (hasattr(body, "embeddings") and hasattr(body, "encoder")):
        raise BionerError(Errors.B507.format(encoder=type(encoder).__name__))

    class Tagger(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = body
            self.parts = torch.nn.ModuleList(parts)

        def forward(self, ids, shapes, rows):
            vectors = body.embeddings(input_ids=ids[None], token_type_ids=shapes[None])
            return self.score(body.encoder(vectors)[0][0], rows)

        def score(self, states, rows):
            """states: (pieces, width); rows: (tokens,)"""
            return torch.cat([part(states[rows]) for part in self.parts], dim=-1)

    return Tagger().float().eval()


def _tensor(heads: Model, param: str):
    import torch

    return torch.tensor(heads.ops.to_numpy(heads.get_param(param)))


def _linear(W, b):
    import torch

    layer = torch.nn.Linear(W.shape[1], W.shape[0])
    layer.weight.data, layer.bias.data = W, b
    return layer


def _sample_inputs(module, pieces: int):
    """A window of different pieces, all of shape 0, every second one read."""
    import torch

    ids = torch.arange(pieces) * 7 % module.body.config.vocab_size
    return ids, torch.zeros_like(ids), torch.arange(0, pieces, 2)


def _export(module, path: Path) -> None:
    import torch

    torch.onnx.export(
        module,
        _sample_inputs(module, 12),
        str(path),
        dynamo=False,
        opset_version=OPSET,
        input_names=["ids", "shapes", "rows"],
        output_names=["logits"],
        dynamic_axes={
            "ids": {0: "pieces"},
            "shapes": {0: "pieces"},
            "rows": {0: "tokens"},
            "logits": {0: "tokens"},
        },
    )


def _fuse(config, path: Path) -> None:
    """Attention, layer norms and activations as one node each."""
    from onnxruntime.transformers.optimizer import optimize_model

    fused = optimize_model(
        str(path),
        "bert",
        num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size,
        opt_level=0,
    )
    fused.save_model_to_file(str(path))


def _check(path: Path, module, encoder) -> None:
    """Raises BionerError if the graph's logits are not those of the encoder."""
    import torch

    session = make_session(path.read_bytes())
    for pieces in (2, 31):
        inputs = _sample_inputs(module, pieces)
        ids, shapes, rows = (x.to(encoder.device) for x in inputs)
        was_training = encoder.training
        with torch.no_grad():
            states = encoder.eval()(input_ids=ids[None], token_type_ids=shapes[None])
            wanted = module.score(states.last_hidden_state[0].float().cpu(), inputs[2])
        encoder.train(was_training)
        names = ("ids", "shapes", "rows")
        arrays = {k: v.numpy() for k, v in zip(names, inputs, strict=True)}
        error = float(np.abs(session.run(None, arrays)[0] - wanted.numpy()).max())
        if not error < TOLERANCE:
            kind = type(encoder).__name__
            raise BionerError(Errors.B508.format(encoder=kind, error=error))


def _quantize(path: Path) -> None:
    """Weights to int8, one scale a column; activations at run time."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    layers = [node.name for node in onnx.load(path).graph.node]
    quantize_dynamic(
        path,
        path,
        per_channel=True,
        reduce_range=False,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=[name for name in layers if IN_FP32.search(name)],
        extra_options={"DefaultTensorType": FLOAT},
    )


@contextmanager
def full_precision(nlp: Language) -> Iterator[None]:
    """Run a trained pipeline's encoder in fp32 for as long as the context lasts."""
    transformer: Any = nlp.get_pipe("transformer")
    attrs = transformer.model.attrs
    was = attrs["bf16"]
    attrs["bf16"] = False
    try:
        yield
    finally:
        attrs["bf16"] = was


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporters' advice is for the author of a model, not for its user."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
