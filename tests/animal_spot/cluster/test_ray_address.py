"""cluster/ray_cluster.py: an address where no Ray is."""

from __future__ import annotations

import socket
import threading

import pytest

from animal_spot.cluster import ray_cluster
from animal_spot.utils.errors import RunError

pytest.importorskip("ray", reason="the extra cluster is not installed")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", "another program", id="web-page"),
        pytest.param(b"", "another program", id="hangs-up"),
        pytest.param(None, "timed out", id="silent"),
    ],
)
@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_port_of_another_program_is_refused_at_once(scheme, answer, said, monkeypatch):
    """Ray tried for more than three minutes, and its own lines came between."""
    monkeypatch.setattr(ray_cluster, "_ANSWER_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = threading.Event()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                if answer is None:
                    done.wait(10)
                else:
                    connection.recv(64)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        address = f"{scheme}127.0.0.1:{server.getsockname()[1]}"
        with (
            pytest.raises(RunError, match=f"no cluster there.*{said}"),
            ray_cluster.connected(address),
        ):
            pass
        done.set()
        thread.join(10)
