"""From the trainable form to the compiled one: torch -> ONNX -> fused -> int8.

The encoder and the heads of every component on it become one graph, which the first
of them holds; general-domain heads, which are not run on documents without a task,
stay behind.
"""

from __future__ import annotations

import copy
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from spacy.util import load_model_from_config
from thinc.api import Model

from ..errors import BionerError, Errors
from ..models.encoding import encode, frame, uncut
from ..models.onnx import Compiled, make_session
from ..sample import SENTENCES
from ..training.outliers import FP32_LAYER, shrink_attention, tame_outliers
from .embeddings import quantize_rows
from .parts import PARTS, Part, find_transformer
from .rounding import round_weights
from .settings import settings_of

NEEDED = ("torch", "transformers", "onnx", "ml_dtypes")
OPSET = 17
INPUTS = ("ids", "shapes", "rows")  # of a graph
IN_FP32 = f"/{FP32_LAYER}/"
FLOAT = 1  # onnx.TensorProto.FLOAT, the type of what the fusing left untyped
TOLERANCE = 1e-3  # of fp32 logits
Windows = Sequence[tuple[NDArray, NDArray, NDArray]]  # what a call of the graph reads


def compile_pipeline(
    nlp: Language,
    quantize: str = "int8",
    name: str = "",
    texts: Sequence[str] = SENTENCES,
    report: Callable[[str], object] = lambda step: None,
) -> Language:
    """Make a pipeline without torch out of a trained one.

    nlp (Language): Has a `transformer` of architecture TransformerModel.v1 and at
        least one of our components that listens to it. It is not changed.
    quantize (str): "int8" or "none" (fp32).
    name (str): The new pipeline's name; the source's if empty.
    texts (sequence): Show how large the encoder's activations get, for int8; fifty
        abstracts do better than a few sentences, more hardly better.
    report (callable): Is told each step as it begins.
    RETURNS (Language): The other components, the tokenizer and the meta data are
        copies of the source's.
    Raises BionerError for what cannot be compiled.
    """
    if quantize not in ("int8", "none"):
        raise BionerError(Errors.B503.format(quantize=quantize))
    if missing := [m for m in NEEDED if find_spec(m) is None]:
        raise BionerError(Errors.B513.format(modules=", ".join(missing)))
    encoder, parts = find_parts(nlp)
    config = _make_config(nlp, encoder, parts)
    target = load_model_from_config(config, auto_fill=True)
    _copy_others(nlp, target, [find_transformer(nlp), *parts])
    windows = None if quantize == "none" else _make_windows(nlp, encoder, texts)
    modules = [part.make_module() for part in parts.values()]
    graph = make_graph(encoder.transformer, modules, windows, report)
    compiled = Compiled(
        graph=graph,
        tokenizer=encoder.tokenizer.backend_tokenizer.to_str(),
        parts={name: part.width for name, part in parts.items()},
        first=encoder.tokenizer.cls_token_id,
        last=encoder.tokenizer.sep_token_id,
        word_shapes=encoder.attrs["word_shapes"],
    )
    for name_, part in parts.items():
        _fill(target.get_pipe(name_), name_, part, compiled)
    target.meta["name"] = name or nlp.meta["name"]
    return target


def _copy_others(nlp: Language, target: Language, parts: list[str]) -> None:
    """Give a pipeline what another has learnt, but for some components. By files:
    spaCy's entity ruler loses its phrases on the way through bytes."""
    exclude = ["config", *parts]
    with tempfile.TemporaryDirectory() as folder:
        nlp.to_disk(folder, exclude=exclude)
        # A ruler that reads its phrases runs what is before it.
        with target.select_pipes(disable=[p for p in parts if p in target.pipe_names]):
            target.from_disk(folder, exclude=exclude)
    target._path = None  # it has none yet


