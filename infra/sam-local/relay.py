"""Hands on connections to an address of this machine to the same port of its loopback: who runs in a container reaches, at the
address of the bridge, a program that listens on loopback alone.
"""

import contextlib
import socket
import socketserver
import threading

LOOPBACK = "127.0.0.1"


class _Connection(socketserver.BaseRequestHandler):
    def handle(self):
        port = self.server.server_address[1]
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port)) as inner:
            back = threading.Thread(target=_pour, args=(inner, self.request), daemon=True)
            back.start()
            _pour(self.request, inner)
            back.join()


def _pour(source, sink):
    """All that comes from one side, to the other; then tells it that nothing follows."""
    with contextlib.suppress(OSError):
        while some := source.recv(65536):
            sink.sendall(some)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextlib.contextmanager
def relayed(address, port):
    """For as long as the `with` block lasts."""
    with _Server((address, port), _Connection) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()
