"""Fine-tuning of a causal language model on chats, the loss on the answers only.

By default the model's weights stay as they are and low-rank adapters are learnt beside
every linear layer (LoRA: Hu et al., arXiv 2106.09685), if need be with the weights held
in 4 bits (QLoRA: Dettmers et al., arXiv 2305.14314). Rank 0: all weights are learnt.

A run that was interrupted goes on from its last checkpoint: adapters, optimizer, random
state and place in the data are those of a run that was not.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import srsly

from ..errors import BionerError, Errors
from .chat import answer_ids, choose_device, load_model, load_tokenizer, prompt_ids

CHECKPOINT, LAST, BEST = "checkpoint.pt", "model-last", "model-best"
IGNORED = -100


@dataclass(frozen=True)
class Settings:
    """How to train.

    base (str): Folder of a causal model, or its name on the hub.
    rank (int): Of the adapters; 0: learn all weights.
    alpha (int): Adapters count for alpha / rank.
    dropout (float): Before the adapters.
    four_bit (bool): Hold the weights in 4 bits.
    epochs (float): How often every chat is seen.
    batch (int): Chats a step.
    at_once (int): Chats in memory at a time; a step adds up the gradients.
    learn_rate (float): The highest; up to it in `warmup` of the run, then down to 0.
    max_tokens (int): Longer chats are left out, never cut.
    recompute (bool): Keep only the layers' inputs for the backward pass: slower, in far
        less memory (gradient checkpointing).
    device (str): "auto", "cpu", "cuda:0".
    dtype (str): To compute in: "bfloat16" or "float32". Learnt weights are always kept
        in float32.
    save_every (int): Steps between checkpoints.
    seed (int): Of new adapters, order and dropout.
    """

    base: str
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.05
    four_bit: bool = False
    epochs: float = 2.0
    batch: int = 16
    at_once: int = 4
    learn_rate: float = 1e-4
    warmup: float = 0.05
    weight_decay: float = 0.0
    clip: float = 1.0
    max_tokens: int = 2048
    recompute: bool = False
    device: str = "auto"
    dtype: str = "bfloat16"
    save_every: int = 200
    seed: int = 0


@dataclass(frozen=True)
class Chat:
    """The tokens of a prompt and its answer, and where the answer begins."""

    ids: list[int]
    start: int


def read_chats(path: Path, tokenizer) -> list[Chat]:
    """The chats of a file that `llm-data` wrote; other keys than `messages` may stand
    in its lines."""
    if not path.is_file():
        raise BionerError(Errors.B603.format(path=path, error="no such file"))
    chats = []
    for number, line in enumerate(path.read_text("utf8").split("\n"), 1):
        if not line.strip():
            continue
        try:
            *before, last = srsly.json_loads(line)["messages"]
            prompt = prompt_ids(tokenizer, before)
            answer = answer_ids(tokenizer, last["content"])
        except (ValueError, KeyError, TypeError):
            raise BionerError(Errors.B713.format(path=path, line=number)) from None
        chats.append(Chat(prompt + answer, len(prompt)))
    return chats


def finetune(
    settings: Settings,
    train: Path,
    output: Path,
    *,
    dev: Path | None = None,
    resume: bool = True,
    log: Callable[[str], None] = print,
) -> Path:
    """Train on a file of chats; write `model-last` and, with `dev`, `model-best`.

    dev (Path): Chats to measure the loss on at every checkpoint.
    resume (bool): Go on from a checkpoint in `output`.
    RETURNS (Path): The folder of the model to use.
    """
    try:
        import torch
    except ImportError:
        need = {"module": "torch", "package": "spacy-bioner[llm-train]"}
        raise BionerError(Errors.B715.format(**need)) from None
    tokenizer = load_tokenizer(settings.base)
    chats = _short(read_chats(train, tokenizer), settings, log)
    held = _short(read_chats(dev, tokenizer), settings, log) if dev else []
    torch.manual_seed(settings.seed)
    model = make_trainable(settings)
    run = _Run(settings, model, tokenizer, chats, held, output, log)
    if resume:
        run.restore()
    run.go()
    return output / (BEST if held else LAST)


def _short(chats: list[Chat], settings: Settings, log) -> list[Chat]:
    kept = [chat for chat in chats if len(chat.ids) <= settings.max_tokens]
    if not kept:
        limit = settings.max_tokens
        raise BionerError(Errors.B714.format(count=len(chats), max_tokens=limit))
    tokens = sum(len(chat.ids) for chat in kept)
    log(f"{len(kept)} chats, {tokens} tokens; {len(chats) - len(kept)} too long")
    return kept


def make_trainable(settings: Settings):
    """The model, with adapters or with all of its weights to learn."""
    if settings.four_bit and not settings.rank:
        expected = "1 or more, as weights of 4 bits cannot be learnt"
        raise BionerError(Errors.B709.format(name="rank", value=0, expected=expected))
    dtype = settings.dtype if settings.rank else "float32"
    model = load_model(
        settings.base,
        device=settings.device,
        dtype=dtype,
        four_bit=settings.four_bit,
    )
    if settings.recompute:
        # the older way loses the gradient where the embeddings are not learnt
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if not settings.rank:
        return model
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        package = "spacy-bioner[llm-train]"
        raise BionerError(Errors.B715.format(module="peft", package=package)) from None
    lora = LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules="all-linear",
    )
    return get_peft_model(model, lora)  # adapters in float32, whatever the model's


def make_batches(count: int, settings: Settings) -> Iterator[list[int]]:
    """The chats of each step. An epoch's order depends on the seed and its number."""
    steps = count_steps(count, settings)
    epoch, waiting = 0, list[int]()
    for _ in range(steps):
        if not waiting:
            waiting = list(range(count))
            random.Random(f"{settings.seed}:{epoch}").shuffle(waiting)
            epoch += 1
        batch, waiting = waiting[: settings.batch], waiting[settings.batch :]
        yield batch


