"""Continued masked-language training of an encoder on biomedical text.

The encoder goes on from general text to the user's own (Gururangan et al., ACL
2020, "Don't Stop Pretraining"), and learns what the word shapes of `shapes.py` are
worth on the way. Whole words are masked: a biomedical word is many pieces, and one
hidden piece among its neighbours is no riddle.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import BionerError, Errors
from ..models.transformer import add_word_shapes, longest_window
from ..shapes import piece_shapes


@dataclass
class Window:
    """At most `length` word pieces of one text, special tokens included."""

    ids: np.ndarray  # (pieces,)
    shapes: np.ndarray  # (pieces,)
    words: np.ndarray  # (pieces,) number of the word; -1 for special tokens


def cut_windows(tokenizer, texts: Iterable[str], length: int) -> Iterator[Window]:
    """Cut every text into consecutive windows of at most `length` pieces."""
    first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
    for text in texts:
        encoded = tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        ids = np.asarray(encoded["input_ids"], dtype="int64")
        if len(ids) < 4:
            continue
        offsets = np.asarray(encoded["offset_mapping"], dtype="int64")
        shapes = piece_shapes(text, offsets[:, 0], offsets[:, 1])
        words = np.asarray(encoded.encodings[0].word_ids, dtype="int64")
        for i in range(0, len(ids), length - 2):
            part = slice(i, i + length - 2)
            yield Window(
                np.concatenate([[first], ids[part], [last]]),
                np.concatenate([[0], shapes[part], [0]]),
                np.concatenate([[-1], words[part], [-1]]),
            )


def mask_words(window: Window, share: float, mask_id: int, n_vocab: int, rng):
    """Hide `share` of the words: 80% masked, 10% replaced, 10% kept (BERT).

    RETURNS (tuple): Input ids, and labels with -100 where nothing is asked.
    """
    words = np.unique(window.words[window.words >= 0])
    chosen = rng.choice(words, size=max(1, round(share * len(words))), replace=False)
    asked = np.isin(window.words, chosen)
    labels = np.where(asked, window.ids, -100)
    dice = rng.random(len(window.ids))
    ids = np.where(asked & (dice < 0.8), mask_id, window.ids)
    ids = np.where(asked & (dice > 0.9), rng.integers(0, n_vocab, len(ids)), ids)
    return ids, labels


def make_batches(windows: list[Window], budget: int, rng) -> list[list[Window]]:
    """Batches of similar length and at most `budget` padded pieces, shuffled."""
    noise = rng.random(len(windows))
    order = sorted(
        range(len(windows)), key=lambda i: (len(windows[i].ids) // 8, noise[i])
    )
    batches: list[list[Window]] = []
    longest = 0
    for i in order:
        longest = max(longest, len(windows[i].ids))
        if not batches or (len(batches[-1]) + 1) * longest > budget:
            batches.append([])
            longest = len(windows[i].ids)
        batches[-1].append(windows[i])
    rng.shuffle(batches)
    return batches


def _collate(batch: list[Window], share: float, tokenizer, rng):
    import torch

    width = max(len(window.ids) for window in batch)
    ids = np.full((len(batch), width), tokenizer.pad_token_id)
    shapes, mask = np.zeros_like(ids), np.zeros_like(ids)
    labels = np.full_like(ids, -100)
    for i, window in enumerate(batch):
        n = len(window.ids)
        ids[i, :n], labels[i, :n] = mask_words(
            window, share, tokenizer.mask_token_id, len(tokenizer), rng
        )
        shapes[i, :n], mask[i, :n] = window.shapes, 1
    return [torch.from_numpy(array) for array in (ids, shapes, mask, labels)]


def pretrain(
    texts: list[str],
    encoder: str,
    output: Path,
    *,
    minutes: float = 30.0,
    learn_rate: float = 3e-4,
    warmup: float = 0.06,
    mask_share: float = 0.15,
    window: int = 128,
    batch_pieces: int = 4096,
    seed: int = 0,
    log: Callable[[str], None] = print,
) -> None:
    """Train a BERT-like encoder to fill in hidden words and save it to `output`.

    texts (list[str]): Raw texts, one document each.
    encoder (str): Name or folder of a Hugging Face encoder.
    minutes (float): The length of the run; the learning rate is bound to it, so a
        run always ends cooled down, whatever the machine.
    mask_share (float): The share of words hidden in a window.
    """
    try:
        import torch
        from transformers import AutoModelForMaskedLM, AutoTokenizer
    except ImportError:
        need = {"what": "Pretraining", "modules": "torch, transformers"}
        raise BionerError(Errors.BA02.format(**need, extra="train")) from None
    for name, value, least in (("minutes", minutes, 0), ("window", window, 3)):
        if not value > least:
            expected = f"more than {least}"
            problem = Errors.BA17.format(name=name, value=value, expected=expected)
            raise BionerError(problem)
    random.seed(seed)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    try:
        tokenizer = AutoTokenizer.from_pretrained(encoder, use_fast=True)
        model = AutoModelForMaskedLM.from_pretrained(
            encoder, attention_probs_dropout_prob=0.0, hidden_dropout_prob=0.0
        )
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise BionerError(Errors.BA07.format(name=encoder, error=reason)) from None
    if not hasattr(model, "cls"):
        kind = model.config.model_type
        raise BionerError(Errors.BA19.format(name=encoder, kind=kind))
    limit = longest_window(model.base_model, window)
    if window > limit:
        problem = Errors.BA18.format(window=window, name=encoder, limit=limit)
        raise BionerError(problem)
    add_word_shapes(model.base_model)
    windows = list(cut_windows(tokenizer, texts, window))
    if not windows:
        raise BionerError(Errors.B406.format(count=len(texts)))
    output.mkdir(parents=True, exist_ok=True)  # or fail before the work
    log(f"{len(windows)} windows, {sum(len(w.ids) for w in windows)} word pieces")
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=learn_rate, weight_decay=0.01, betas=(0.9, 0.98)
    )
    model.train()
    start, step, running, epoch = time.time(), 0, 0.0, 0
    queue: list[list[Window]] = []
    while (done := (time.time() - start) / (60 * minutes)) < 1.0:
        if not queue:
            queue, epoch = make_batches(windows, batch_pieces, rng), epoch + 1
        scale = min(done / warmup, (1.0 - done) / (1.0 - warmup))
        for group in optimizer.param_groups:
            group["lr"] = learn_rate * max(scale, 0.01)
        ids, shapes, mask, labels = _collate(queue.pop(), mask_share, tokenizer, rng)
        loss = _masked_loss(model, ids, shapes, mask, labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        running = loss.item() if not step else 0.98 * running + 0.02 * loss.item()
        step += 1
        if step % 50 == 0:
            perplexity = math.exp(running)
            log(f"epoch {epoch} step {step} {done:.0%} perplexity {perplexity:.1f}")
    model.base_model.save_pretrained(output)
    tokenizer.save_pretrained(output)


def _masked_loss(model, ids, shapes, mask, labels):
    """Cross-entropy at the hidden pieces; the vocabulary layer sees only those."""
    import torch

    from ..models.quick import encoding

    with encoding(ids.device.type, half=True, quick=True):
        states = model.base_model(
            input_ids=ids, attention_mask=mask, token_type_ids=shapes
        ).last_hidden_state
        asked = labels != -100
        logits = model.cls.predictions(states[asked])  # (hidden pieces, vocabulary)
    return torch.nn.functional.cross_entropy(logits.float(), labels[asked])
