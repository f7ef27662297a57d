"""The component: nested spans are learnt, what is not annotated teaches nothing, and
everything comes back from disk."""

import pickle

import numpy as np
import pytest
import spacy
from spacy.pipeline.spancat import SpanCategorizer, build_ngram_range_suggester
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from thinc.api import fix_random_seed
from toy import TOK2VEC, annotate, example, transformer_pipeline
from toy import step as one_step

from spacy_bioner.errors import BionerError
from spacy_bioner.task import set_task

# An entity inside an entity, and inside that another; 基因 is Chinese for gene.
SENTENCES = [
    "The <DNA <PROTEIN IL2> promoter> binds <PROTEIN NFAT> .",
    "No <DNA <PROTEIN p53> gene> was found in <CELL human <CELL T cells>> .",
    "<DNA <PROTEIN <PROTEIN p53> kinase> gene>",
    "In <CELL T cells> the <PROTEIN IL2 receptor> was absent .",
    "<DNA <PROTEIN 胰岛素> 基因> 突变",
    "Nothing is here .",
]
TEXTS = [
    "The IL2 promoter binds NFAT .",
    "",
    "p53",
    " \n\t ",
    "β-Thalassämie 👩‍🔬 ①②③ naïve 中文 \u2028 x",
    "x" * 600,
    "p53 gene and IL2 . " * 60,
]
MODEL = {"@architectures": "spacy-bioner.SpanScorer.v1", "hidden": 24, "max_width": 4}


def nested(nlp, marked: str, key: str = "sc") -> Doc:
    """A document from `words <LABEL words <LABEL words>>`."""
    words: list[str] = []
    found, opened = [], []
    for piece in marked.replace(">", " > ").split():
        if piece.startswith("<"):
            opened.append((len(words), piece[1:]))
        elif piece == ">":
            start, label = opened.pop()
            found.append((start, len(words), label))
        else:
            words.append(piece)
    doc = Doc(nlp.vocab, words)
    doc.spans[key] = [Span(doc, *span) for span in found]
    return doc


def toy_examples(nlp, sentences=SENTENCES, key: str = "sc") -> list[Example]:
    references = [nested(nlp, sentence, key) for sentence in sentences]
    return [Example(Doc(nlp.vocab, [t.text for t in r]), r) for r in references]


def cnn_pipeline(**settings):
    nlp = spacy.blank("en")
    config = {"model": {**MODEL, "tok2vec": TOK2VEC}, **settings}
    nlp.add_pipe("nested_spancat", name="spancat", config=config)
    return nlp


def train(nlp, examples, steps, rate=0.01):
    """RETURNS (list[float]): The loss at each step."""
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = rate
    return [one_step(nlp, examples, optimizer)["spancat"] for _ in range(steps)]


def spans(doc, key="sc"):
    return [(span.text, span.label_) for span in doc.spans[key]]


def outputs(nlp, texts=TEXTS):
    """Everything that the component writes, in comparable form."""
    docs = list(nlp.pipe(texts))
    return [(spans(doc), doc.spans["sc"].attrs["scores"].tolist()) for doc in docs]


def weights(nlp):
    nodes = list(nlp.get_pipe("spancat").model.walk())
    return [node.get_param(name).copy() for node in nodes for name in node.param_names]


def same(before, after):
    return all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.fixture(scope="module")
def trained():
    fix_random_seed(0)
    nlp = cnn_pipeline()
    train(nlp, toy_examples(nlp), 60)
    return nlp


@pytest.fixture
def untrained():
    nlp = cnn_pipeline()
    nlp.initialize(lambda: toy_examples(nlp))
    return nlp


# Learning


