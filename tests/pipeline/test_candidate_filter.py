"""The component: borders are repaired, what is not annotated teaches nothing, labels
are known by what they are called, and everything comes back from disk."""

import pickle
import time

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from thinc.api import fix_random_seed
from toy import TOK2VEC, annotate, example, transformer_pipeline
from toy import step as one_step

from spacy_bioner.confidence import score_of
from spacy_bioner.errors import BionerError
from spacy_bioner.training.candidates import add_candidates
from spacy_bioner.training.filter_tuning import choose_spans, tune_filter

SENTENCES = [
    "Patients with [severe asthma|DISEASE] lack [IL2|GENE] .",
    "[BRCA1|GENE] is mutated in [breast cancer|DISEASE] and [ovarian cancer|DISEASE] .",
    "No [p53|GENE] was found in mice .",
    "[Asthma|DISEASE] and [psoriasis|DISEASE] respond to steroids .",
    "Mice without [TNF|GENE] or [IL2|GENE] were healthy .",
    "[Lung cancer|DISEASE]",
    "Mice were healthy .",
]
MODEL = {"@architectures": "spacy-bioner.SpanMatcher.v1", "hidden": 24}
KEY = "llm_candidates"


def cnn_pipeline(**settings):
    nlp = spacy.blank("en")
    config = {"model": {**MODEL, "tok2vec": TOK2VEC}, **settings}
    nlp.add_pipe("candidate_filter", name="filter", config=config)
    return nlp


def examples_of(nlp, sentences=SENTENCES):
    return [example(nlp, annotate(nlp, sentence)) for sentence in sentences]


def train(nlp, examples, steps=60, rate=0.01):
    """RETURNS (list[float]): The loss at each step."""
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = rate
    return [one_step(nlp, examples, optimizer)["filter"] for _ in range(steps)]


def with_candidates(nlp, text, *spans):
    """A document with candidates given as (start, end, label)."""
    doc = nlp.make_doc(text)
    doc.spans[KEY] = [Span(doc, *span) for span in spans]
    return doc


def kept(doc):
    return [(span.text, span.label_) for span in doc.spans["filtered"]]


def outputs(nlp, docs):
    """Everything that the component writes, in comparable form."""
    docs = list(nlp.pipe(doc.copy() for doc in docs))
    return [
        (kept(doc), *(list(v) for v in doc.spans["filtered"].attrs.values()))
        for doc in docs
    ]


def weights(nlp):
    nodes = list(nlp.get_pipe("filter").model.walk())
    return [node.get_param(name).copy() for node in nodes for name in node.param_names]


def same(before, after):
    return all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.fixture(scope="module")
def trained():
    fix_random_seed(0)
    nlp = cnn_pipeline()
    train(nlp, examples_of(nlp))
    return nlp


@pytest.fixture
def untrained():
    nlp = cnn_pipeline()
    nlp.initialize(lambda: examples_of(nlp))
    return nlp


def some_docs(nlp):
    """Of every kind: with candidates, without the group, empty, white space, long."""
    return [
        with_candidates(nlp, "Patients with severe asthma lack IL2 .", (3, 4, "X")),
        nlp.make_doc("No candidates here ."),
        with_candidates(nlp, ""),
        with_candidates(nlp, " \n\t ", (0, 1, "GENE")),
        with_candidates(nlp, "β-Thalassämie 👩‍🔬 中文 \u2028 x", (0, 2, "疾病")),
        with_candidates(
            nlp, "p53 gene . " * 60, *((3 * i, 3 * i + 2, "GENE") for i in range(60))
        ),
    ]


# Learning


def test_borders_are_repaired_and_mistakes_rejected(trained):
    doc = with_candidates(
        trained,
        "Patients with severe asthma lack IL2 .",
        (1, 4, "DISEASE"),  # too long
        (3, 5, "DISEASE"),  # crosses the border
        (5, 6, "GENE"),  # right
        (0, 1, "GENE"),  # none
    )
    doc = trained(doc)
    assert kept(doc) == [("severe asthma", "DISEASE"), ("IL2", "GENE")]
    group = doc.spans["filtered"]
    assert group.attrs["repaired"].tolist() == [True, False]
    assert group.attrs["scores"].dtype == np.float32
    assert (group.attrs["scores"] > 0.5).all()
    assert len(doc.spans[KEY]) == 4 and not doc.ents


