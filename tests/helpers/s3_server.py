"""An S3 server on this computer, and a gate before it that fails as it is told."""

from __future__ import annotations

import contextlib
import http.client
import logging
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

KEY_ID, SECRET = "AKIDOFTHISTEST01", "a-secret-that-nobody-may-see-7731"


class Gate:
    """Passes requests on to a server.

    Args:
        target: Host and port of the server.

    Attributes:
        fails: How many requests for a name are answered with status 503.
        forbidden: Names that nobody may have.
        client: Of the server itself.
        asked: How often each path was asked for, and how.
    """

    def __init__(self, target: str) -> None:
        import boto3

        self.fails: dict[str, int] = {}
        self.forbidden: set[str] = set()
        self.asked: Counter[tuple[str, str]] = Counter()
        self.client = boto3.client(  # goes past the gate
            "s3",
            endpoint_url=f"http://{target}",
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
        )
        gate = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self) -> None:
                headers = dict(self.headers)
                if headers.pop("Transfer-Encoding", "") == "chunked":
                    content = self.read_chunks()
                else:
                    content = self.rfile.read(int(headers.get("Content-Length") or 0))
                status, headers, answer = gate.answer(
                    target, self.command, self.path, headers, content
                )
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                        self.send_header(name, value)
                length = headers.get("Content-Length", len(answer))
                self.send_header(
                    "Content-Length", length if self.command == "HEAD" else len(answer)
                )
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer)

            def read_chunks(self) -> bytes:
                content = b""
                while n := int(self.rfile.readline(), 16):
                    content += self.rfile.read(n)
                    self.rfile.readline()
                self.rfile.readline()
                return content

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = pass_on  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def answer(
        self, target: str, method: str, path: str, headers: dict[str, str], content: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        name = path.partition("?")[0].rpartition("/")[2]
        self.asked[method, path.partition("?")[0]] += 1
        if any(word in path for word in self.forbidden):
            return 403, {}, b"" if method == "HEAD" else _error("AccessDenied")
        if method == "GET" and self.fails.get(name, 0) > 0:
            self.fails[name] -= 1
            return 503, {}, _error("ServiceUnavailable")
        with contextlib.closing(http.client.HTTPConnection(target)) as connection:
            connection.request(method, path, content or None, headers)
            response = connection.getresponse()
            return response.status, dict(response.headers), response.read()


def _error(code: str) -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()


@contextlib.contextmanager
def s3_server() -> Iterator[tuple[Gate, dict[str, str]]]:
    """Run a server with an empty bucket ``archive``; give its gate and what a program must know."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    gate = Gate(f"{host}:{port}")
    threading.Thread(target=gate.server.serve_forever, daemon=True).start()
    try:
        gate.client.create_bucket(Bucket="archive")
        yield (
            gate,
            {
                "AWS_ENDPOINT_URL": gate.address,
                "AWS_ACCESS_KEY_ID": KEY_ID,
                "AWS_SECRET_ACCESS_KEY": SECRET,
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_MAX_ATTEMPTS": "1",  # of the library itself: patience is ours
                "AWS_EC2_METADATA_DISABLED": "true",
            },
        )
    finally:
        gate.server.shutdown()
        gate.server.server_close()
        server.stop()


def put_folder(gate: Gate, folder: Path, prefix: str) -> None:
    """Copy the files of a folder into the bucket."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        put(gate, path, f"{prefix}/{path.relative_to(folder).as_posix()}")


def put(gate: Gate, path: Path, key: str) -> None:
    """Copy a file into the bucket."""
    gate.client.put_object(Bucket="archive", Key=key, Body=path.read_bytes())