def test_nested_spans_are_learnt(trained):
    examples = toy_examples(trained)
    scores = trained.evaluate(examples)
    assert scores["spans_sc_f"] == 1.0
    assert set(scores["spans_sc_per_type"]) == {"CELL", "DNA", "PROTEIN"}
    doc = trained("No p53 gene was found in human T cells .")
    assert spans(doc) == [
        ("p53 gene", "DNA"),
        ("p53", "PROTEIN"),
        ("human T cells", "CELL"),
        ("T cells", "CELL"),
    ]
    found = doc.spans["sc"].attrs["scores"]
    assert found.dtype == np.float32 and len(found) == 4
    assert ((found > 0.5) & (found <= 1)).all()
    assert ("胰岛素 基因", "DNA") in spans(trained("胰岛素 基因 突变"))


@pytest.mark.parametrize("settings", [{"focus": 2.0}, {"negative_weight": 0.5}])
def test_other_losses_learn_as_well(settings):
    nlp = cnn_pipeline(**settings)
    losses = train(nlp, toy_examples(nlp), 80)
    assert losses[-1] < 0.2 * losses[0]
    assert nlp.evaluate(toy_examples(nlp))["spans_sc_f"] == 1.0


def test_a_spancat_user_can_swap_it_in():
    """The same factory settings and reference spans as for spaCy's `spancat`."""
    nlp = cnn_pipeline(
        spans_key="bio",
        threshold=0.4,
        max_positive=1,
        suggester={
            "@misc": "spacy.ngram_range_suggester.v1",
            "min_size": 1,
            "max_size": 2,
        },
    )
    assert isinstance(nlp.get_pipe("spancat"), SpanCategorizer)
    train(nlp, toy_examples(nlp, key="bio"), 60)
    doc = nlp("No p53 gene was found in human T cells .")
    assert ("human T cells", "CELL") not in spans(doc, "bio")  # not suggested
    assert {("p53 gene", "DNA"), ("p53", "PROTEIN")} <= set(spans(doc, "bio"))
    scores = nlp.evaluate(toy_examples(nlp, key="bio"))
    assert scores["spans_bio_p"] == 1.0 > scores["spans_bio_r"]


def test_suggested_spans_that_are_too_wide_are_left_out(untrained):
    spancat = untrained.get_pipe("spancat")
    docs = [Doc(untrained.vocab, ["w"] * n) for n in (0, 6, 2)]
    spancat.set_candidates(docs)
    assert [len(doc.spans["candidates"]) for doc in docs] == [0, 18, 3]
    spancat.suggester = build_ngram_range_suggester(2, 6)
    assert spancat.candidates([]) == []
    assert [mask.sum() for mask in spancat.candidates(docs)] == [0, 12, 1]
    spancat.suggester = build_ngram_range_suggester(7, 8)
    assert [mask.sum() for mask in spancat.candidates(docs)] == [0, 0, 0]


def test_a_batch_without_candidates_still_goes_back(untrained):
    """spaCy's `spancat` returns early, which loses the gradient of other listeners."""
    spancat = untrained.get_pipe("spancat")
    spancat.suggester = build_ngram_range_suggester(100, 100)
    called, tok2vec = [], spancat.model.get_ref("tok2vec")
    forward = tok2vec._func

    def watched(model, docs, is_train):
        Y, backprop = forward(model, docs, is_train)
        return Y, lambda dY: called.append(any(d.any() for d in dY)) or backprop(dY)

    tok2vec._func = watched
    assert untrained.update(toy_examples(untrained), sgd=False)["spancat"] == 0.0
    assert called == [False]


# What teaches, and what does not


def gradient_of(nlp, examples):
    spancat = nlp.get_pipe("spancat")
    tables = spancat.predict([eg.predicted for eg in examples])
    return spancat.get_loss(examples, tables)


def test_what_is_not_annotated_gives_exactly_no_gradient(untrained):
    one, other = toy_examples(untrained)[:2]
    del other.reference.spans["sc"]
    loss, (d_one, d_other) = gradient_of(untrained, [one, other])
    assert loss > 0 and np.abs(d_one).sum() > 0
    assert not d_other.any() and d_other.shape == (len(other.predicted), 4, 3)
    alone, (d_alone,) = gradient_of(untrained, [one])
    assert alone == pytest.approx(loss)
    assert d_alone == pytest.approx(d_one, abs=1e-7)


