"""A loopback HTTP server that breaks off when it is told to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FragileServer:
    """Serves one content and counts what it sent.

    Attributes:
        content: What it serves.
        ends: For every further answer: the offset in the content at which the connection breaks off. Once the list is
            used up, answers are whole.
        resumes: Whether it knows the ``Range`` header.
        status: Status to answer with instead of serving, if set.
        manner: ``whole``; ``endless``, content over and over; ``dripping``, a byte now and then; ``dripping headers``.
        announces: Whether it says how long the answer will be.
        sent: Bytes of content sent so far.
        requests: Number of requests so far.
        url: Where it listens.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.ends: list[int] = []
        self.resumes = True
        self.status: int | None = None
        self.manner = "whole"
        self.announces = True
        self.stopped = threading.Event()
        self.sent = 0
        self.requests = 0
        self.url = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        self.requests += 1
        asked = handler.headers.get("Range", "") if self.resumes else ""
        start = int(asked.removeprefix("bytes=").partition("-")[0] or 0)
        end = self.ends.pop(0) if self.ends else len(self.content)
        if self.status or start >= len(self.content):
            handler.send_error(self.status or 416)
            return
        if self.manner == "dripping headers":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Endless: ")
            self._drip(handler, b"x" * 10**6)
            return
        handler.send_response(206 if asked else 200)
        if self.announces:
            length = 10**12 if self.manner == "endless" else len(self.content) - start
            handler.send_header("Content-Length", str(length))
        handler.end_headers()
        if self.manner != "whole":
            self._drip(handler, self.content) if self.manner == "dripping" else self._flood(handler)
            return
        part = self.content[start : max(start, end)]
        self.sent += len(part)
        handler.wfile.write(part)  # fewer bytes than announced; then the connection is closed

    def _drip(self, handler: BaseHTTPRequestHandler, content: bytes) -> None:
        with suppress(OSError):
            for place in range(len(content)):
                handler.wfile.write(content[place : place + 1])
                if self.stopped.wait(0.02):
                    return

    def _flood(self, handler: BaseHTTPRequestHandler) -> None:
        with suppress(OSError):
            while not self.stopped.is_set():
                handler.wfile.write(self.content)


@contextmanager
def serving(content: bytes) -> Iterator[FragileServer]:
    """Run a server for the length of a block."""
    fragile = FragileServer(content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fragile.answer(self)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fragile.url = f"http://127.0.0.1:{server.server_port}/archive.zip"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield fragile
    finally:
        fragile.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()