def test_a_wrong_type_is_rejected(trained):
    text = "No p53 was found in mice ."
    right, wrong = (
        trained(with_candidates(trained, text, (1, 2, label)))
        for label in ("GENE", "DISEASE")
    )
    assert kept(right) == [("p53", "GENE")] and kept(wrong) == []


def test_without_repair_candidates_stay_as_they_are(trained):
    nlp = cnn_pipeline(repair=False).from_bytes(trained.to_bytes())
    nlp.get_pipe("filter").cfg["repair"] = False
    text = "Patients with severe asthma lack IL2 ."
    doc = nlp(with_candidates(nlp, text, (1, 4, "DISEASE"), (5, 6, "GENE")))
    assert kept(doc) == [("IL2", "GENE")]


def test_entities_are_written_where_asked(trained):
    cfg = trained.get_pipe("filter").cfg
    cfg["ents_policy"] = "replace"
    doc = trained(with_candidates(trained, "No p53 was found .", (0, 2, "GENE")))
    cfg["ents_policy"] = None
    (ent,) = doc.ents
    assert ent.text == "p53"
    assert score_of(ent) == pytest.approx(doc.spans["filtered"].attrs["scores"][0])


def test_a_group_without_entities_scores_none(trained):
    doc = with_candidates(trained, "No p53 was found .", (0, 2, "GENE"))
    doc.ents = [Span(doc, 1, 2, "GENE")]
    (ent,) = trained(doc).ents
    assert score_of(ent) is None and score_of(ent, "filtered") > 0.5


@pytest.mark.parametrize(("overlap", "found"), [("flat", 1), ("nested", 2), ("all", 3)])
def test_overlaps(trained, overlap, found):
    cfg = trained.get_pipe("filter").cfg
    before = {**cfg}
    cfg.update(overlap=overlap, threshold=0.0, repair=False)
    spans = (0, 3, "GENE"), (1, 2, "GENE"), (1, 5, "GENE")
    doc = trained(with_candidates(trained, "No p53 was found in mice .", *spans))
    cfg.update(before)
    assert len(doc.spans["filtered"]) == found
    assert ("p53", "GENE") in kept(doc)


@pytest.mark.parametrize(
    "settings",
    [
        {"contrastive_weight": 0.0},
        {"negatives": {"boundary": 0, "nested": 0}},
        {"negatives": {"wrong_type": 0}},
        {"label_dropout": 0.0},
    ],
)
def test_each_part_can_be_switched_off(settings):
    nlp = cnn_pipeline(**settings)
    losses = train(nlp, examples_of(nlp), 40)
    assert losses[-1] < 0.2 * losses[0]


def test_gold_of_a_span_group_stands_before_entities():
    nlp = cnn_pipeline()
    examples = examples_of(nlp)
    for eg in examples:
        eg.reference.spans["gold"] = []
    reference = examples[2].reference
    reference.spans["gold"] = [Span(reference, 3, 4, "VERB")]
    nlp.initialize(lambda: examples)
    assert nlp.get_pipe("filter").labels == ("VERB",)


# Labels


def test_any_label_has_scores(trained):
    text = "No p53 was found in mice ."
    spans = (1, 2, "GENE"), (1, 2, "Genes and proteins"), (1, 2, "基因"), (1, 2, "")
    doc = with_candidates(trained, text, *spans)
    (judged,) = trained.get_pipe("filter").predict([doc])
    assert np.isfinite(judged.logits[:, 0]).all()
    logits = dict(zip(judged.labels, judged.logits[:, 0].tolist(), strict=True))
    assert logits["基因"] == pytest.approx(logits[""])  # nothing in common: any entity
    assert logits["Genes and proteins"] > logits[""]  # a word in common with GENE


def test_an_unseen_label_is_repaired_and_rejected_too(trained):
    text = "No p53 was found in mice ."
    doc = with_candidates(trained, text, (0, 2, "基因"), (4, 5, "基因"))
    assert kept(trained(doc)) == [("p53", "基因")]


def test_definitions_count(trained):
    pipe = trained.get_pipe("filter")
    doc = with_candidates(trained, "No p53 was found .", (1, 2, "基因"))
    before = pipe.predict([doc])[0].logits[0, 0]
    pipe.cfg["definitions"] = {"基因": "a gene"}
    after = pipe.predict([doc])[0].logits[0, 0]
    pipe.cfg["definitions"] = {}
    assert after != pytest.approx(before)


