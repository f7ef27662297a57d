"""`gerbera_ner` in training: who learns from what, and where it begins."""

import warnings

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc, Span
from spacy.training import Example
from thinc.api import Adam
from toy import (
    LABELS,
    SENTENCES,
    TAGGER,
    TOK2VEC,
    annotate,
    cnn_pipeline,
    entities,
    example,
    step,
    toy_examples,
    train,
    transformer_pipeline,
)

from spacy_bioner.errors import BionerError
from spacy_bioner.layers.heads import head_params
from spacy_bioner.tags import UNKNOWN
from spacy_bioner.task import get_task, set_task
from spacy_bioner.training.gold import gold_tags


def gradients(nlp) -> dict[str, np.ndarray]:
    """The heads' gradients, zero where there is none, by parameter."""
    heads = nlp.get_pipe("ner").model.get_ref("heads")
    params = [p for head in heads.attrs["heads"] for p in head_params(head)]
    found = {}
    for param in params:
        grad = heads.get_grad(param) if heads.has_grad(param) else None
        zero = np.zeros_like(heads.get_param(param))
        found[param] = zero if grad is None else grad.copy()
        if grad is not None:
            heads.set_grad(param, zero)
    return found


def weights(nlp) -> dict[str, np.ndarray]:
    heads = nlp.get_pipe("ner").model.get_ref("heads")
    params = [p for head in heads.attrs["heads"] for p in head_params(head)]
    return {param: heads.get_param(param).copy() for param in params}


def changed(before, after) -> set[str]:
    """The heads whose weights differ."""
    return {k.split(":")[0] for k in before if not np.array_equal(before[k], after[k])}


@pytest.mark.parametrize("backbone", ["cnn", "transformer"])
def test_two_tasks_are_learnt_from_the_same_sentences(backbone, tiny_encoder):
    nlp = cnn_pipeline() if backbone == "cnn" else transformer_pipeline(tiny_encoder)
    examples = toy_examples(nlp)
    losses = train(nlp, examples, 50, 0.01 if backbone == "cnn" else 0.003)
    assert losses[-1] < 0.1 * losses[0]
    scores = nlp.evaluate(examples)
    assert scores["ents_f"] == scores["heads_f"] == 1.0
    assert {k: v["f"] for k, v in scores["heads_per_task"].items()} == {
        "diseases": 1.0,
        "genes": 1.0,
    }
    doc = nlp(examples[0].text)  # no task: both heads
    assert entities(doc) == [("severe asthma", "DISEASE"), ("IL2", "GENE")]
    assert [s.label_ for s in doc.spans["gerbera"]] == ["DISEASE", "GENE"]
    assert doc.spans["gerbera"].attrs["heads"] == ["diseases", "genes"]


def test_gradient_of_a_mixed_batch_is_that_of_its_examples_alone(untrained):
    nlp = untrained
    examples = toy_examples(nlp)[:2]  # one of each task
    nlp.update(examples, sgd=False)
    mixed = gradients(nlp)
    share = {e.predicted._.bioner_task: 0.5 for e in examples}
    for one in examples:
        nlp.update([one], sgd=False)
        task = get_task(one.predicted)
        for param, alone in gradients(nlp).items():
            if param.startswith(task):
                assert alone.any()
                assert np.allclose(mixed[param], share[task] * alone, atol=1e-6)
            else:
                assert not alone.any()


def test_a_document_of_another_task_is_left_as_it_is(trained):
    text = "Asthma and psoriasis respond to steroids ."
    assert entities(trained(text))
    doc = trained.make_doc(text)
    doc.set_ents([Span(doc, 5, 6, "DRUG")])
    set_task(doc, "sports")  # of which nothing was said yet
    with pytest.warns(UserWarning, match="B307.*sports.*diseases"):
        trained(doc)
    assert entities(doc) == [("steroids", "DRUG")]
    assert len(doc.spans["gerbera"]) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained(doc)  # once is enough


def test_two_components_learn_from_documents_without_a_task():
    """Each by its own default head: none of them marks the documents."""
    nlp = cnn_pipeline(default_head="mine")
    model = {**TAGGER, "tok2vec": TOK2VEC}
    config = {"model": model, "default_head": "yours", "spans_key": "yours"}
    nlp.add_pipe("gerbera_ner", name="second", config=config)
    marked = "[Asthma|DISEASE] and [psoriasis|DISEASE]"
    examples = [example(nlp, annotate(nlp, marked))]
    optimizer = nlp.initialize(lambda: examples)
    losses = step(nlp, examples, optimizer)
    assert losses["ner"] > 0 and losses["second"] > 0
    assert get_task(examples[0].predicted) is None


