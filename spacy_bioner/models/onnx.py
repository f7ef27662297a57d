"""The encoder of compiled components: one ONNX graph, without torch.

A call of the graph reads one window of one document, so nothing is padded and a
document's scores depend on nothing else in its batch: int8 activations take their
scale from all that a call reads. Worker threads share one single-thread session.

The graph ends with what each component on the encoder computes token by token. Where
there are several, the first holds the graph; it lays the others' part by, and they
take it from there.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property, partial
from typing import Any, cast
from weakref import WeakKeyDictionary

import numpy as np
import onnxruntime
import srsly
from numpy.typing import NDArray
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Model, get_current_ops
from thinc.shims import Shim
from thinc.types import Floats2d
from tokenizers import Tokenizer

from ..errors import BionerError, Errors
from ..layers.windows import Window
from .encoding import Encoded, encode_all, frame, uncut

MAX_THREADS = 8  # beyond, the Python side cannot keep them busy
QUEUED = 16  # windows waiting for each thread
# On a CPU these fused nodes take longer than their parts.
SLOWER = ["SkipLayerNormFusion", "EmbedLayerNormFusion", "BiasGeluFusion"]
# Processors without VNNI (AMD before Zen 4, Intel before 2019, many later ones for
# desks) add int8 products in 16 bits, which overflow without a word. This makes the
# weights unsigned, for products that are exact, and takes 1.7 times as long where the
# processor has VNNI: onnxruntime does not look.
EXACT_PRODUCTS = "session.x64quantprecision"
# An ONNX graph of one node, y = MatMulInteger(a, b), that shows whether they overflow.
PRODUCT = (
    b'\x08\x05\x12\x00:>\n\x18\n\x01a\n\x01b\x12\x01y"\rMatMulInteger\x12\x01p'
    b"Z\t\n\x01a\x12\x04\n\x02\x08\x02Z\t\n\x01b\x12\x04\n\x02\x08\x03"
    b"b\t\n\x01y\x12\x04\n\x02\x08\x06B\x04\n\x00\x10\n"
)
# What a graph computed for other components on its encoder, by graph and component.
# Not in `doc.user_data`: where such a component is not in the pipeline, nobody takes it
# away, and it would be saved with the document. Here it goes when the document does.
SHELVES: WeakKeyDictionary[Doc, dict[tuple[str, str], Any]] = WeakKeyDictionary()
NOTHING = np.zeros((0, 0), dtype="float32")  # the scores of no tokens


@registry.architectures("spacy-bioner.OnnxGraph.v1")
def build_onnx_graph(
    window: int = 256, overlap: int = 32, threads: int = 0
) -> Model[list[Doc], list[Floats2d]]:
    """The graph of a compiled pipeline; `spacy bioner compile` fills it.

    window, overlap (int): Length of a window and what neighbours share, in word
        pieces, as the encoder was trained.
    threads (int): How many windows are encoded at a time; 0: as many as there are
        processors, at most 8.
    RETURNS (Model): Documents to what the graph computes for this component.
        # (tokens, width) each
    """
    return Model(
        "onnx_graph",
        partial(forward, window=window, overlap=overlap),
        init=init,
        attrs={"part": ""},
        shims=[OnnxGraph(threads)],
    )


@registry.architectures("spacy-bioner.OnnxListener.v1")
def build_onnx_listener() -> Model[list[Doc], list[Floats2d]]:
    """The same for a component whose graph an earlier component holds."""
    return Model("onnx_listener", take, init=init, attrs={"part": "", "graph": ""})


def init(model: Model, X=None, Y=None) -> None:
    raise BionerError(Errors.B501)


def forward(
    model: Model, docs: list[Doc], is_train: bool, *, window: int, overlap: int
) -> tuple[list[Floats2d], Callable]:
    if is_train:
        raise BionerError(Errors.B501)
    graph = cast(OnnxGraph, model.shims[0])
    matrices = graph.run(docs, window, overlap)
    columns = graph.columns
    own = columns.pop(model.attrs["part"])
    for part, place in columns.items():
        for doc, matrix in zip(docs, matrices, strict=True):
            key = graph.compiled.digest, part
            SHELVES.setdefault(doc, {})[key] = matrix[:, place]
    return cast(Any, [matrix[:, own] for matrix in matrices]), no_backprop


def take(
    model: Model, docs: list[Doc], is_train: bool
) -> tuple[list[Floats2d], Callable]:
    """Raises BionerError for a document that the graph has not read, or with other
    tokens."""
    if is_train:
        raise BionerError(Errors.B501)
    key = model.attrs["graph"], model.attrs["part"]
    shelves = [SHELVES.get(doc, {}) for doc in docs]
    if any(key not in x for doc, x in zip(docs, shelves, strict=True) if len(doc)):
        raise BionerError(Errors.B514.format(name=model.attrs["part"]))
    # Of an empty document nothing was computed where who holds the graph skips it.
    matrices: list[Any] = [shelf.get(key, NOTHING) for shelf in shelves]
    for shelf in shelves:  # not at once: a document may stand there twice
        shelf.pop(key, None)
    if any(len(x) != len(doc) for x, doc in zip(matrices, docs, strict=True)):
        raise BionerError(Errors.B516.format(name=model.attrs["part"]))
    return matrices, no_backprop


def no_backprop(dY: Any) -> list[Doc]:
    """Raises BionerError."""
    raise BionerError(Errors.B501)


def places(widths: dict[str, int]) -> dict[str, slice]:
    """The columns of each when all stand side by side."""
    ends = np.cumsum([0, *widths.values()]).tolist()
    found = (slice(*ends) for ends in zip(ends, ends[1:], strict=False))
    return dict(zip(widths, found, strict=True))


@dataclass(frozen=True)
class Compiled:
    """What `compile` makes of a trained pipeline.

    graph (bytes): ONNX: ids, shapes (both (pieces,)) and rows (tokens,) to a matrix
        (tokens, width of all parts).
    tokenizer (str): The tokenizer's JSON.
    parts (dict): The width of each component's part, in the order of the columns.
    first, last (int): The special tokens around a window.
    word_shapes (bool): Whether the encoder reads word shapes.
    """

    graph: bytes = b""
    tokenizer: str = ""
    parts: dict[str, int] = field(default_factory=dict)
    first: int = 0
    last: int = 0
    word_shapes: bool = True

    @cached_property
    def digest(self) -> str:
        """A name that no other graph has."""
        return hashlib.sha256(self.graph).hexdigest()[:16]


@dataclass(frozen=True)
class Runtime:
    """What lives in one process and is never saved."""

    process: int
    session: onnxruntime.InferenceSession
    tokenizer: Tokenizer
    threads: int
    pool: ThreadPoolExecutor | None


class OnnxGraph(Shim):
    """A compiled graph that is saved by its bytes, and its session in this process.

    The session is made at first use, and again in a forked or unpickled copy.
    """

    def __init__(self, threads: int = 0, compiled: Compiled | None = None) -> None:
        super().__init__(None)
        self.threads = threads
        self.compiled = compiled or Compiled()
        self._runtime: Runtime | None = None

    @property
    def columns(self) -> dict[str, slice]:
        """The columns of each part in the graph's output."""
        return places(self.compiled.parts)

    def run(
        self, docs: Iterable[Doc], window: int, overlap: int
    ) -> list[NDArray[np.float32]]:
        """What the graph computes for each document.  # (tokens, all parts)"""
        docs, runtime = list(docs), self.runtime
        width = sum(self.compiled.parts.values())
        matrices: list[NDArray[np.float32]] = []
        queue: deque[Future] = deque()
        all_pieces = encode_all(runtime.tokenizer, docs, window, overlap)
        for doc, pieces in zip(docs, all_pieces, strict=True):
            matrices.append(np.zeros((len(doc), width), dtype="float32"))
            for part in pieces.windows:
                if not len(part.tokens):
                    continue
                score = partial(self._score, runtime, pieces, part, matrices[-1])
                if runtime.pool is None:
                    score()
                    continue
                try:
                    queue.append(runtime.pool.submit(score))
                except RuntimeError:  # the main thread has ended, this one has not
                    score()
                if len(queue) > QUEUED * runtime.threads:
                    queue.popleft().result()
        for future in queue:
            future.result()
        return matrices

    def _score(
        self, runtime: Runtime, pieces: Encoded, part: Window, out: NDArray[np.float32]
    ) -> None:
        """Run one window and write the rows of its tokens."""
        ids, shapes = frame(pieces, part, self.compiled.first, self.compiled.last)
        if not self.compiled.word_shapes:
            shapes[:] = 0
        inputs = {"ids": ids, "shapes": shapes, "rows": part.rows + 1}
        out[part.tokens] = runtime.session.run(None, inputs)[0]

    @property
    def runtime(self) -> Runtime:
        """The session of this process, made when there is none.

        Raises BionerError if no graph was loaded.
        """
        runtime = self._runtime
        if runtime is None or runtime.process != os.getpid():
            if not self.compiled.graph:
                raise BionerError(Errors.B502)
            threads = self.threads or min(_processors(), MAX_THREADS)
            runtime = self._runtime = Runtime(
                process=os.getpid(),
                session=make_session(self.compiled.graph, find_providers()),
                tokenizer=uncut(Tokenizer.from_str(self.compiled.tokenizer)),
                threads=threads,
                pool=ThreadPoolExecutor(threads) if threads > 1 else None,
            )
        return runtime

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_runtime": None}

    def to_bytes(self) -> bytes:
        return srsly.msgpack_dumps(asdict(self.compiled))

    def from_bytes(self, data: bytes) -> OnnxGraph:
        self.compiled = Compiled(**srsly.msgpack_loads(data))
        self._runtime = None
        return self

    def to_device(self, device_type: str, device_id: int) -> None:
        """The session chooses its own device, once: see `find_providers`."""

    def finish_update(self, optimizer) -> None:
        """Nothing is ever updated."""


