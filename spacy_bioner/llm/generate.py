"""A causal language model in this process as a model of spacy-llm.

It answers greedily unless it is told otherwise, whatever its own generation settings
say, so the same texts in the same batches have the same answers.
"""

from pathlib import Path
from typing import Any, Iterable  # noqa: UP035 (spacy-llm knows no other Iterable)

from spacy.util import SimpleFrozenDict, minibatch

from ..errors import BionerError, Errors
from .cache import PromptCache
from .chat import choose_device, load_model, load_tokenizer, prompt_ids

OWN_SETTINGS = {"max_new_tokens", "eos_token_id", "pad_token_id"}  # given otherwise

NO_SETTINGS = SimpleFrozenDict()


def make_local_causal(
    name: str,
    config: dict[str, Any] = NO_SETTINGS,
    max_new_tokens: int = 1024,
    batch_size: int = 8,
    keep_cut: bool = False,
    device: str = "auto",
    dtype: str = "bfloat16",
    four_bit: bool = False,
    seed: int = 0,
    context_length: int = 8192,
    cache: str | None = None,
) -> "LocalCausal":
    """Build the model `spacy-bioner.LocalCausal.v1`.

    name (str): Folder of a causal model or of an adapter that `llm-train` wrote, or a
        model's name on the hub. It is loaded when the first document comes.
    config (dict): Settings of transformers' GenerationConfig instead of greedy search,
        such as num_beams, or do_sample and temperature.
    max_new_tokens (int): The longest answer. A model that cannot stop runs into it.
    batch_size (int): Prompts at a time, of like length.
    keep_cut (bool): Take an answer that did not end within `max_new_tokens` as it is,
        for the parser to say what it lacks; else that is an error.
    device (str): "auto" (a GPU if there is one), "cpu", "cuda:0" and so on.
    dtype (str): "bfloat16" or "float32". In bfloat16 an answer may depend on which
        others are in its batch; for answers that do not, take float32 or batches of 1.
    four_bit (bool): Hold the weights in 4 bits.
    seed (int): Of every batch, for settings that sample.
    context_length (int): In tokens, for those tasks of spacy-llm that cut texts by it.
    cache (str): A file for the answers that ended, see `PromptCache`; where a run
        stopped, another goes on from there.
    """
    for setting, value in (
        ("max_new_tokens", max_new_tokens),
        ("batch_size", batch_size),
    ):
        if value < 1:
            raise BionerError(
                Errors.B709.format(name=setting, value=value, expected="1 or more")
            )
    if own := sorted(OWN_SETTINGS & config.keys()):
        expected = f"settings of transformers other than {sorted(OWN_SETTINGS)}"
        raise BionerError(
            Errors.B709.format(name="config", value=own, expected=expected)
        )
    return LocalCausal(
        name,
        dict(config),
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        keep_cut=keep_cut,
        device=device,
        dtype=dtype,
        four_bit=four_bit,
        seed=seed,
        context_length=context_length,
        cache=PromptCache(cache),
    )