def test_initialize_begins_anew():
    """As in cross-validation: a fold knows nothing of the one before."""
    nlp = cnn_pipeline()
    train(nlp, toy_examples(nlp), 3)
    before = weights(nlp)
    marked = "No [p53|PROTEIN] in [asthma|DISEASE]"
    more = example(nlp, annotate(nlp, marked, task="genes"), "genes")
    nlp.initialize(lambda: [*toy_examples(nlp), more])
    assert nlp.get_pipe("ner").heads["genes"] == ["GENE", "DISEASE", "PROTEIN"]
    after = weights(nlp)
    assert after["genes:W2"].shape[0] == 7
    assert not np.array_equal(before["diseases:W1"], after["diseases:W1"])


def test_foreign_and_unannotated_documents_give_exactly_no_gradient(untrained):
    nlp = untrained
    foreign = example(nlp, annotate(nlp, SENTENCES[0]), "stranger")
    bare = Example(nlp.make_doc("IL2 and asthma"), nlp.make_doc("IL2 and asthma"))
    set_task(bare.predicted, "genes")
    losses = nlp.update([foreign, bare], sgd=False)
    assert losses["ner"] == 0.0
    assert not any(grad.any() for grad in gradients(nlp).values())
    known = toy_examples(nlp)[0]
    nlp.update([known], sgd=False)
    alone = gradients(nlp)
    nlp.update([foreign, known, bare], sgd=False)
    for param, grad in gradients(nlp).items():
        assert np.allclose(grad, alone[param], atol=1e-7)


def test_encoder_gradient_ignores_foreign_documents(untrained):
    """Batch-mates without supervision change nothing in the encoder either."""
    nlp = untrained
    known = toy_examples(nlp)[0]
    foreign = example(nlp, annotate(nlp, SENTENCES[1]), "stranger")
    ner = nlp.get_pipe("ner")
    found = []
    for batch in ([known], [known, foreign]):
        nlp.update(batch, sgd=False)
        gradients(nlp)
        grads = {}
        for i, node in enumerate(ner.model.get_ref("tok2vec").walk()):
            for param in node.param_names:
                if node.has_grad(param):
                    grads[i, param] = node.get_grad(param).copy()
                    node.set_grad(param, node.get_grad(param) * 0)
        found.append(grads)
    assert found[0] and found[0].keys() == found[1].keys()
    for key, grad in found[0].items():
        assert np.allclose(grad, found[1][key], atol=1e-6)


def test_only_heads_that_saw_an_example_are_stepped(untrained):
    nlp, optimizer = untrained, Adam(0.01)
    diseases, genes = toy_examples(nlp)[:2]
    step(nlp, [diseases, genes], optimizer)  # both have momentum now
    bare = Example(nlp.make_doc("IL2"), nlp.make_doc("IL2"))
    empty = Example(nlp.make_doc(""), nlp.make_doc(""))
    set_task(bare.predicted, "genes")
    set_task(empty.predicted, "genes")
    before = weights(nlp)
    step(nlp, [diseases, bare, empty], optimizer)
    assert changed(before, weights(nlp)) == {"diseases"}
    before = weights(nlp)
    step(nlp, [bare, empty], optimizer)
    assert changed(before, weights(nlp)) == set()
    step(nlp, [genes], optimizer)
    assert changed(before, weights(nlp)) == {"genes"}


def test_an_empty_document_can_be_the_first_of_its_task(untrained):
    empty = example(untrained, annotate(untrained, ""), "genes")
    other = toy_examples(untrained)[0]
    before = weights(untrained)
    step(untrained, [other, empty], Adam(0.01))
    assert changed(before, weights(untrained)) == {"diseases"}
    assert step(untrained, [empty], Adam(0.01)) == {"ner": 0.0}


def test_unmarked_documents_count_for_the_default_head():
    nlp = cnn_pipeline(default_head="genes")
    examples = toy_examples(nlp)
    nlp.initialize(lambda: examples)
    plain = example(nlp, annotate(nlp, SENTENCES[0], ["GENE"]))
    before = weights(nlp)
    step(nlp, [plain, examples[0]], Adam(0.01))  # beside a marked one
    assert changed(before, weights(nlp)) == {"genes", "diseases"}


def test_reference_routes_where_predicted_does_not_say_even_to_a_general_head():
    """spaCy's own reader marks nothing; the corpus file may."""
    nlp = cnn_pipeline(general=["genes"])
    examples = toy_examples(nlp)
    nlp.initialize(lambda: examples)
    plain = example(nlp, annotate(nlp, SENTENCES[0], ["GENE"], "genes"))
    before = weights(nlp)
    step(nlp, [plain], Adam(0.01))
    assert changed(before, weights(nlp)) == {"genes"}


