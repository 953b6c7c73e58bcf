"""A loopback HTTP server that breaks off when it is told to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FragileServer:
    """Serves one content and counts what it sent.

    Attributes:
        content: What it serves.
        ends: For every further answer: the offset in the content at which the connection breaks off. Once the list is
            used up, answers are whole.
        resumes: Whether it knows the ``Range`` header.
        status: Status to answer with instead of serving, if set.
        sent: Bytes of content sent so far.
        requests: Number of requests so far.
        url: Where it listens.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.ends: list[int] = []
        self.resumes = True
        self.status: int | None = None
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
        handler.send_response(206 if asked else 200)
        handler.send_header("Content-Length", str(len(self.content) - start))
        handler.end_headers()
        part = self.content[start : max(start, end)]
        self.sent += len(part)
        handler.wfile.write(part)  # fewer bytes than announced; then the connection is closed


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
        server.shutdown()
        server.server_close()
        thread.join()