# What teaches, and what does not


def gradient_of(nlp, examples):
    pipe = nlp.get_pipe("filter")
    samples, texts = pipe.draw(examples)
    docs = [eg.predicted for eg in examples]
    spans = [sample.spans for sample in samples]
    logits, backprop = pipe.model((docs, spans, texts), is_train=True)
    loss, gradients = pipe.get_loss(samples, logits)
    return loss, gradients, backprop


def unannotated(nlp, text="p53 was found ."):
    return Example(nlp.make_doc(text), nlp.make_doc(text))


def watch(pipe):
    """The gradients that reach the token encoder."""
    seen, tok2vec = [], pipe.model.get_ref("tok2vec")
    forward = tok2vec._func

    def watched(model, docs, is_train):
        Y, backprop = forward(model, docs, is_train)
        return Y, lambda dY: seen.extend(d.copy() for d in dY) or backprop(dY)

    tok2vec._func = watched
    return seen


def test_what_is_not_annotated_gives_exactly_no_gradient(untrained):
    seen = watch(untrained.get_pipe("filter"))
    examples = [*examples_of(untrained)[:1], unannotated(untrained)]
    untrained.update(examples, sgd=False)
    assert [bool(d.any()) for d in seen] == [True, False]


def test_a_batch_that_teaches_nothing_still_goes_back_and_moves_no_weight(untrained):
    optimizer = untrained.create_optimizer()
    one_step(untrained, examples_of(untrained), optimizer)  # momentum
    before = weights(untrained)
    seen = watch(untrained.get_pipe("filter"))
    losses = one_step(untrained, [unannotated(untrained)] * 2, optimizer)
    assert losses["filter"] == 0.0
    assert len(seen) == 2 and not any(d.any() for d in seen)
    assert same(before, weights(untrained))


def test_a_document_without_entities_teaches(untrained):
    (nothing,) = examples_of(untrained, ["Mice were healthy ."])
    loss, (gradient,), _ = gradient_of(untrained, [nothing])
    assert loss > 0 and gradient.any()


def test_a_generators_mistakes_are_learnt_from(untrained):
    (eg,) = examples_of(untrained, ["No [p53|GENE] was found in mice ."])
    pipe = untrained.get_pipe("filter")
    for doc in (eg.reference, eg.predicted):
        doc.spans[KEY] = [Span(doc, 3, 6, "GENE"), Span(doc, 1, 2, "GENE")]
        (sample,), _ = pipe.draw([eg])
        assert [3, 6] in sample.spans[sample.gold :, :2].tolist()
        assert sample.gold == 1


def test_the_same_seed_draws_the_same(untrained):
    pipe, examples = untrained.get_pipe("filter"), examples_of(untrained)
    drawn = []
    for seed in (1, 1, 2):
        fix_random_seed(seed)
        drawn.append([s.spans.tolist() for s in pipe.draw(examples)[0]])
    assert drawn[0] == drawn[1] != drawn[2]


def test_gold_inside_a_token_is_not_taught(untrained):
    words, spaces = ["anti", "TNF", "acts"], [False, True, False]
    reference = Doc(untrained.vocab, words, spaces)
    reference.set_ents([Span(reference, 1, 2, "GENE")])
    eg = Example(Doc(untrained.vocab, ["antiTNF", "acts"]), reference)
    text = untrained.get_pipe("filter").read(eg)
    assert len(text.gold) == 0 and text.known.tolist() == [False, True]
    (sample,), _ = untrained.get_pipe("filter").draw([eg])
    assert (sample.spans[:, 0] > 0).all()


def shared_pipeline(encoder):
    """A transformer, a gerbera_ner and a candidate_filter that listen to it."""
    nlp = transformer_pipeline(encoder)
    config = {"model": {"hidden": 24}}
    nlp.add_pipe("candidate_filter", name="filter", config=config)
    return nlp


