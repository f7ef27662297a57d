"""AdamW is torch's, under thinc's contract."""

import numpy as np
import pytest
import torch
from spacy.util import registry
from thinc.api import Adam

from spacy_bioner.training.optimizer import create_adamw

SHAPES = {"matrix": (5, 4), "vector": (7,), "cube": (2, 3, 2)}


def values(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {k: rng.normal(size=v).astype("float32") for k, v in SHAPES.items()}


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_steps_are_those_of_torch(decay):
    ours, rates = values(0), [0.1, 0.05, 0.02, 0.01]
    theirs = {k: torch.tensor(v.copy(), requires_grad=True) for k, v in ours.items()}
    groups = [
        {"params": [v], "weight_decay": decay if v.ndim > 1 else 0.0}
        for v in theirs.values()
    ]
    reference = torch.optim.AdamW(groups, lr=rates[0], betas=(0.9, 0.98), eps=1e-6)
    optimizer = create_adamw(0.1, 0.9, 0.98, 1e-6, weight_decay=decay, grad_clip=0.0)
    for step, rate in enumerate(rates):
        optimizer.learn_rate = rate
        for i, (name, gradient) in enumerate(values(step + 1).items()):
            theirs[name].grad = torch.tensor(gradient.copy())
            ours[name], zeroed = optimizer((i, name), ours[name], gradient)
            assert not zeroed.any() and zeroed.shape == gradient.shape
        for group in reference.param_groups:
            group["lr"] = rate
        reference.step()
        for name in SHAPES:
            expected = theirs[name].detach().numpy()
            np.testing.assert_allclose(ours[name], expected, rtol=1e-5, atol=1e-6)


def test_without_decay_it_is_thincs_own_adam():
    ours, theirs = values(0)["matrix"], values(0)["matrix"]
    settings = {"L2": 0.0, "grad_clip": 0.0, "use_averages": False}
    reference = Adam(0.01, beta1=0.9, beta2=0.999, eps=1e-8, **settings)
    optimizer = create_adamw(0.01, weight_decay=0.0, grad_clip=0.0)
    for step in range(4):
        gradient = values(step + 1)["matrix"]
        theirs, _ = reference((0, "W"), theirs, gradient.copy())
        ours, _ = optimizer((0, "W"), ours, gradient.copy())
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def test_clip_bounds_each_tensors_gradient():
    """Two steps, so that the first moment tells clipped from unclipped."""

    def run(clip, scale):
        optimizer = create_adamw(0.1, weight_decay=0.0, grad_clip=clip)
        weights = np.zeros((2, 2), dtype="float32")
        for size in (1.0, scale):
            gradient = np.full((2, 2), size, dtype="float32")
            weights, _ = optimizer((0, "W"), weights, gradient)
        return weights

    assert np.allclose(run(2.0, 100.0), run(2.0, 1.0))
    assert not np.allclose(run(0.0, 100.0), run(0.0, 1.0))


def test_each_key_has_its_own_memory_and_schedules_step():
    optimizer = registry.resolve(
        {
            "optimizer": {
                "@optimizers": "spacy-bioner.AdamW.v1",
                "learn_rate": {
                    "@schedules": "warmup_linear.v1",
                    "initial_rate": 1.0,
                    "warmup_steps": 2,
                    "total_steps": 4,
                },
            }
        }
    )["optimizer"]
    rates = []
    for _ in range(4):
        rates.append(optimizer.learn_rate)
        optimizer.step_schedules()
    assert rates == [0.0, 0.5, 1.0, 0.5]
    for key in ((0, "W"), (1, "W")):
        optimizer(key, np.ones((2, 2), "float32"), np.ones((2, 2), "float32"))
    assert dict(optimizer.nr_update) == {(0, "W"): 1, (1, "W"): 1}