def find_parts(nlp: Language) -> tuple[Any, dict[str, Part]]:
    """The encoder to compile and, by name, the components on it.

    Raises BionerError if something else listens to the encoder, or nothing does.
    """
    name = find_transformer(nlp)
    if not name:
        path = nlp.path or nlp.meta["name"]
        raise BionerError(Errors.B504.format(path=path, found=nlp.component_names))
    transformer: Any = nlp.get_pipe(name)
    if "word_shapes" not in transformer.model.attrs:
        raise BionerError(Errors.B505)
    # By listener: the names that a transformer keeps are also those that its listeners
    # have in other pipelines, once they were sourced from or into one.
    nodes = {id(listener) for listener in transformer.listeners}
    found: dict[str, Any] = {
        name: pipe for name, pipe in nlp.components if _has_one(pipe, nodes)
    }
    if not found or not all(type(pipe) in PARTS for pipe in found.values()):
        raise BionerError(Errors.B506.format(found=list(found)))
    # The first one holds the graph: rather one that is run.
    names = sorted(found, key=lambda name: name in nlp.disabled)
    parts = {name: PARTS[type(found[name])](found[name]) for name in names}
    return transformer.model, parts


def _has_one(pipe: Any, nodes: set[int]) -> bool:
    """Whether a component's model has one of these sub-models."""
    model = getattr(pipe, "model", None)
    return isinstance(model, Model) and any(id(node) in nodes for node in model.walk())


def _make_config(nlp: Language, encoder: Any, parts: dict[str, Part]) -> dict[str, Any]:
    """The source's config without its encoder and its training."""
    source = nlp.config.interpolate()
    config = {"nlp": source["nlp"], "components": source["components"]}
    transformer = find_transformer(nlp)
    for key in ("pipeline", "disabled"):
        config["nlp"][key] = [k for k in source["nlp"][key] if k != transformer]
    del config["components"][transformer]
    states: dict[str, Any] = {
        "@architectures": "spacy-bioner.OnnxGraph.v1",
        "window": int(encoder.attrs["window"]),
        "overlap": int(encoder.attrs["overlap"]),
        "threads": 0,
    }
    for name, part in parts.items():
        # What is in force: calibration may have changed it since.
        config["components"][name] |= settings_of(part.source) | part.settings
        config["components"][name]["model"] = {**part.model, "states": states}
        states = {"@architectures": "spacy-bioner.OnnxListener.v1"}
    return config


def _make_windows(nlp: Language, encoder: Any, texts: Sequence[str]) -> Windows:
    """Raises BionerError if there are none."""
    tokenizer, attrs = encoder.tokenizer, encoder.attrs
    special = tokenizer.cls_token_id, tokenizer.sep_token_id
    windows = []
    for text in texts:
        size = attrs["window"], attrs["overlap"]
        pieces = encode(uncut(tokenizer.backend_tokenizer), nlp.make_doc(text), *size)
        for window in pieces.windows:
            ids, shapes = frame(pieces, window, *special)
            shapes *= attrs["word_shapes"]
            windows.append((ids, shapes, window.rows + 1))
    if not windows:
        raise BionerError(Errors.B515)
    return windows


def _fill(target: Any, name: str, part: Part, compiled: Compiled) -> None:
    """Give a compiled component its labels, its settings and its graph or, if an
    earlier component holds that, its name."""
    part.fill(target)
    states = target.model.get_ref("states")
    states.attrs["part"] = name  # the source may have another, in another pipeline
    if states.shims:
        states.shims[0].compiled = compiled
    else:
        states.attrs["graph"] = compiled.digest


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
        report("finding how large activations get")
        run = partial(_run_all, module, windows)
        at_attention = tame_outliers(module.body.encoder, run)
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "graph.onnx"
        report("exporting to ONNX")
        _export(module, path)
        report("fusing attention, layer norms and activations")
        _fuse(module.body.config, path)
        if windows is not None:
            _edit(path, partial(shrink_attention, channels=at_attention))
        report("checking the graph's scores against the encoder's")
        _check(path, module, encoder)
        if windows is not None:
            report("rounding weights")
            fed = [dict(zip(INPUTS, window, strict=True)) for window in windows]
            _edit(path, partial(round_weights, inputs=fed, wanted=_in_int8))
            report("quantizing to int8")
            _quantize(path)
        return path.read_bytes()


