"""Routed heads: gradients are right, and reach only the heads that were asked."""

from functools import partial

import numpy as np
import pytest

from spacy_bioner.layers.heads import RoutedHeads, add_head, head_params

pairs = partial(zip, strict=True)
WIDTH, HEADS = 4, {"one": 3, "two": 5}


@pytest.fixture
def model():
    model = RoutedHeads(6, 0.0)
    model.set_dim("nI", WIDTH)
    for name, n_tags in HEADS.items():
        add_head(model, name, n_tags)
    return model


def vectors(*lengths: int) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.normal(size=(n, WIDTH)).astype("float32") for n in lengths]


def gradients(model) -> dict[str, np.ndarray]:
    """By parameter; zero for one that never got any."""
    params = [param for head in HEADS for param in head_params(head)]
    return {p: model.get_grad(p) if model.has_grad(p) else np.zeros(1) for p in params}


def test_each_input_goes_to_its_own_heads(model):
    routes = [["one"], ["two"], ["one", "two"], [], ["one"]]
    outputs = model.predict((vectors(2, 3, 1, 2, 0), routes))
    shapes = [{k: v.shape for k, v in by_head.items()} for by_head in outputs]
    both = {"one": (1, 3), "two": (1, 5)}
    assert shapes == [{"one": (2, 3)}, {"two": (3, 5)}, both, {}, {"one": (0, 3)}]


def test_gradient_of_input_and_parameters_is_numerically_right(model):
    X, routes = vectors(2, 3, 1), [["one"], ["two"], ["one", "two"]]
    Y, backprop = model((X, routes), True)
    weights = [
        {k: np.cos(np.arange(y.size)).astype("f") for k, y in x.items()} for x in Y
    ]
    dX = backprop(
        [{k: w[k].reshape(y[k].shape) for k in y} for y, w in pairs(Y, weights)]
    )

    def total() -> float:
        Y = model.predict((X, routes))
        return sum(float(y[k].ravel() @ w[k]) for y, w in pairs(Y, weights) for k in y)

    def numeric(array, at) -> float:
        kept, eps = array[at], 1e-2
        array[at] = kept + eps
        up = total()
        array[at] = kept - eps
        down = total()
        array[at] = kept
        return (up - down) / (2 * eps)

    for i, x in enumerate(X):
        assert dX[i][0, 1] == pytest.approx(numeric(x, (0, 1)), abs=2e-3)
    for name, gradient in gradients(model).items():
        at = (1,) * gradient.ndim
        value = numeric(model.get_param(name), at)
        assert gradient[at] == pytest.approx(value, abs=2e-3), name


def test_a_head_without_gradient_for_one_input_still_learns_from_the_others(model):
    """An input routed to two heads may have a gradient for one of them only."""
    X = vectors(2, 3)
    Y, backprop = model((X, [["one"], ["one", "two"]]), True)
    dY = [{"one": np.ones_like(Y[0]["one"])}, {"two": np.ones_like(Y[1]["two"])}]
    dX = backprop(dY)
    mixed = gradients(model)
    assert all(np.abs(dx).sum() > 0 for dx in dX)
    for param in list(mixed):
        model.set_grad(param, np.zeros_like(mixed[param]))
    _, backprop = model((X[:1], [["one"]]), True)
    backprop([{"one": np.ones_like(Y[0]["one"])}])
    for param in head_params("one"):
        assert np.allclose(mixed[param], model.get_grad(param), atol=1e-6)


def test_no_gradient_at_all_for_an_absent_head(model):
    Y, backprop = model((vectors(2, 1), [["one"], []]), True)
    dX = backprop([{"one": np.ones_like(Y[0]["one"])}, {}])
    assert not any(model.has_grad(param) for param in head_params("two"))
    assert not dX[1].any()


def test_dropout_only_in_training(model):
    inputs = (vectors(30), [["one"]])
    before = model.predict(inputs)[0]["one"]
    model.attrs["dropout_rate"] = 0.5
    assert np.array_equal(model.predict(inputs)[0]["one"], before)
    assert not np.allclose(model(inputs, True)[0][0]["one"], before)


def test_heads_come_back_from_bytes_into_a_model_that_has_none(model):
    inputs = (vectors(3), [["one", "two"]])
    fresh = RoutedHeads(6, 0.0).from_bytes(model.to_bytes())
    for name in HEADS:
        expected = model.predict(inputs)[0][name]
        assert np.array_equal(fresh.predict(inputs)[0][name], expected)
