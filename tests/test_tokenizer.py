"""The tokenizer: where it cuts, that it loses nothing, that it is plain data."""

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokenizer import Tokenizer
from spacy.vocab import Vocab

from spacy_bioner.tokenizer import create_bioner_tokenizer, make_tokenizer

TOKENIZER = make_tokenizer(Vocab())
SCRAPS = st.sampled_from(
    ["IL-2", "p53", "+/-", "...", "e.g.", "0.05", "'s", "http://a.b/c", "[", "^"]
    + ["β", "e\u0301", "👩\u200d🔬", " ", "\n", "\u2028", "\u0301", "1,3", "."]
)
TEXT = st.one_of(st.text(max_size=60), st.lists(SCRAPS, max_size=20).map("".join))


def words(text: str) -> list[str]:
    return [token.text for token in TOKENIZER(text)]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("IL-2-mediated", "IL - 2 - mediated"),
        ("p53-/-", "p53 - / -"),
        ("p53+/-", "p53 +/-"),
        ("CD4+CD25+", "CD4 + CD25 +"),
        ("[3H]thymidine", "[ 3H ] thymidine"),
        ("[Ca2+]i", "[ Ca2 + ] i"),
        ("anti-TNF", "anti - TNF"),
        ("NF-kappaB/Rel", "NF - kappaB / Rel"),
        ("5-FU", "5 - FU"),
        ("Ca2+", "Ca2 +"),
        ("TNF-α,", "TNF - α ,"),
        ("0.05", "0.05"),
        ("(1,000.5)", "( 1,000.5 )"),
        ("n=3.", "n = 3 ."),
        ("2,3-dimethyl", "2,3 - dimethyl"),
        ("e.g.", "e.g."),
        ("(e.g., i.p.-injected)", "( e.g. , i.p. - injected )"),
        ("(i.e.ras-myc)", "( i.e. ras - myc )"),
        ("E. coli.", "E . coli ."),
        ("Alzheimer's", "Alzheimer 's"),
        ("don't", "don ' t"),
        ("(see http://a.b/c_d?x=1-2).", "( see http://a.b/c_d?x=1-2 ) ."),
        ("www.x.org/y;", "www.x.org/y ;"),
        ("yes--no...", "yes -- no ..."),
        ("cafe\u0301", "cafe\u0301"),
        ("👩\u200d🔬ok", "👩\u200d 🔬 ok"),
    ],
)
def test_cuts(text: str, expected: str) -> None:
    assert words(text) == expected.split()


@given(TEXT)
def test_text_comes_back(text: str) -> None:
    assert TOKENIZER(text).text == text


@given(TEXT)
def test_no_word_runs_over_a_mark(text: str) -> None:
    """A name can begin and end at any bracket, hyphen or slash outside addresses."""
    for word in words(text):
        if "://" not in word and "www." not in word:
            has_mark = bool(set(word) & set("()[]{}/-+"))
            assert not (has_mark and any(map(str.isalnum, word)))


@given(TEXT)
def test_same_tokens_after_bytes(text: str) -> None:
    stock = Tokenizer(Vocab()).from_bytes(TOKENIZER.to_bytes())
    assert [token.text for token in stock(text)] == words(text)


def test_saved_pipeline_keeps_its_tokens(tmp_path) -> None:
    config = {"nlp": {"tokenizer": {"@tokenizers": "spacy-bioner.Tokenizer.v1"}}}
    nlp = spacy.blank("en", config=config)
    assert type(nlp.tokenizer) is Tokenizer
    nlp.to_disk(tmp_path)
    text = "Anti-IL-2R[alpha] (0.5 mg/ml, e.g. http://x.org/a-b) kills CD4+CD8- cells."
    expected = words(text)
    assert [token.text for token in spacy.load(tmp_path)(text)] == expected
    stock = spacy.blank("en")
    stock.tokenizer.from_disk(tmp_path / "tokenizer")
    assert [token.text for token in stock(text)] == expected


def test_factory_makes_a_stock_tokenizer() -> None:
    nlp = spacy.blank("en")
    tokenizer = create_bioner_tokenizer()(nlp)
    assert type(tokenizer) is Tokenizer
    assert tokenizer.vocab is nlp.vocab


def test_long_unbroken_text_is_fast() -> None:
    for scrap in ("a", "-", "www.", "a.", "1,", "+/-", "http://"):
        text = scrap * 20_000
        assert TOKENIZER(text).text == text
