"""Words a second and memory of every way to run the same encoder.

    python benchmarks/speed.py TRAINED COMPILED DATA

All systems take the same texts in one run: each lives in a process of its own and they
take turns, so that what else the machine does falls on all alike. Words are the tokens
of our tokenizer, for every system.

stock              spacy-transformers' TransformerModel.v3 and spaCy's own `ner`
trainable          TRAINED, fp32
Hugging Face       transformers' token-classification pipeline, batches of 16
bare ONNX Runtime  COMPILED's graph in a loop: word pieces in, tags out; one window a
                   call, threads that share a session; no tokens, no spans, no spaCy
compiled           COMPILED, as `nlp.pipe` runs it
CNN                spaCy's CNN with the components and sizes of scispaCy's small models:
                   tagger and parser on a tok2vec, ner with a tok2vec of its own;
                   untrained, its annotation means nothing. Without their
                   attribute_ruler, lemmatizer and slower tokenizer
CNN, ner alone     its ner

The encoder's weights are TRAINED's wherever there is one; stock's `ner` and Hugging
Face's layer of tags are untrained: they cost the same.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from results import peak, save_records

LABELS = [
    "DISEASE",
    "CHEMICAL",
    "GENE",
    "SPECIES",
    "CELL_LINE",
    "CELL_TYPE",
    "DNA",
    "RNA",
]
COMMAND = "python benchmarks/speed.py TRAINED COMPILED DATA"
Run = Callable[[list[str]], object]
OTHERS = ["stock", "bare ONNX Runtime", "CNN", "CNN, ner alone"]  # for the ratios


def pipe_of(nlp) -> Run:
    return lambda texts: [len(doc.ents) for doc in nlp.pipe(texts)]


def stock(trained: str, compiled: str, encoder: str) -> Run:
    import spacy

    nlp = spacy.blank("en")
    nlp.add_pipe(
        "transformer",
        config={
            "model": {
                "@architectures": "spacy-transformers.TransformerModel.v3",
                "name": encoder,
                "get_spans": {
                    "@span_getters": "spacy-transformers.strided_spans.v1",
                    "window": 128,
                    "stride": 96,
                },
            }
        },
    )
    model = {
        "@architectures": "spacy.TransitionBasedParser.v2",
        "state_type": "ner",
        "extra_state_tokens": False,
        "hidden_width": 64,
        "maxout_pieces": 2,
        "use_upper": False,
        "nO": None,
        "tok2vec": {
            "@architectures": "spacy-transformers.TransformerListener.v1",
            "grad_factor": 1.0,
            "pooling": {"@layers": "reduce_mean.v1"},
        },
    }
    ner = nlp.add_pipe("ner", config={"model": model})
    for label in LABELS:
        ner.add_label(label)
    nlp.initialize()
    return pipe_of(nlp)


def trainable(trained: str, compiled: str, encoder: str) -> Run:
    import spacy

    nlp = spacy.load(trained)
    nlp.get_pipe("transformer").model.attrs["bf16"] = False
    return pipe_of(nlp)


def hugging_face(trained: str, compiled: str, encoder: str) -> Run:
    from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

    model = AutoModelForTokenClassification.from_pretrained(
        encoder, num_labels=2 * len(LABELS) + 1
    )
    tokenizer = AutoTokenizer.from_pretrained(encoder, model_max_length=512)
    tag = pipeline(
        "token-classification",
        model=model,
        tokenizer=tokenizer,
        aggregation_strategy="first",
        stride=32,
        device="cpu",
    )
    return lambda texts: tag(texts, batch_size=16)


def bare_onnx(trained: str, compiled: str, encoder: str) -> Run:
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np
    import spacy
    from tokenizers import Tokenizer

    ner: Any = spacy.load(compiled).get_pipe("ner")
    graph = ner.model.get_ref("states").shims[0]
    session, parts = graph.runtime.session, graph.compiled
    tokenizer = Tokenizer.from_str(parts.tokenizer)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    threads = graph.runtime.threads
    size, overlap = 254, 32

    def tags(ids: list[int]):
        window = np.array([parts.first, *ids, parts.last])
        rows = np.arange(1, len(window) - 1)
        inputs = {"ids": window, "shapes": np.zeros_like(window), "rows": rows}
        return session.run(None, inputs)[0].argmax(axis=1)

    def run(texts: list[str]) -> None:
        windows = []
        for text in texts:
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            step = size - overlap
            last = max(len(ids) - overlap, 1)
            windows += [ids[start : start + size] for start in range(0, last, step)]
        if threads == 1:
            list(map(tags, windows))
            return
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(tags, windows))

    return run


def compiled_form(trained: str, compiled: str, encoder: str) -> Run:
    import spacy

    return pipe_of(spacy.load(compiled))


def cnn(*components: str) -> Callable[[str, str, str], Run]:
    """As https://github.com/allenai/scispacy/tree/main/configs configures them."""
    listener = {
        "@architectures": "spacy.Tok2VecListener.v1",
        "width": 96,
        "upstream": "*",
    }
    transitions = {
        "@architectures": "spacy.TransitionBasedParser.v2",
        "extra_state_tokens": False,
        "hidden_width": 128,
        "maxout_pieces": 3,
        "use_upper": True,
    }

    def tok2vec(attrs: dict[str, int]) -> dict[str, Any]:
        return {
            "@architectures": "spacy.Tok2Vec.v2",
            "embed": {
                "@architectures": "spacy.MultiHashEmbed.v2",
                "width": 96,
                "attrs": list(attrs),
                "rows": list(attrs.values()),
                "include_static_vectors": False,
            },
            "encode": {
                "@architectures": "spacy.MaxoutWindowEncoder.v2",
                "width": 96,
                "depth": 4,
                "window_size": 1,
                "maxout_pieces": 3,
            },
        }

    words = {"NORM": 5000, "PREFIX": 1000, "SUFFIX": 2500, "SHAPE": 2500}
    models = {
        "tok2vec": tok2vec(words | {"SPACY": 50, "IS_SPACE": 50}),
        "tagger": {"@architectures": "spacy.Tagger.v2", "tok2vec": listener},
        "parser": transitions | {"state_type": "parser", "tok2vec": listener},
        "ner": transitions | {"state_type": "ner", "tok2vec": tok2vec(words)},
    }

    def make(trained: str, compiled: str, encoder: str) -> Run:
        import numpy as np
        import spacy
        from spacy.tokens import Doc
        from spacy.training import Example

        np.random.seed(0)
        nlp = spacy.blank("en")
        for name in components:
            nlp.add_pipe(name, config={"model": models[name]})
        example = Example.from_dict(
            Doc(nlp.vocab, ["Mice", "lack", "it"]),
            {
                "tags": ["NNS", "VBP", "PRP"],
                "heads": [1, 1, 1],
                "deps": ["nsubj", "ROOT", "dobj"],
                "entities": ["O"] * 3,
            },
        )
        for label in LABELS:
            nlp.get_pipe("ner").add_label(label)
        nlp.initialize(lambda: [example])
        return pipe_of(nlp)

    return make