def _make_module(encoder, parts: Sequence[Any]):
    """Encoder and parts as one torch module for one window, on the CPU."""
    import torch
    from transformers import AutoModel

    body = AutoModel.from_config(
        copy.deepcopy(encoder.config), attn_implementation="eager"
    )
    body.load_state_dict(encoder.state_dict())
    last = list(getattr(getattr(body, "encoder", None), "layer", []))[-1:]
    parts_of_last = ("attention", "intermediate", "output")
    whole = last and all(hasattr(last[0], part) for part in parts_of_last)
    projects = hasattr(body, "embeddings_project")  # as ELECTRA's small ones do
    if not (whole and hasattr(body, "embeddings")) or projects:
        raise BionerError(Errors.B507.format(encoder=type(encoder).__name__))

    class Tagger(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = body
            self.parts = torch.nn.ModuleList(parts)

        def forward(self, ids, shapes, rows):
            states = body.embeddings(input_ids=ids[None], token_type_ids=shapes[None])
            *layers, last = body.encoder.layer
            for layer in layers:
                states = layer(states)[0]
            # From here on nothing is asked of pieces that no token is read at.
            states = last.attention(states)[0][0][rows]
            return self.score(last.output(last.intermediate(states), states))

        def score(self, states):
            """states: (tokens, width)"""
            return torch.cat([part(states) for part in self.parts], dim=-1)

    return Tagger().float().eval()


def _run_all(module, windows: Windows) -> None:
    import torch

    with torch.no_grad():
        for window in windows:
            module(*map(torch.from_numpy, window))


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
        input_names=list(INPUTS),
        output_names=["logits"],
        dynamic_axes={
            "ids": {0: "pieces"},
            "shapes": {0: "pieces"},
            "rows": {0: "tokens"},
            "logits": {0: "tokens"},
        },
    )


def _fuse(config, path: Path) -> None:
    """Attention, layer norms and activations as one node each.

    Not with what stands before them: on a CPU, a layer norm fused with its sum takes
    five times as long as both, and a bias costs nothing in an int8 product.
    """
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    options = FusionOptions("bert")
    options.enable_embed_layer_norm = options.enable_skip_layer_norm = False
    options.enable_bias_gelu = False
    fused = optimize_model(
        str(path),
        "bert",
        num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size,
        opt_level=0,
        optimization_options=options,
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
            read = states.last_hidden_state[0].float().cpu()[inputs[2]]
            wanted = module.score(read)
        encoder.train(was_training)
        arrays = {k: v.numpy() for k, v in zip(INPUTS, inputs, strict=True)}
        error = float(np.abs(session.run(None, arrays)[0] - wanted.numpy()).max())
        if not error < TOLERANCE:
            kind = type(encoder).__name__
            raise BionerError(Errors.B508.format(encoder=kind, error=error))


def _quantize(path: Path) -> None:
    """Weights to int8, one scale a column, and word embeddings, one a word;
    activations at run time."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    layers = [node.name for node in onnx.load(path).graph.node]
    quantize_dynamic(
        path,
        path,
        per_channel=True,
        reduce_range=False,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul", "Attention"],
        nodes_to_exclude=[name for name in layers if not _in_int8(name)],
        extra_options={"DefaultTensorType": FLOAT},
    )
    _edit(path, quantize_rows)


def _in_int8(name: str) -> bool:
    """Whether the node of this name is to be quantized."""
    return IN_FP32 not in name


def _edit(path: Path, change: Callable[[Any], None]) -> None:
    """Change a saved graph in place."""
    import onnx

    model = onnx.load(path)
    change(model)
    onnx.save(model, path)


@contextmanager
def full_precision(nlp: Language) -> Iterator[None]:
    """Run a trained pipeline's encoder in fp32 for as long as the context lasts."""
    transformer: Any = nlp.get_pipe(find_transformer(nlp))
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