def test_it_learns_on_a_shared_transformer_and_compiles(tiny_encoder, tmp_path):
    pytest.importorskip("onnx")
    from spacy_bioner.pipeline.export import compile_pipeline

    nlp = shared_pipeline(tiny_encoder)
    examples = examples_of(nlp)
    nothing = Example(nlp.make_doc(""), nlp.make_doc(""))
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.003
    losses = [one_step(nlp, [*examples, nothing], optimizer) for _ in range(40)]
    assert losses[-1]["filter"] < 0.5 * losses[0]["filter"]
    assert losses[-1]["ner"] < 0.5 * losses[0]["ner"]
    docs = some_docs(nlp)
    for doc in docs:
        words = (Span(doc, i, i + 1, "GENE") for i in range(min(len(doc), 2)))
        doc.spans[KEY] = [*doc.spans.get(KEY, ()), *words]
    compiled = compile_pipeline(nlp, "none")
    compiled.to_disk(tmp_path / "compiled")
    for other in (compiled, spacy.load(tmp_path / "compiled")):
        assert same_outputs(outputs(nlp, docs), outputs(other, docs))
    assert compiled.get_pipe("filter").label_data == ["DISEASE", "GENE"]
    with pytest.raises(BionerError, match="B501"):
        one_step(compiled, examples, optimizer)


def same_outputs(ours, theirs, tolerance=1e-3):
    return all(
        a[0] == b[0]
        and a[1] == pytest.approx(b[1], abs=tolerance)
        and a[2] == pytest.approx(b[2])
        for a, b in zip(ours, theirs, strict=True)
    )


def test_nothing_reaches_the_shared_encoder_from_an_unannotated_batch(tiny_encoder):
    nlp = shared_pipeline(tiny_encoder)
    nlp.initialize(lambda: examples_of(nlp))
    encoder = nlp.get_pipe("transformer").model.transformer
    found = []
    for examples in ([unannotated(nlp)], examples_of(nlp)):
        nlp.update(examples, sgd=False)
        grads = [p.grad for p in encoder.parameters() if p.grad is not None]
        found.append(any(bool(g.any()) for g in grads))
        encoder.zero_grad()
    assert found == [False, True]


# Any text


def test_any_text_in_any_batch(trained):
    docs = some_docs(trained)
    together = outputs(trained, docs)
    alone = [outputs(trained, [doc])[0] for doc in docs]
    assert same_outputs(together, alone, 1e-5)
    assert together[1] == together[2] == ([], [], [])


@pytest.mark.parametrize("overlap", ["flat", "nested", "all"])
def test_the_order_is_that_of_the_document_alone(trained, overlap):
    cfg = trained.get_pipe("filter").cfg
    before = {**cfg}
    cfg.update(overlap=overlap, threshold=0.0, repair=False)
    spans = [(1, 2, label) for label in ("GENE", "", "新", "DISEASE")]
    text = "No p53 was found ."
    first = with_candidates(trained, "No p53 .", (1, 2, "新"), (1, 2, "DISEASE"))
    docs = [first, with_candidates(trained, text, *spans)]
    *_, together = trained.pipe(docs)
    alone = trained(with_candidates(trained, text, *spans[::-1]))
    cfg.update(before)
    assert kept(together) == kept(alone)


def test_candidates_that_are_kept_keep_their_identifiers(trained):
    doc = trained.make_doc("No p53 was found .")
    doc.spans[KEY] = [Span(doc, 1, 2, "GENE", kb_id="HGNC:11998", span_id="a")]
    (span,) = trained(doc).spans["filtered"]
    assert (span.kb_id_, span.id_) == ("HGNC:11998", "a")


def test_candidates_stay_with_their_words_when_tokens_change(trained):
    doc = with_candidates(trained, "Now it is p53 again", (3, 4, "GENE"))
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[0:3])
    assert kept(trained(doc)) == [("p53", "GENE")]


@pytest.mark.parametrize(
    ("text", "span"), [("No p53 .", (1, 1)), (" \n p53", (0, 1)), ("a \n\n b", (1, 2))]
)
def test_an_empty_candidate_is_none(trained, text, span):
    cfg = trained.get_pipe("filter").cfg
    threshold, cfg["threshold"] = cfg["threshold"], 0.0
    doc = trained(with_candidates(trained, text, (*span, "GENE")))
    cfg["threshold"] = threshold
    assert kept(doc) == []


def test_no_documents(trained):
    pipe = trained.get_pipe("filter")
    assert pipe.predict([]) == [] and list(trained.pipe([])) == []
    nothing = Example(Doc(trained.vocab), Doc(trained.vocab))
    assert pipe.update([nothing]) == {"filter": 0.0}