def find_providers() -> list[str]:
    """What computes: the GPU where spaCy was told to use it (`spacy.prefer_gpu`) and
    onnxruntime-gpu is there; else the CPU."""
    cpu, gpu = "CPUExecutionProvider", "CUDAExecutionProvider"
    wanted = get_current_ops().device_type == "gpu"
    found = wanted and gpu in onnxruntime.get_available_providers()
    return [gpu, cpu] if found else [cpu]


def make_session(
    graph: bytes, providers: Sequence[str] = ("CPUExecutionProvider",)
) -> onnxruntime.InferenceSession:
    """A session that computes in the calling thread."""
    options = _single_thread()
    options.enable_mem_pattern = False  # it remembers a plan for every length seen
    if products_overflow():
        options.add_session_config_entry(EXACT_PRODUCTS, "1")
    return onnxruntime.InferenceSession(
        graph, options, providers=list(providers), disabled_optimizers=SLOWER
    )


@cache
def products_overflow() -> bool:
    """Whether this processor adds int8 products in 16 bits: by trying it."""
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(PRODUCT, _single_thread(), providers)
    a, b = np.full((8, 64), 255, "uint8"), np.full((64, 32), 127, "int8")
    return bool(np.any(session.run(None, {"a": a, "b": b})[0] != 64 * 255 * 127))


def _single_thread() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
