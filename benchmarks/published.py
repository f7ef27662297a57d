"""Figures of others that the README's tables show beside ours."""

from __future__ import annotations

# Test F1 as their authors report it, each on its own version of a corpus.
PUBLISHED: dict[str, dict[str, float]] = {
    "scispaCy": {
        "NCBI-disease": 81.7,
        "BC5CDR": 84.97,
        "JNLPBA, five types": 73.2,
        "LINNAEUS": 81.7,
        "Species-800": 74.06,
    },
    "ELECTRAMed-small": {"NCBI-disease": 84.6, "BC2GM": 79.3},
    "BioMobileBERT": {"BC2GM": 85.3},
    "BioBERT": {
        "NCBI-disease": 88.30,
        "BC5CDR, chemicals": 93.04,
        "BC5CDR, diseases": 86.37,
        "BC2GM": 83.41,
        "JNLPBA, five types": 75.98,
        "LINNAEUS": 88.08,
        "Species-800": 72.38,
    },
    "GERBERA": {
        "NCBI-disease": 89.0,
        "BC5CDR, chemicals": 94.2,
        "BC2GM": 85.2,
        "LINNAEUS": 87.7,
    },
}
# Test F1 on CMeEE in the table of CBLUE (Zhang et al., ACL 2022), and of GlobalPointer
# on MacBERT on its leaderboard (github.com/aigonna/GlobalPointer).
PUBLISHED_ZH = {
    "ALBERT-tiny": 50.5,
    "BERT-base": 62.1,
    "MacBERT-large": 62.4,
    "MacBERT, GlobalPointer": 67.07,
    "human": 67.0,
}
# Targets of the experiment on GERBERA's method -> row, and test F1 in the paper: single
# task, and with the best general corpus for that target (RoBERTa-large-PM, 357 M).
METHOD: dict[str, tuple[str, float | None, float | None]] = {
    "jnlpba_rna": ("JNLPBA RNA", 78.7, 82.1),
    "jnlpba_cell_line": ("JNLPBA cell line", None, 80.7),
    "jnlpba_cell_type": ("JNLPBA cell type", 81.2, 82.2),
    "jnlpba_dna": ("JNLPBA DNA", None, 80.9),
    "ncbi_disease": ("NCBI-disease", 88.1, 89.0),
    "ncbi_disease, 25%": ("NCBI-disease, 25% of train", None, None),
    "ncbi_disease, 10%": ("NCBI-disease, 10% of train", None, None),
}
