"""Labels by what they are called."""

import numpy as np

from spacy_bioner.layers.label_text import label_features

ROWS = 1 << 20  # too many for two parts to meet by chance


def shared(a, b):
    features = [set(label_features(text, ROWS).tolist()) for text in (a, b)]
    return len(features[0] & features[1]) / len(features[0])


def test_case_and_separators_do_not_count():
    assert shared("CELL_LINE", "cell line") == shared("cell line", "CellLine") == 1.0


def test_names_that_share_a_word_or_a_stem_share_features():
    assert 0.2 < shared("disease", "a rare disease") <= 1.0
    assert 0.2 < shared("gene", "genes") < 1.0
    assert shared("gene", "疾病") == 0.0
    assert 0.2 < shared("基因", "基因突变") < 1.0


def test_any_text_has_rows_of_the_table():
    for text in ("", "-_ ", "x", "β", "DISEASE"):
        rows = label_features(text, 7)
        assert rows.dtype == np.int64 and ((rows >= 0) & (rows < 7)).all()
    assert len(label_features("-_ ", 7)) == 0