def test_predicted_decides_where_both_say(untrained):
    both = example(untrained, annotate(untrained, SENTENCES[0], None, "genes"))
    set_task(both.predicted, "diseases")
    before = weights(untrained)
    step(untrained, [both], Adam(0.01))
    assert changed(before, weights(untrained)) == {"diseases"}


# A shared transformer


def with_second_listener(encoder):
    """A spaCy tagger that listens to the same transformer, before our component."""
    nlp = transformer_pipeline(encoder)
    tok2vec = {"@architectures": "spacy-transformers.TransformerListener.v1"}
    tok2vec |= {"grad_factor": 1.0, "pooling": {"@layers": "reduce_mean.v1"}}
    model = {"@architectures": "spacy.Tagger.v2", "tok2vec": tok2vec}
    nlp.add_pipe("tagger", config={"model": model}, after="transformer")
    examples = toy_examples(nlp)
    for eg in examples:
        for i, token in enumerate(eg.reference):
            token.tag_ = "AB"[i % 2]
    optimizer = nlp.initialize(lambda: examples)
    step(nlp, examples, optimizer)  # a tagger that is all zeros asks for nothing
    return nlp, examples


def encoder_gradient(nlp, batch, exclude=()) -> np.ndarray:
    """The whole gradient of the shared transformer after one update, then cleared."""
    hf = nlp.get_pipe("transformer").model.transformer
    nlp.update(batch, sgd=False, exclude=exclude)
    grads = [p.grad for p in hf.parameters() if p.grad is not None]
    flat = np.concatenate([grad.numpy().ravel() for grad in grads])
    hf.zero_grad()
    return flat


def test_other_listeners_learn_from_a_batch_without_any_of_our_documents(tiny_encoder):
    """The last listener carries everybody's gradient: it may never stay silent."""
    nlp, examples = with_second_listener(tiny_encoder)
    assert nlp.get_pipe("transformer").listening_components == ["tagger", "ner"]
    for eg in examples:
        set_task(eg.predicted, "stranger")
    both = encoder_gradient(nlp, examples)
    assert np.abs(both).sum() > 0
    alone = spacy.util.load_model_from_config(nlp.config).from_bytes(nlp.to_bytes())
    alone.remove_pipe("ner")
    expected = encoder_gradient(alone, examples)
    assert np.allclose(both, expected, atol=1e-5 * np.abs(expected).max())


def test_gradients_of_two_listeners_add_up_beside_an_empty_document(tiny_encoder):
    nlp, examples = with_second_listener(tiny_encoder)
    empty = example(nlp, annotate(nlp, ""), "genes")
    full = encoder_gradient(nlp, examples)
    beside = encoder_gradient(nlp, [empty, *examples])
    assert np.abs(full).sum() > 0
    assert np.allclose(full, beside, atol=1e-5 * np.abs(full).max())


# Gold tags


def gold(nlp, predicted_words, reference_words, ents, missing=()):
    predicted, reference = (
        Doc(nlp.vocab, words=words, spaces=[False] * len(words))
        for words in (predicted_words, reference_words)
    )
    reference.set_ents(
        [Span(reference, *ent, label="GENE") for ent in ents],
        missing=[reference[i : i + 1] for i in missing],
    )
    example = Example(predicted, reference)
    return gold_tags(example, ["GENE"]).tolist()


def test_gold_border_inside_a_predicted_token_is_unknown(untrained):
    words = ["anti", "TNF", "acts"]
    assert gold(untrained, ["antiTNF", "acts"], words, [(1, 2)]) == [UNKNOWN, 0]
    assert gold(untrained, words, words, [(1, 2)]) == [0, 1, 0]
    assert gold(untrained, ["anti", "T", "NF", "acts"], words, [(1, 2)]) == [0, 1, 2, 0]
    assert gold(untrained, ["antiTNF", "acts"], words, [(0, 2)]) == [1, 0]
    shifted = ["an", "tiT", "NF", "acts"]
    assert gold(untrained, shifted, words, [(1, 2)]) == [0, UNKNOWN, UNKNOWN, 0]


def test_gold_tokens_without_annotation_are_unknown(untrained):
    words = ["p53", "and", "TNF", "act"]
    assert gold(untrained, words, words, [(0, 1)], missing=[2]) == [1, 0, UNKNOWN, 0]
    merged = ["p53", "and", "TNFact"]
    assert gold(untrained, merged, words, [(0, 1)], missing=[2]) == [1, 0, UNKNOWN]
    assert gold(untrained, words, words, []) == [0, 0, 0, 0]


# Initialization