class LocalCausal:
    """Prompts to answers, by generation in batches."""

    def __init__(
        self,
        name: str,
        config: dict[str, Any],
        *,
        max_new_tokens: int,
        batch_size: int,
        keep_cut: bool,
        device: str,
        dtype: str,
        four_bit: bool,
        seed: int,
        context_length: int,
        cache: PromptCache,
    ) -> None:
        self.name = name
        self.config = config
        self.max_new_tokens = max_new_tokens
        self.batch_size = batch_size
        self.keep_cut = keep_cut
        self.device = device
        self.dtype = dtype
        self.four_bit = four_bit
        self.seed = seed
        self.context_length = context_length
        self.cache = cache
        self._loaded: tuple[Any, Any] | None = None

    def __call__(self, prompts: Iterable[Iterable[str]]) -> Iterable[Iterable[str]]:
        """The answers to the prompts of each document."""
        by_doc = [list(of_doc) for of_doc in prompts]
        answers = iter(self.answer([prompt for row in by_doc for prompt in row]))
        return [[next(answers) for _ in row] for row in by_doc]

    def answer(self, prompts: list[str]) -> list[str]:
        """The answers, in order; prompts of like length are generated together.

        Raises BionerError for one that does not end; the others of its batch and of
        those before are in the cache then.
        """
        changed = _last_change(self.name)
        keys = [self._key(prompt, changed) for prompt in prompts]
        answers = dict(zip(keys, map(self.cache.get, keys), strict=True))
        new = {k: p for k, p in zip(keys, prompts, strict=True) if answers[k] is None}
        for key, answer in self._answer_new(new):
            answers[key] = answer
        return [answers[key] or "" for key in keys]

    def _answer_new(self, prompts: dict[str, str]) -> Iterable[tuple[str, str]]:
        """Generate, the longest prompts first, and keep what ended."""
        if not prompts:
            return
        self.cache.check()
        _, tokenizer = self.load()
        rows = {
            key: prompt_ids(tokenizer, [{"role": "user", "content": prompt}])
            for key, prompt in prompts.items()
        }
        self._check_length(max(map(len, rows.values())))
        order = sorted(rows, key=lambda key: len(rows[key]), reverse=True)
        for batch in minibatch(order, self.batch_size):
            found = self._generate([rows[key] for key in batch])
            for key, (answer, ended) in zip(batch, found, strict=True):
                if ended:
                    self.cache.add(key, answer)
            if not (self.keep_cut or all(ended for _, ended in found)):
                raise BionerError(
                    Errors.B719.format(name=self.name, limit=self.max_new_tokens)
                )
            yield from zip(batch, (answer for answer, _ in found), strict=True)

    def _key(self, prompt: str, changed: int) -> str:
        """Of all that an answer that ended depends on: not its greatest length."""
        request = {
            "model": self.name,
            "changed": changed,
            "config": self.config,
            "dtype": self.dtype,
            "four_bit": self.four_bit,
            "seed": self.seed,
            "prompt": prompt,
        }
        return self.cache.key(request)

    def load(self) -> tuple[Any, Any]:
        """The model and its tokenizer."""
        if self._loaded is None:
            tokenizer = load_tokenizer(self.name)
            model = load_model(
                self.name,
                device=self.device,
                dtype=self.dtype,
                four_bit=self.four_bit,
            )
            self._loaded = model.eval(), tokenizer
        return self._loaded

    def _check_length(self, longest: int) -> None:
        model, _ = self.load()
        positions = getattr(model.config, "max_position_embeddings", None)
        if positions and longest + self.max_new_tokens > positions:
            raise BionerError(
                Errors.B718.format(
                    prompt=longest,
                    answer=self.max_new_tokens,
                    positions=positions,
                    name=self.name,
                )
            )

    def _generate(self, rows: list[list[int]]) -> list[tuple[str, bool]]:
        """The answers to a batch of prompts, padded on the left, and whether each
        ended."""
        import torch
        from transformers import GenerationConfig

        model, tokenizer = self.load()
        device = choose_device(self.device)
        width = max(len(ids) for ids in rows)
        ids = torch.zeros((len(rows), width), dtype=torch.long, device=device)
        mask = torch.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, width - len(row) :] = torch.tensor(row, device=device)
            mask[i, width - len(row) :] = 1
        ends = self._ends()
        settings = {"do_sample": False, **self.config}
        config = GenerationConfig(
            **settings,
            max_new_tokens=self.max_new_tokens,
            eos_token_id=ends,
            pad_token_id=ends[0],
        )
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            # else the model's own settings replace what is transformers' default here
            written = model.generate(
                input_ids=ids,
                attention_mask=mask,
                generation_config=config,
                use_model_defaults=False,
            )
        return [self._read(row, ends) for row in written[:, width:].tolist()]

    def _ends(self) -> list[int]:
        """The tokens that end an answer: the tokenizer's, and the model's own."""
        model, tokenizer = self.load()
        own = model.generation_config.eos_token_id
        own = own if isinstance(own, list) else [own]
        rest = {end for end in own if end is not None} - {tokenizer.eos_token_id}
        return [tokenizer.eos_token_id, *sorted(rest)]

    def _read(self, row: list[int], ends: list[int]) -> tuple[str, bool]:
        stop = next((i for i, token in enumerate(row) if token in ends), len(row))
        _, tokenizer = self.load()
        answer = tokenizer.decode(
            row[:stop],
            skip_special_tokens=True,
            clean_up_tokenization_spaces=False,  # it takes out the text's own spaces
        )
        return answer, stop < self.max_new_tokens

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loaded": None}


def _last_change(model: str) -> int:
    """When a folder's files were last written; 0 for a name on the hub."""
    folder = Path(model)
    files = folder.iterdir() if folder.is_dir() else ()
    return max((file.stat().st_mtime_ns for file in files), default=0)
