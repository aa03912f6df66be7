"""Stands between the functions and the emulated AWS, and writes down what they ask of it.

The emulator's own trail has only what was answered, and of some calls not what they were about.
"""

import http.client
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from calls import Sent
from emulators import HOST

# What belongs to one connection and not to the request or the answer.
OF_THE_CONNECTION = {"connection", "content-length", "keep-alive", "transfer-encoding"}


class Recorder:
    """Passes requests on as they came, so that their signatures hold, and keeps each with who sent it."""

    def __init__(self, endpoint):
        self._endpoint = urlsplit(endpoint).netloc
        self._servers = []
        self._seen = {}
        self._one_at_a_time = threading.Lock()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def listen(self, who=None):
        """Opens another address, whose requests are those of `who`, or of whoever's access key they are signed with; returns
        its URL."""
        recorder = self

        class Handler(_Handler):
            def record(self, sent):
                recorder._record(who or sent.key_id, sent)

        Handler.endpoint = self._endpoint
        server = ThreadingHTTPServer((HOST, 0), Handler)
        server.daemon_threads = True
        self._servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://{HOST}:{server.server_address[1]}"

    def seen(self):
        """The requests so far, by who sent them."""
        with self._one_at_a_time:
            return {who: list(requests) for who, requests in self._seen.items()}

    def _record(self, who, sent):
        with self._one_at_a_time:
            # A dict keeps the order, and each once.
            self._seen.setdefault(who, {})[sent] = None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Small answers would wait for each other.
    disable_nagle_algorithm = True
    wbufsize = -1

    def pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.record(sent(self.command, self.path, self.headers, body))
        onward = http.client.HTTPConnection(self.endpoint, timeout=60)
        try:
            onward.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in OF_THE_CONNECTION:
                    onward.putheader(name, value)
            onward.putheader("Content-Length", str(len(body)))
            onward.endheaders(body)
            answer = onward.getresponse()
            text = answer.read()
        finally:
            onward.close()
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in OF_THE_CONNECTION:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on  # noqa: N815, the names are the library's

    def log_message(self, *_):
        pass


def sent(method, path, headers, body):
    """A request as it is written down: by whom, and of which service, its signature says."""
    signature = re.search(r"Credential=([^/]+)/\d+/[^/]+/([^/]+)/aws4_request", headers.get("Authorization", ""))
    key_id, service = signature.groups() if signature else ("nobody", "unsigned")
    return Sent(key_id, service, method, path, headers.get("X-Amz-Target", ""), body)