def count_steps(count: int, settings: Settings) -> int:
    return max(1, round(settings.epochs * -(-count // settings.batch)))


def learn_rate(step: int, steps: int, settings: Settings) -> float:
    """Up to the highest and down again, both straight."""
    done = (step + 1) / steps
    warmup = max(settings.warmup, 1 / steps)
    down = (steps - step) / (steps * (1 - warmup) + 1)
    return settings.learn_rate * min(done / warmup, down, 1.0)


def collate(chats: list[Chat], device: str):
    """RETURNS (tuple): ids, mask, labels, each (chats, longest); labels are IGNORED
    outside of the answers."""
    import torch

    width = max(len(chat.ids) for chat in chats)
    ids = torch.zeros((len(chats), width), dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORED)
    for i, chat in enumerate(chats):
        size = len(chat.ids)
        ids[i, :size] = torch.tensor(chat.ids)
        mask[i, :size] = 1
        labels[i, chat.start : size] = ids[i, chat.start : size]
    return ids.to(device), mask.to(device), labels.to(device)


def answer_loss(model, chats: list[Chat], device: str, dtype: str):
    """The cross-entropy of the answers' tokens, added up."""
    import torch
    from torch.nn.functional import cross_entropy

    ids, mask, labels = collate(chats, device)
    half = dtype == "bfloat16"
    with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=half):
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    asked = labels[:, 1:] != IGNORED  # a token's scores stand at the one before it
    wanted = labels[:, 1:][asked]
    return cross_entropy(logits[:, :-1][asked].float(), wanted, reduction="sum")


def count_answers(chats: list[Chat]) -> int:
    return sum(len(chat.ids) - chat.start for chat in chats)


def identify(settings: Settings, chats: list[Chat]) -> dict[str, Any]:
    """What must not change between a run and the one that goes on with it. How many
    chats are in memory at a time changes nothing but which dropout each draws."""
    data = hashlib.sha256()
    for chat in chats:
        data.update(srsly.json_dumps([chat.ids, chat.start]).encode())
    free = {"device", "save_every", "recompute", "at_once"}
    kept = {name: value for name, value in asdict(settings).items() if name not in free}
    return {**kept, "data": data.hexdigest()}


class _Run:
    """Training, step by step."""

    def __init__(
        self,
        settings: Settings,
        model,
        tokenizer,
        chats: list[Chat],
        dev: list[Chat],
        output: Path,
        log: Callable[[str], None],
    ) -> None:
        import torch

        self.settings, self.model, self.tokenizer = settings, model, tokenizer
        self.chats, self.dev, self.output, self.log = chats, dev, output, log
        self.device = choose_device(settings.device)
        self.learnt = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.optimizer = torch.optim.AdamW(
            self.learnt.values(),
            lr=settings.learn_rate,
            betas=(0.9, 0.99),
            weight_decay=settings.weight_decay,
        )
        self.identity = identify(settings, [*chats, *dev])
        self.done, self.best = 0, float("inf")
        numbers = sum(p.numel() for p in self.learnt.values())
        log(f"{numbers} weights to learn, on {self.device}")

    def go(self) -> None:
        total = count_steps(len(self.chats), self.settings)
        started, tokens = time.perf_counter(), 0
        self.model.train()
        for step, batch in enumerate(make_batches(len(self.chats), self.settings)):
            if step < self.done:
                continue
            chats = [self.chats[i] for i in batch]
            for group in self.optimizer.param_groups:
                group["lr"] = learn_rate(step, total, self.settings)
            loss = self.step(chats)
            self.done = step + 1
            tokens += sum(len(chat.ids) for chat in chats)
            if self.done % self.settings.save_every == 0 or self.done == total:
                speed = tokens / (time.perf_counter() - started)
                line = f"step {self.done}/{total} loss {loss:.4f}"
                self.log(f"{line} {self.keep()}{speed:.0f} tokens/s")
        self.save_model(LAST)

    def step(self, chats: list[Chat]) -> float:
        """Learn from some chats. RETURNS (float): The mean loss of a token."""
        import torch

        settings, answers = self.settings, count_answers(chats)
        chats = sorted(chats, key=lambda chat: len(chat.ids))  # for little padding
        loss = 0.0
        for i in range(0, len(chats), settings.at_once):
            part = chats[i : i + settings.at_once]
            of_part = answer_loss(self.model, part, self.device, settings.dtype)
            (of_part / answers).backward()
            loss += of_part.item() / answers
        torch.nn.utils.clip_grad_norm_(self.learnt.values(), settings.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss

    def keep(self) -> str:
        """Write a checkpoint, and the model if it is the best so far.

        RETURNS (str): The loss on dev.
        """
        said = ""
        if self.dev:
            loss = self.measure()
            said = f"dev {loss:.4f} "
            if loss < self.best:
                self.best = loss
                self.save_model(BEST)
        self.save_checkpoint()
        return said

    def measure(self) -> float:
        """The mean loss of a token of dev."""
        import torch

        settings, loss = self.settings, 0.0
        chats = sorted(self.dev, key=lambda chat: len(chat.ids))
        self.model.eval()
        with torch.no_grad():
            for i in range(0, len(chats), settings.at_once):
                part = chats[i : i + settings.at_once]
                of_part = answer_loss(self.model, part, self.device, settings.dtype)
                loss += of_part.item()
        self.model.train()
        return loss / count_answers(chats)

    def save_model(self, name: str) -> None:
        """The adapters or the whole model, with the tokenizer; loaded by its folder."""
        folder = self.output / name
        shutil.rmtree(folder, ignore_errors=True)
        more = {"save_embedding_layers": False} if self.settings.rank else {}
        self.model.save_pretrained(folder, **more)
        self.tokenizer.save_pretrained(folder)

    def save_checkpoint(self) -> None:
        import torch

        state = {
            "run": self.identity,
            "done": self.done,
            "best": self.best,
            "learnt": {n: p.detach() for n, p in self.learnt.items()},
            "optimizer": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all(),
        }
        self.output.mkdir(parents=True, exist_ok=True)
        partial = self.output / f"{CHECKPOINT}.partial"
        torch.save(state, partial)
        partial.replace(self.output / CHECKPOINT)

    def restore(self) -> None:
        """Go on from the checkpoint, if there is one."""
        import torch

        path = self.output / CHECKPOINT
        if not path.exists():
            return
        state = torch.load(path, map_location="cpu", weights_only=True)
        ours, theirs = self.identity, state["run"]
        other = [name for name in ours if ours[name] != theirs.get(name)]
        if other:
            raise BionerError(Errors.B717.format(path=path, what=", ".join(other)))
        with torch.no_grad():
            for name, weights in self.learnt.items():
                weights.copy_(state["learnt"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.done, self.best = state["done"], state["best"]
        torch.set_rng_state(state["random"])
        if self.device != "cpu":
            torch.cuda.set_rng_state_all(state["random_cuda"])
        self.log(f"going on after step {self.done}")