SYSTEMS: dict[str, Callable[[str, str, str], Run]] = {
    "stock": stock,
    "trainable": trainable,
    "Hugging Face": hugging_face,
    "bare ONNX Runtime": bare_onnx,
    "compiled": compiled_form,
    "CNN": cnn("tok2vec", "tagger", "parser", "ner"),
    "CNN, ner alone": cnn("ner"),
}


def work(connection, system: str, paths: list[str], threads: int) -> None:
    """A process that holds one system: loads it, then times the texts it is sent."""
    os.sched_setaffinity(0, set(range(threads)))
    run = SYSTEMS[system](*paths)
    run(["Cystic fibrosis."])
    connection.send(system)
    while texts := connection.recv():
        start = time.perf_counter()
        run(texts)
        seconds = time.perf_counter() - start
        connection.send((seconds, peak()))


class Worker:
    def __init__(self, system: str, paths: list[str], threads: int) -> None:
        os.environ.update(OMP_NUM_THREADS=str(threads), TOKENIZERS_PARALLELISM="false")
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        args = (other, system, paths, threads)
        self.process = context.Process(target=work, args=args, daemon=True)
        self.process.start()
        self.connection.recv()  # it is loaded

    def time(self, texts: list[str]) -> tuple[float, float]:
        self.connection.send(texts)
        return self.connection.recv()

    def close(self) -> None:
        self.connection.send(None)
        self.process.join()