def test_initialize_finds_heads_and_labels(untrained):
    ner = untrained.get_pipe("ner")
    assert ner.heads == ner.label_data == LABELS
    assert ner.labels == ("DISEASE", "GENE")
    assert ner.model.get_ref("heads").attrs["heads"] == ["diseases", "genes"]


def test_initialize_with_labels_does_not_search_the_data():
    nlp = cnn_pipeline()
    labels = {"z": ["B", "A"], "a": ["C"]}
    nlp.config["initialize"]["components"]["ner"] = {"labels": labels}
    nlp.initialize(lambda: toy_examples(nlp))
    ner = nlp.get_pipe("ner")
    assert ner.heads == labels and list(ner.heads) == ["z", "a"]
    again = cnn_pipeline()
    again.initialize(lambda: toy_examples(again))
    reloaded = cnn_pipeline().from_bytes(nlp.to_bytes()).get_pipe("ner")
    assert list(reloaded.heads) == ["z", "a"]  # the order decides who owns a label


def test_general_heads_learn_but_are_neither_run_nor_offered():
    nlp = cnn_pipeline(general=["genes"])
    train(nlp, toy_examples(nlp), 30)
    assert nlp.get_pipe("ner").labels == ("DISEASE",)
    group = nlp("No p53 and no asthma").spans["gerbera"]
    assert list(group.attrs["heads"]) in ([], ["diseases"])
    doc = nlp.make_doc(SENTENCES[2].replace("[", "").replace("|GENE]", ""))
    set_task(doc, "genes")
    assert entities(nlp(doc)) == [("p53", "GENE")]


def test_warm_start_copies_heads_of_the_same_task_and_labels(trained, tmp_path):
    trained.to_disk(tmp_path)
    nlp = cnn_pipeline()
    examples = [eg for eg in toy_examples(nlp) if get_task(eg.predicted) == "genes"]
    nlp.config["initialize"]["components"]["ner"] = {"warm_start": str(tmp_path)}
    nlp.initialize(lambda: examples)
    assert nlp.get_pipe("ner").heads == {"genes": ["GENE"]}
    theirs = weights(trained)
    assert all(np.array_equal(v, theirs[k]) for k, v in weights(nlp).items())
    before = weights(trained)
    step(nlp, examples, Adam(0.01))
    assert changed(before, weights(trained)) == set()


def test_warm_start_from_nothing_in_common_is_an_error(trained, tmp_path):
    trained.to_disk(tmp_path)
    nlp = cnn_pipeline()
    settings = {"warm_start": str(tmp_path), "labels": {"genes": ["OTHER"]}}
    nlp.config["initialize"]["components"]["ner"] = settings
    with pytest.raises(BionerError, match="B304"):
        nlp.initialize(lambda: toy_examples(nlp))


def test_add_label_contract():
    ner = cnn_pipeline().get_pipe("ner")
    assert ner.add_label("X") == 1
    assert ner.add_label("X") == 0
    assert ner.add_label("X", head="other") == 1
    assert ner.heads == {"default": ["X"], "other": ["X"]}


def test_errors(untrained):
    nlp = cnn_pipeline()
    with pytest.raises(BionerError, match="B301.*no entity labels"):
        nlp.initialize(lambda: [example(nlp, annotate(nlp, "nothing here"))])
    with pytest.raises(BionerError, match="B303.*sometimes"):
        cnn_pipeline(ents_policy="sometimes")
    with pytest.raises(BionerError, match="B305.*MORE"):
        untrained.get_pipe("ner").add_label("MORE", head="genes")
    with pytest.raises(BionerError, match="B305.*MORE"):
        untrained.get_pipe("ner").add_label("MORE", head="new")
    assert "new" not in untrained.get_pipe("ner").heads
    assert untrained.get_pipe("ner").add_label("GENE", head="genes") == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"owners": {"GENE": "diseases"}},
        {"owners": {"GENE": "genes+nobody"}},
        {"owners": {"GENE": "genes"}, "general": ["genes"]},
    ],
)
def test_an_owner_must_know_its_label_and_be_run(settings):
    nlp = cnn_pipeline(**settings)
    with pytest.raises(BionerError, match="B302.*GENE"):
        nlp.initialize(lambda: toy_examples(nlp))


def test_training_goes_on_after_a_round_trip(trained, tmp_path):
    trained.to_disk(tmp_path)
    nlp = spacy.load(tmp_path)
    examples = toy_examples(nlp)
    before = weights(nlp)
    step(nlp, examples, nlp.resume_training())
    assert changed(before, weights(nlp)) == {"diseases", "genes"}
    assert nlp.evaluate(examples)["ents_f"] > 0.9
