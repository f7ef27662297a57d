"""torch's fused AdamW for a shared transformer, in place and on all cores.

thinc's own Adam runs on one core and copies every tensor several times a step, and
it decays biases and layer norms too, which BERT's recipe does not.
"""

from __future__ import annotations

from typing import Any

from spacy.util import registry
from thinc.api import Optimizer, torch2xp, xp2torch
from thinc.types import FloatsXd, Generator


@registry.optimizers("spacy-bioner.AdamW.v1")
def create_adamw(
    learn_rate: float | list[float] | Generator,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    grad_clip: float = 1.0,
) -> Optimizer:
    """Decoupled weight decay (Loshchilov and Hutter, ICLR 2019) on matrices only.

    grad_clip (float): The largest norm of one tensor's gradient.
    """
    return AdamW(
        learn_rate,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        L2=weight_decay,
        grad_clip=grad_clip,
        use_averages=False,
    )


class AdamW(Optimizer):
    """thinc's optimizer contract: arrays in, updated arrays and zeroed gradient out."""

    def __call__(
        self,
        key: tuple[int, str],
        weights: FloatsXd,
        gradient: FloatsXd,
        *,
        lr_scale: float = 1.0,
    ):
        import torch  # with the training extra only
        from torch.optim.adamw import adamw

        w, g = xp2torch(weights), xp2torch(gradient)
        moments: Any = self.mom1, self.mom2
        if key not in self.mom1:
            for moment in moments:
                moment[key] = torch2xp(w.new_zeros(w.shape))
        m1, m2 = (xp2torch(moment[key]) for moment in moments)
        if self.grad_clip and (norm := float(g.norm())) > self.grad_clip:
            g.mul_(self.grad_clip / norm)
        steps_before = torch.tensor(float(self.nr_update[key]), device=w.device)
        self.nr_update[key] += 1
        adamw(
            [w],
            [g],
            [m1],
            [m2],
            [],
            [steps_before],
            fused=True,
            amsgrad=False,
            beta1=self.b1,
            beta2=self.b2,
            lr=self.learn_rate * lr_scale,
            weight_decay=self.L2 if w.ndim > 1 else 0.0,
            eps=self.eps,
            maximize=False,
        )
        g.zero_()
        return torch2xp(w), torch2xp(g)