def test_an_empty_group_is_an_annotation(untrained):
    (nothing,) = toy_examples(untrained, ["Nothing is here ."])
    assert gradient_of(untrained, [nothing])[1][0].any()


def test_a_batch_that_teaches_nothing_moves_no_weight(untrained):
    examples = toy_examples(untrained)
    optimizer = untrained.create_optimizer()
    one_step(untrained, examples, optimizer)  # momentum
    before = weights(untrained)
    for eg in examples:
        del eg.reference.spans["sc"]
    assert one_step(untrained, examples, optimizer)["spancat"] == 0.0
    assert same(before, weights(untrained))


def test_only_documents_of_its_task_teach():
    nlp = cnn_pipeline(task="genia")
    examples = toy_examples(nlp)
    for eg, task in zip(examples, ["genia", "other", None], strict=False):
        set_task(eg.predicted, task)
    nlp.initialize(lambda: examples)
    gradients = gradient_of(nlp, examples[:3])[1]
    assert [bool(d.any()) for d in gradients] == [True, False, True]
    set_task(examples[2].reference, "other")  # where the predicted says nothing
    assert not gradient_of(nlp, examples[2:3])[1][0].any()
    cfg = {**nlp.get_pipe("spancat").cfg}
    examples[1].predicted.spans["sc"] = []
    counted = nlp.get_pipe("spancat").scorer(examples[1:3], **cfg)
    assert counted["spans_sc_f"] is None


def test_gold_that_does_not_align_is_not_taught_and_counts_as_missed(untrained):
    reference = Doc(
        untrained.vocab, ["anti", "TNF", "acts"], spaces=[False, True, False]
    )
    reference.spans["sc"] = [Span(reference, 1, 2, "PROTEIN")]
    predicted = Doc(untrained.vocab, ["antiTNF", "acts"])
    eg = Example(predicted, reference)
    spancat = untrained.get_pipe("spancat")
    gold, known = spancat.gold_table(eg, *spancat.candidates([predicted]))
    protein = spancat.labels.index("PROTEIN")
    assert not gold.any() and not known[0, 0, protein]
    assert known.sum() == 3 * 3 - 1
    predicted.spans["sc"] = [Span(predicted, 0, 1, "PROTEIN")]
    scores = spancat.score([eg])
    assert scores["spans_sc_p"] == scores["spans_sc_r"] == 0.0


def test_spans_that_end_with_the_text_are_candidates_and_wider_ones_are_not(untrained):
    marked = "<DNA a b c> d <PROTEIN e <CELL f>>", "<DNA a b c d e>"
    spancat = untrained.get_pipe("spancat")
    found = []
    for eg in toy_examples(untrained, marked):
        gold, _ = spancat.gold_table(eg, *spancat.candidates([eg.predicted]))
        found.append(np.argwhere(gold).tolist())
    assert found == [[[0, 2, 1], [4, 1, 2], [5, 0, 0]], []]


def test_sentences_bound_the_candidates_where_asked():
    nlp = cnn_pipeline(in_sentences=True)
    doc = Doc(nlp.vocab, ["a", "b", "c"], sent_starts=[True, False, True])
    nlp.initialize(lambda: toy_examples(nlp))
    nlp.get_pipe("spancat").cfg["threshold"] = 0.0
    doc = nlp.get_pipe("spancat")(doc)
    assert {span.text for span in doc.spans["sc"]} == {"a", "b", "c", "a b"}


def shared_pipeline(encoder, **settings):
    """A transformer, a gerbera_ner and a nested_spancat that listen to it."""
    nlp = transformer_pipeline(encoder, **settings)
    config = {"model": {"hidden": 24, "max_width": 4}}
    nlp.add_pipe("nested_spancat", name="spancat", config=config)
    return nlp


def shared_examples(nlp, ner: bool, spancat: bool):
    reference = annotate(nlp, "[p53|GENE] gene is mutated", task="genes")
    if spancat:
        reference.spans["sc"] = [Span(reference, 0, 2, "DNA")]
    eg = example(nlp, reference, "genes" if ner else "another")
    return [eg]


