"""A web server on this machine that serves files, and fails in the ways that servers do."""

import io
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Site:
    """Serves `files` by path; a context that ends the server.

    Attributes:
        files: What is served, by path.
        statuses: The status of the next requests, in order, before it serves files again.
        cuts: After how many bytes the next answers end, in order; None for the whole answer.
        ranges: Whether it understands requests for a part of a file.
        hangs: Whether it accepts requests and says nothing.
        asked: The path and the range of each request so far.
    """

    def __init__(self):
        self.files, self.statuses, self.cuts, self.asked = {}, [], [], []
        self.ranges, self.hangs = True, False
        self.over = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))

    def url(self, path):
        return f"http://127.0.0.1:{self.server.server_port}/{path}"

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def _handler(self):
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):  # The library calls it by this name.
                site.answer(self)

            def log_message(self, *_):
                pass

        return Handler

    def answer(self, request):
        range_ = request.headers.get("Range")
        self.asked.append((request.path.lstrip("/"), range_))
        if self.hangs:
            self.over.wait()
            return
        content = self.files.get(request.path.lstrip("/"))
        status = self.statuses.pop(0) if self.statuses else 404 if content is None else 200
        if status != 200:
            request.send_error(status)
            return
        start = int(range_.removeprefix("bytes=").rstrip("-")) if range_ and self.ranges else 0
        total = len(content)
        if start and start >= total:
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{total}")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        request.send_header("Content-Length", str(total - start))
        request.end_headers()
        cut = self.cuts.pop(0) if self.cuts else None
        request.wfile.write(content[start:] if cut is None else content[start : start + cut])


def publish(site, archive, folder):
    """Serve a folder as the archive of a dataset; returns the archive with its address there."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        for path in sorted(folder.rglob("*")):
            packed.write(path, path.relative_to(folder))
    site.files[archive.name] = content.getvalue()
    return replace(archive, url=site.url(archive.name), sha256=None)
