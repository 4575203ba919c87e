"""A real HTTP server with the chat and images endpoints of the OpenAI protocol, and its faults."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

from pamela.steer.rewriters.protocol import write_answer


@dataclass(frozen=True)
class Reply:
    """What the server says in place of a good answer.

    Attributes
    ----------
    body : bytes as they are, or what is written as JSON.
    delay_s : silence before it; `drip_s` : between its bytes. `hang_up` : no word at all.
    """

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    drip_s: float = 0.0
    hang_up: bool = False


def says(content: Any, status: int = 200) -> Reply:
    """Return the reply of a language model that answers `content`."""
    return Reply(status, {"choices": [{"message": {"content": content}, "finish_reason": "stop"}]})


@dataclass
class ModelServer:
    """A running server: its address, what it was asked, and what it will answer next.

    Attributes
    ----------
    script : replies to the next requests, in turn; a None is a good answer, as those after it.
    always : a reply to all of them.
    refused : fields of a request that it does not know: status 400.
    """

    url: str = ""
    script: deque[Reply | None] = field(default_factory=deque)
    always: Reply | None = None
    refused: tuple[str, ...] = ()
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def reply(self, path: str, body: dict[str, Any]) -> Reply:
        if self.always is not None:
            return self.always
        planned = self.script.popleft() if self.script else None
        if planned is not None:
            return planned
        if unknown := [name for name in self.refused if name in body]:
            return Reply(400, {"error": {"message": f"unknown field {unknown[0]}"}})
        return variants(body) if path.endswith("/chat/completions") else picture(body)


def variants(body: dict[str, Any]) -> Reply:
    """Return as many variants as the last message asks for; the same for the same seed."""
    text = body["messages"][-1]["content"]
    prompt = re.search(r"^Original prompt: (.*)$", text, re.M)[1]
    n = int(re.search(r"^Write (\d+) new prompts\.$", text, re.M)[1])
    return says(write_answer(f"{prompt}, look {body['seed']}-{i}" for i in range(n)))


def picture(body: dict[str, Any]) -> Reply:
    """Return a picture in one colour, which prompt and seed decide."""
    size = tuple(map(int, body["size"].split("x")))
    colour = hashlib.sha256(f"{body['prompt']} {body.get('seed')}".encode()).digest()[:3]
    stream = io.BytesIO()
    Image.new("RGB", size, tuple(colour)).save(stream, "PNG")
    coded = base64.b64encode(stream.getvalue()).decode()
    return Reply(200, {"data": [{"b64_json": coded}]})


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that went away; the standard one writes a traceback into the test's output


@contextmanager
def model_server() -> Iterator[ModelServer]:
    """Run a server on loopback until the block ends."""
    server = ModelServer()
    lock = threading.Lock()
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                server.asked.append(body)
                server.keys.append(self.headers.get("Authorization", ""))
                server.times.append(time.monotonic())
                reply = server.reply(self.path, body)
            over.wait(reply.delay_s)
            self.close_connection = True
            if reply.hang_up:
                return
            raw = isinstance(reply.body, bytes)
            content = reply.body if raw else json.dumps(reply.body).encode()
            with suppress(OSError):  # the client has gone
                self._send(reply, content)

        def _send(self, reply: Reply, content: bytes) -> None:
            self.send_response(reply.status)
            headers = {
                "Content-Type": "application/json",
                "Content-Length": str(len(content)),
                "Connection": "close",  # else a client may use it again as it closes
            }
            for name, value in (headers | reply.headers).items():
                self.send_header(name, value)
            self.end_headers()
            if not reply.drip_s:
                self.wfile.write(content)
            for byte in content if reply.drip_s else b"":
                self.wfile.write(bytes([byte]))
                over.wait(reply.drip_s)

        def log_message(self, format: str, *args: object) -> None:
            pass

    http = _Quiet(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_port}/v1"
    threading.Thread(target=http.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        over.set()
        http.shutdown()
        http.server_close()