def test_thousands_of_candidates(trained):
    """All spans of up to four tokens of a long text: 4,000 and their variants."""
    doc = trained.make_doc("p53 gene and IL2 " * 250)
    spans = [(i, i + w, "GENE") for i in range(996) for w in range(1, 5)]
    doc.spans[KEY] = [Span(doc, *span) for span in spans]
    begin = time.perf_counter()
    (judged,) = trained.get_pipe("filter").predict([doc])
    assert time.perf_counter() - begin < 20  # a loop over the variants takes minutes
    assert judged.logits.shape == (len(spans), 25)
    alone = trained.make_doc("p53 gene and IL2 " * 250)
    alone.spans[KEY] = [Span(alone, 500, 503, "GENE")]
    (one,) = trained.get_pipe("filter").predict([alone])
    row = spans.index((500, 503, "GENE"))
    assert judged.logits[row] == pytest.approx(one.logits[0], abs=1e-4)


# Coming back


def test_bytes_disk_and_pickle(trained, tmp_path):
    docs = some_docs(trained)
    wanted = outputs(trained, docs)
    trained.to_disk(tmp_path / "model")
    copies = [
        cnn_pipeline().from_bytes(trained.to_bytes()),
        spacy.load(tmp_path / "model"),
        pickle.loads(pickle.dumps(trained)),
    ]
    for nlp in copies:
        assert nlp.get_pipe("filter").cfg == trained.get_pipe("filter").cfg
        assert nlp.get_pipe("filter").labels == ("DISEASE", "GENE")
        assert outputs(nlp, docs) == wanted


def test_training_goes_on_after_loading(trained):
    nlp = cnn_pipeline().from_bytes(trained.to_bytes())
    optimizer, before = nlp.resume_training(), weights(nlp)
    one_step(nlp, examples_of(nlp), optimizer)
    assert not same(before, weights(nlp))


def test_spans_and_scores_survive_a_docbin(trained):
    doc = trained(with_candidates(trained, "No p53 was found .", (0, 2, "GENE")))
    (back,) = DocBin(docs=[doc]).get_docs(trained.vocab)
    assert kept(back) == kept(doc) == [("p53", "GENE")]
    scores = doc.spans["filtered"].attrs["scores"]
    assert np.array_equal(back.spans["filtered"].attrs["scores"], scores)


# Measuring and tuning


def test_scores_and_tuning(trained):
    nlp = cnn_pipeline().from_bytes(trained.to_bytes())
    examples = examples_of(nlp)
    for eg in examples:
        add_candidates(eg, KEY, "gold", simulate=True, seed=1)
    chosen = tune_filter(nlp, "filter", examples)
    cfg = nlp.get_pipe("filter").cfg
    assert 0 < cfg["threshold"] < 1 and cfg["temperature"] > 0
    assert chosen.gold == 11 and chosen.correct.any()
    assert chosen.touching.sum() <= chosen.gold
    scores = nlp.evaluate(examples)
    assert scores["spans_filtered_p"] > 0.8  # some gold has no candidate
    assert scores["spans_filtered_relaxed_f"] >= scores["spans_filtered_f"] > 0.5


def test_what_nobody_annotated_settles_nothing(trained):
    text = "No p53 was found in mice ."
    doc = with_candidates(trained, text, (1, 2, "GENE"), (5, 6, "GENE"))
    reference = annotate(trained, "No [p53|GENE] was found in mice .")
    reference.set_ents(
        list(reference.ents), missing=[reference[5:6]], default="outside"
    )
    chosen = choose_spans(trained, "filter", [Example(doc, reference)])
    assert chosen.correct.tolist() == [True]


def test_errors_say_what_to_do():
    nlp = cnn_pipeline()
    with pytest.raises(BionerError, match=r"B201.*doc.spans\['gold'\]"):
        nlp.initialize(lambda: [unannotated(nlp)])
    nlp = cnn_pipeline()
    nothing = Example(nlp.make_doc(""), nlp.make_doc(""))
    nlp.config["initialize"]["components"]["filter"] = {"labels": ["X"]}
    with pytest.raises(BionerError, match="B802"):
        nlp.initialize(lambda: [nothing])
    for settings in ({"overlap": "some"}, {"ents_policy": "maybe"}):
        with pytest.raises(BionerError, match="B202"):
            cnn_pipeline(**settings)