def read_texts(data: Path, words: int) -> dict[str, list[tuple[str, int]]]:
    """Sentences and abstracts of NCBI-disease's and full texts of LINNAEUS's test set:
    about so many words of each, every text with its number of words."""
    import spacy
    from spacy.tokens import DocBin

    vocab = spacy.blank("en").vocab

    def docs(corpus: str):
        yield from DocBin().from_disk(data / corpus / "test.spacy").get_docs(vocab)

    def some(spans) -> list[tuple[str, int]]:
        chosen, total = [], 0
        for span in spans:
            if total >= words:
                break
            chosen.append((span.text, len(span)))
            total += len(span)
        return chosen

    return {
        "sentences": some(sent for doc in docs("ncbi_disease") for sent in doc.sents),
        "abstracts": some(docs("ncbi_disease")),
        "articles": some(docs("linnaeus")),
    }


def save_encoder(trained: str, folder: str) -> None:
    """TRAINED's encoder as Hugging Face keeps it, for the systems that are not ours."""
    import spacy

    model: Any = spacy.load(trained).get_pipe("transformer").model
    model.transformer.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)


def measure(args, threads: int, encoder: str, texts) -> list[dict[str, Any]]:
    paths = [args.trained, args.compiled, encoder]
    workers = {system: Worker(system, paths, threads) for system in args.systems}
    records = []

    def add(system: str, kind: str, metric: str, value: float, note: str = "") -> None:
        records.append(
            {
                "benchmark": args.output,
                "system": system,
                "corpus": kind,
                "split": f"{threads} thread" + "s" * (threads > 1),
                "metric": metric,
                "value": round(value, 3),
                "seed": 0,
                "command": f"{COMMAND} {shlex.join(sys.argv[4:])}".strip(),
                "note": note,
            }
        )

    for kind, chosen in texts.items():
        batch, words = [text for text, _ in chosen], sum(n for _, n in chosen)
        seconds: dict[str, list[float]] = {system: [] for system in workers}
        for turn in range(args.repeats + 1):
            for system, worker in workers.items():
                spent, most = worker.time(batch)
                if turn:  # the first warms up
                    seconds[system].append(spent)
                if turn == args.repeats:
                    speed = words / statistics.median(seconds[system])
                    spread = words / max(seconds[system]), words / min(seconds[system])
                    note = f"median of {args.repeats}; {spread[0]:.0f}-{spread[1]:.0f}"
                    add(system, kind, "words_per_second", speed, note)
                    add(system, kind, "peak_megabytes", most, "of its process so far")
                    print(f"{threads} {kind:10} {system:18} {speed:9,.0f}", flush=True)
        for other in OTHERS:
            if other in seconds and "compiled" in seconds:
                pairs = zip(seconds[other], seconds["compiled"], strict=True)
                ratio = statistics.median(a / b for a, b in pairs)
                add(f"compiled / {other}", kind, "ratio", ratio, "median of the turns")
    for worker in workers.values():
        worker.close()
    return records


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("trained")
    parser.add_argument("compiled")
    parser.add_argument("data", type=Path)
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--words", type=int, default=10_000)
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS))
    parser.add_argument("--output", default="speed", help="name of the records")
    args = parser.parse_args()
    texts, records = read_texts(args.data, args.words), []
    with tempfile.TemporaryDirectory() as encoder:
        save_encoder(args.trained, encoder)
        for threads in args.threads:
            records += measure(args, threads, encoder, texts)
    save_records(args.output, records)


if __name__ == "__main__":
    main()