def encoder_gradient(nlp, examples):
    """What one batch sends to the encoder."""
    nlp.update(examples, sgd=False)
    hf_model = nlp.get_pipe("transformer").model.transformer
    grads = [p.grad for p in hf_model.parameters() if p.grad is not None]
    flat = np.concatenate([g.detach().numpy().ravel() for g in grads] or [np.zeros(1)])
    hf_model.zero_grad()
    return flat


def test_gradients_of_both_components_reach_the_shared_encoder(tiny_encoder):
    nlp = shared_pipeline(tiny_encoder)
    both = shared_examples(nlp, ner=True, spancat=True)
    nlp.initialize(lambda: both)
    assert nlp.get_pipe("transformer").listening_components == ["ner", "spancat"]
    parts = {
        key: encoder_gradient(nlp, shared_examples(nlp, *key))
        for key in [(True, True), (True, False), (False, True), (False, False)]
    }
    assert np.abs(parts[True, False]).max() > 1e-6
    assert np.abs(parts[False, True]).max() > 1e-6
    assert not parts[False, False].any()
    together = parts[True, False] + parts[False, True]
    assert parts[True, True] == pytest.approx(together, abs=1e-5)


def test_both_components_learn_together(tiny_encoder):
    nlp = shared_pipeline(tiny_encoder)
    examples = shared_examples(nlp, ner=True, spancat=True)
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.003
    for _ in range(30):
        losses = one_step(nlp, examples, optimizer)
    assert losses["ner"] < 0.1 and losses["spancat"] < 0.1
    doc = nlp("p53 gene is mutated")
    assert [ent.text for ent in doc.ents] == ["p53"]
    assert spans(doc) == [("p53 gene", "DNA")]


def test_it_learns_on_a_frozen_encoder(tiny_encoder):
    """One after the other: the encoder and the flat component stay as they are."""
    nlp = shared_pipeline(tiny_encoder)
    examples = shared_examples(nlp, ner=True, spancat=True)
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.01
    encoder = nlp.get_pipe("transformer").model.transformer
    before = [p.detach().numpy().copy() for p in encoder.parameters()]
    ner = nlp.get_pipe("ner").model.to_bytes()
    frozen = {"exclude": ["transformer", "ner"], "annotates": ["transformer"]}
    for _ in range(30):
        nlp.update(examples, sgd=optimizer, **frozen)
    assert spans(nlp("p53 gene is mutated")) == [("p53 gene", "DNA")]
    assert same(before, [p.detach().numpy() for p in encoder.parameters()])
    assert ner == nlp.get_pipe("ner").model.to_bytes()


def test_empty_documents_in_a_shared_batch(tiny_encoder):
    nlp = shared_pipeline(tiny_encoder)
    examples = shared_examples(nlp, ner=True, spancat=True)
    nothing = Example(nlp.make_doc(""), nlp.make_doc(""))
    optimizer = nlp.initialize(lambda: [nothing, *examples])
    one_step(nlp, [nothing, *examples, nothing], optimizer)
    one_step(nlp, [nothing], optimizer)
    assert [len(doc.spans["sc"]) for doc in nlp.pipe(["", "p53", ""])][::2] == [0, 0]


# Any text


def test_any_text_in_any_batch(trained):
    one = outputs(trained)
    trained.batch_size = 1
    alone = outputs(trained)
    trained.batch_size = 1000
    for (found, scores), (same_found, same_scores) in zip(one, alone, strict=True):
        assert found == same_found
        assert scores == pytest.approx(same_scores, abs=1e-5)
    assert one[1] == ([], []) and one[3] == ([], [])
    assert one[6][0].count(("p53 gene", "DNA")) == 60


