"""A language model's server on loopback that tags by a dictionary and can misbehave."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

DICTIONARY = {
    "DISEASE": ["renal failure", "asthma", "肺癌"],
    "CHEMICAL": ["aspirin", "[Ca2+]i", "吉非替尼"],
}


def tag(prompt: str) -> str:
    """The answer of a model that knows the dictionary and does as it is told."""
    text = re.split(r"(?m)^(?:Text: |文本：)", prompt)[-1].split("\n")[0]
    lines = []
    for label, words in DICTIONARY.items():
        written = [re.sub(r"([\[\]])", r"\\\1", word) for word in words]
        any_word = "|".join(map(re.escape, written))
        tagged = re.sub(any_word, lambda m: f"[{m[0]}]", text)
        if tagged != text:
            lines.append(f"{label}: {tagged}")
    return "\n".join(lines) or "NONE"


class Server(ThreadingHTTPServer):
    """Speaks the OpenAI chat API; `faults` are what it does to the next requests.

    A fault is a status, or "timeout", "hang_up", "half_body", "no_json", "no_choices",
    "no_text", "cut", "filtered", "redirect", or a function of the handler.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.reply: Callable[[str], str] = tag
        self.faults: deque = deque()
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.connections = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def get_request(self):
        self.connections += 1
        return super().get_request()

    def handle_error(self, request, client_address) -> None:
        """A client that went away is part of the tests."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(body)
        self.server.headers.append(dict(self.headers))
        self.server.paths.append(self.path)
        fault = self.server.faults.popleft() if self.server.faults else None
        prompt = body["messages"][-1]["content"]
        content, reason = self.server.reply(prompt), "stop"
        if isinstance(fault, int):
            error = {"message": f"as you wished: {fault}", "echo": prompt}
            self.send(fault, {"error": error}, {"Retry-After": "0"})
            return
        if fault == "timeout":
            time.sleep(1.4)
        elif fault == "hang_up":
            self.close_connection = True
            return
        elif fault == "half_body":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"choices": [{"message": {"con')
            self.close_connection = True
            return
        elif fault == "no_json":
            self.send(200, b"<html>Starting, please wait</html>")
            return
        elif fault == "no_choices":
            self.send(200, {"choices": []})
            return
        elif fault == "no_text":
            content = None
        elif fault == "filtered":
            content, reason = "", "content_filter"
        elif fault == "cut":
            content, reason = content[: len(content) // 2], "length"
        elif fault == "redirect":
            self.send(307, {}, {"Location": self.server.endpoint + "/elsewhere"})
            return
        message = {"role": "assistant", "content": content}
        self.send(200, {"choices": [{"message": message, "finish_reason": reason}]})

    def send(self, status: int, body: Any, headers: dict[str, str] | None = None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": len(data)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
