"""An OpenAI-compatible server as a model of spacy-llm.

Texts go to the address in the config and nowhere else: no connection is made before
the first document, proxies and keys in the environment are not used, redirects are not
followed.
"""

import os
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from threading import Event
from typing import Any, Iterable  # noqa: UP035 (spacy-llm knows no other Iterable)
from urllib.parse import urlsplit

import requests
from spacy.util import SimpleFrozenDict

from ..errors import BionerError, Errors
from .cache import PromptCache

PATH = "/chat/completions"
BUSY = (408, 409, 425, 429)  # worth another try, as are all of 5xx
LONGEST_WAIT = 60.0  # seconds
LIMITS = ("max_tokens", "max_completion_tokens")
DEFAULTS = SimpleFrozenDict(temperature=0.0)


class Unusable(Exception):
    """No answer, or one that cannot be used; another try may help.

    wait (float): The seconds the server asks for.
    cut (str): The answer, if it is one that stopped at its greatest length.
    """

    def __init__(
        self, problem: str, *, wait: float = 0.0, cut: str | None = None
    ) -> None:
        super().__init__(problem)
        self.wait = wait
        self.cut = cut


def make_openai_compatible(
    endpoint: str,
    name: str,
    config: dict[str, Any] = DEFAULTS,
    system: str | None = None,
    api_key_env: str | None = None,
    cache: str | None = None,
    parallel: int = 1,
    timeout: float = 120.0,
    tries: int = 5,
    wait: float = 1.0,
    keep_cut: bool = False,
    context_length: int = 8192,
) -> "OpenAICompatible":
    """Build the model `spacy-bioner.OpenAICompatible.v1`.

    endpoint (str): The base address of the API, such as http://127.0.0.1:8000/v1.
    name (str): The model's name on that server.
    config (dict): Parameters of the request, such as temperature, max_tokens, seed.
    system (str): A system message before the prompt.
    api_key_env (str): The environment variable with the key, read for each request;
        None: send no key.
    cache (str): A file for the answers; see `PromptCache`.
    parallel (int): Requests at a time.
    timeout (float): Seconds to wait for a connection, and for the answer.
    tries (int): How often a request is sent when the server is busy, fails, or cuts
        its answer short.
    wait (float): Seconds before the second try, doubled before each further one, at
        most 60; a longer wait that the server asks for is kept to.
    keep_cut (bool): Take an answer that was cut at its greatest length in every try as
        it is, for the parser to say what it lacks; else that is an error. A limit in
        `config` (max_tokens) is doubled for each further try.
    context_length (int): In tokens, for those tasks of spacy-llm that cut texts by it.
    """
    if (
        urlsplit(endpoint).scheme not in ("http", "https")
        or not urlsplit(endpoint).netloc
    ):
        raise BionerError(Errors.B705.format(endpoint=endpoint))
    for setting, value in (("parallel", parallel), ("tries", tries)):
        if value < 1:
            raise BionerError(
                Errors.B709.format(name=setting, value=value, expected="1 or more")
            )
    return OpenAICompatible(
        endpoint.rstrip("/").removesuffix(PATH) + PATH,
        name,
        dict(config),
        system=system,
        api_key_env=api_key_env,
        cache=PromptCache(cache),
        parallel=parallel,
        timeout=timeout,
        tries=tries,
        wait=wait,
        keep_cut=keep_cut,
        context_length=context_length,
    )


