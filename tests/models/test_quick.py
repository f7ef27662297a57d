"""The short ways of training: the same attention, an honest dropout."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="training needs torch")

from spacy_bioner.models.quick import drop, encoding, quick_training  # noqa: E402

attention = torch.nn.functional.scaled_dot_product_attention


def some(*shape: int):
    return torch.randn(*shape, requires_grad=True)


@given(
    st.integers(1, 3), st.integers(1, 9), st.booleans(), st.sampled_from([None, 0.3])
)
def test_attention_and_its_gradient_are_torch_s(batch, length, masked, scale):
    torch.manual_seed(0)
    inputs = [some(batch, 2, length, 4) for _ in range(3)]
    mask = torch.zeros(batch, 1, length, length)
    mask[0, ..., 1:] = -1e9 if masked else 0.0

    def run():
        found = attention(*inputs, attn_mask=mask, scale=scale)
        return [found, *torch.autograd.grad(found.square().sum(), inputs)]

    wanted = run()
    with quick_training():
        found = run()
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    "asked", [{"is_causal": True}, {"attn_mask": torch.ones(5, 5, dtype=torch.bool)}]
)
def test_what_it_does_not_know_it_leaves_to_torch(asked):
    inputs = [some(1, 2, 5, 4) for _ in range(3)]
    with quick_training():
        found = attention(*inputs, **asked)
    torch.testing.assert_close(found, attention(*inputs, **asked))


@pytest.mark.parametrize("p", [0.1, 0.5, 1.0])
def test_dropout_drops_its_share_and_keeps_the_mean(p):
    torch.manual_seed(0)
    found = drop(torch.ones(301, 333), p)
    assert float((found == 0).float().mean()) == pytest.approx(p, abs=0.01)
    assert float(found.mean()) == pytest.approx(1.0 if p < 1 else 0.0, abs=0.02)


def test_dropout_repeats_with_the_seed_and_rests_outside_training():
    ones = torch.ones(10, 10)
    layer = torch.nn.Dropout(0.5)
    with encoding("cpu", half=False, quick=True):
        torch.manual_seed(1)
        first = layer(ones)
        torch.manual_seed(1)
        assert torch.equal(first, layer(ones))
        assert not torch.equal(first, layer(ones))
        assert torch.equal(layer.eval()(ones), ones)