def test_a_sentence_of_3000_tokens(trained):
    text = "p53 gene and IL2 " * 750
    doc = trained(text)
    assert len(doc) == 3000
    assert spans(doc)[:2] == [("p53 gene", "DNA"), ("p53", "PROTEIN")]
    assert len(doc.spans["sc"]) >= 2 * 750
    eg = Example(trained.make_doc(text), doc)
    assert gradient_of(trained, [eg])[1][0].shape == (3000, 4, 3)


def test_no_documents(trained):
    spancat = trained.get_pipe("spancat")
    assert spancat.predict([]) == [] and list(trained.pipe([])) == []
    doc = Doc(trained.vocab)
    assert spancat(doc).spans["sc"].attrs["scores"].shape == (0,)
    nothing = Example(Doc(trained.vocab), Doc(trained.vocab))
    assert spancat.update([nothing]) == {"spancat": 0.0}


def test_thresholds_of_labels_stand_before_the_common_one(trained):
    nlp = cnn_pipeline().from_bytes(trained.to_bytes())
    nlp.get_pipe("spancat").cfg["thresholds"] = {"PROTEIN": 1.1}
    found = {label for _, label in spans(nlp("No p53 gene was found ."))}
    assert found == {"DNA"}


# Coming back


def test_bytes_disk_and_pickle(trained, tmp_path):
    cfg = trained.get_pipe("spancat").cfg
    cfg.update(thresholds={"DNA": 0.4}, temperature=1.3)
    wanted = outputs(trained)
    trained.to_disk(tmp_path / "model")
    copies = [
        cnn_pipeline().from_bytes(trained.to_bytes()),
        spacy.load(tmp_path / "model"),
        pickle.loads(pickle.dumps(trained)),
    ]
    for nlp in copies:
        assert nlp.get_pipe("spancat").cfg == cfg
        assert outputs(nlp) == wanted
    cfg.update(thresholds={}, temperature=1.0)


def test_training_goes_on_after_loading(trained, tmp_path):
    trained.to_disk(tmp_path / "model")
    nlp = spacy.load(tmp_path / "model")
    optimizer, before = nlp.resume_training(), weights(nlp)
    one_step(nlp, toy_examples(nlp), optimizer)
    assert not same(before, weights(nlp))
    with pytest.raises(ValueError, match="E922"):
        nlp.get_pipe("spancat").add_label("NEW")


def test_spans_and_scores_survive_a_docbin(trained):
    doc = trained(TEXTS[0])
    (back,) = DocBin(docs=[doc]).get_docs(trained.vocab)
    assert spans(back) == spans(doc)
    scores = doc.spans["sc"].attrs["scores"]
    assert np.array_equal(back.spans["sc"].attrs["scores"], scores)


# Settings


def test_labels_from_the_data_or_given():
    nlp = cnn_pipeline()
    nlp.initialize(lambda: toy_examples(nlp))
    spancat = nlp.get_pipe("spancat")
    assert spancat.labels == ("CELL", "DNA", "PROTEIN")
    other = cnn_pipeline()
    other.config["initialize"]["components"]["spancat"] = {
        "labels": spancat.label_data[::-1]
    }
    other.initialize(lambda: toy_examples(other))
    assert other.get_pipe("spancat").labels == ("PROTEIN", "DNA", "CELL")


def test_errors_say_what_to_do():
    nlp = cnn_pipeline()
    unmarked = Example(nlp.make_doc("a"), nlp.make_doc("a"))
    with pytest.raises(BionerError, match=r"B801.*doc.spans\['sc'\]"):
        nlp.initialize(lambda: [unmarked])
    nlp = cnn_pipeline()
    nothing = Example(nlp.make_doc(""), nlp.make_doc(""))
    nlp.config["initialize"]["components"]["spancat"] = {"labels": ["X"]}
    with pytest.raises(BionerError, match="B802"):
        nlp.initialize(lambda: [nothing])


def test_factory_settings_are_those_of_the_config():
    meta = spacy.blank("en").get_factory_meta("nested_spancat")
    assert meta.default_score_weights["spans_sc_f"] == 1.0
    assert meta.default_config["spans_key"] == "sc"