class OpenAICompatible:
    """Prompts to answers, by one HTTP request each."""

    def __init__(
        self,
        url: str,
        name: str,
        config: dict[str, Any],
        *,
        system: str | None,
        api_key_env: str | None,
        cache: PromptCache,
        parallel: int,
        timeout: float,
        tries: int,
        wait: float,
        keep_cut: bool,
        context_length: int,
    ) -> None:
        self.url = url
        self.name = name
        self.config = config
        self.system = system
        self.api_key_env = api_key_env
        self.cache = cache
        self.parallel = parallel
        self.timeout = timeout
        self.tries = tries
        self.wait = wait
        self.keep_cut = keep_cut
        self.context_length = context_length

    def __call__(self, prompts: Iterable[Iterable[str]]) -> Iterable[Iterable[str]]:
        """The answers to the prompts of each document.

        Raises BionerError if one cannot be had; the others' are in the cache then.
        """
        by_doc = [list(of_doc) for of_doc in prompts]
        stop = Event()
        with ThreadPoolExecutor(self.parallel) as pool:
            futures = [[pool.submit(self.answer, p, stop) for p in d] for d in by_doc]
            every = [future for row in futures for future in row]
            try:
                wait(every, return_when=FIRST_EXCEPTION)
                for future in every:  # the one that failed first, if any
                    if future.done():
                        future.result()
                return [[future.result() for future in row] for row in futures]
            except BaseException:
                stop.set()  # those under way do not wait for a further try
                pool.shutdown(cancel_futures=True)
                raise

    def answer(self, prompt: str, stop: Event) -> str:
        """From the cache, or from the server."""
        messages = [{"role": "user", "content": prompt}]
        if self.system is not None:
            messages.insert(0, {"role": "system", "content": self.system})
        request = {**self.config, "model": self.name, "messages": messages}
        key = self.cache.key(request)
        found = self.cache.get(key)
        if found is not None:
            return found
        self.cache.check()
        try:
            found = self._ask(request, stop)
        except Unusable as problem:
            if self.keep_cut and problem.cut is not None:
                return problem.cut
            raise BionerError(
                Errors.B707.format(url=self.url, tries=self.tries, problem=problem)
            ) from None
        self.cache.add(key, found)
        return found

    def _ask(self, request: dict[str, Any], stop: Event) -> str:
        """Raises Unusable if the last try fails too."""
        attempt, cut = 1, None
        while True:
            try:
                return read_answer(self._post(request))
            except Unusable as problem:
                limits = {k: 2 * request[k] for k in LIMITS if request.get(k)}
                if problem.cut is not None:
                    cut, request = problem, {**request, **limits}
                pause = min(self.wait * 2 ** (attempt - 1), LONGEST_WAIT)
                if attempt == self.tries or stop.wait(max(pause, problem.wait)):
                    raise
            except BionerError:
                if cut is None:
                    raise
                raise cut from None  # a greater length is what the server refuses
            attempt += 1

    def _post(self, request: dict[str, Any]) -> requests.Response:
        """Raises Unusable if nothing came back."""
        with requests.Session() as session:
            session.trust_env = False  # no proxy between, no key from ~/.netrc
            try:
                return session.post(
                    self.url,
                    json=request,
                    headers=self._headers(),
                    timeout=self.timeout,
                    allow_redirects=False,
                )
            except requests.Timeout:
                raise Unusable(f"no answer within {self.timeout:g} s") from None
            except requests.RequestException as error:
                kind = type(error).__name__
                raise Unusable(f"the connection failed ({kind})") from None

    def _headers(self) -> dict[str, str]:
        if self.api_key_env is None:
            return {}
        key = os.environ.get(self.api_key_env)
        if not key:
            raise BionerError(Errors.B706.format(variable=self.api_key_env))
        return {"Authorization": f"Bearer {key}"}


def read_answer(response: requests.Response) -> str:
    """The text of a chat completion.

    Raises Unusable if another try may help, else BionerError.
    """
    status = response.status_code
    if status in BUSY or status >= 500:
        problem = f"status {status}{said(response)}"
        raise Unusable(problem, wait=asked_wait(response))
    if status != 200:
        problem = f"status {status}{said(response)}"
        raise BionerError(Errors.B708.format(url=response.url, problem=problem))
    try:
        choice = response.json()["choices"][0]
        content, reason = choice["message"]["content"], choice.get("finish_reason")
    except (ValueError, LookupError, TypeError, AttributeError):
        raise Unusable("the answer is no chat completion") from None
    if not isinstance(content, str):
        raise Unusable("the answer has no text")
    if reason == "content_filter":
        problem = "its content filter took text out of the answer"
        raise BionerError(Errors.B708.format(url=response.url, problem=problem))
    if reason == "length":
        raise Unusable(
            "the answer was cut at its greatest length; raise max_tokens in the "
            "model's config, or lower max_chars in the task's",
            cut=content,
        )
    return content.encode("utf8", "replace").decode("utf8")  # no half of a surrogate


def said(response: requests.Response) -> str:
    """The error message of the server, shortened. Nothing else of its reply: some
    servers send the request, and so the text, back."""
    try:
        message = response.json()["error"]["message"]
    except (ValueError, LookupError, TypeError):
        return ""
    return f": {str(message)[:200]}"


def asked_wait(response: requests.Response) -> float:
    """The seconds of a Retry-After header, at most ten minutes."""
    try:
        return min(max(float(response.headers["Retry-After"]), 0.0), 600.0)
    except (KeyError, ValueError):  # none, or a date
        return 0.0
