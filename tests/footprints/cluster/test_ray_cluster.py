"""Room in a cluster, and addresses where there is none."""

from __future__ import annotations

import socket

import pytest

from footprints.cluster.ray_cluster import Shares, connected, shared_out
from footprints.system.errors import UserError

TWO_NODES = [{"CPU": 8.0}, {"CPU": 3.0}, {}]


@pytest.mark.parametrize(
    ("nodes", "wanted", "shares"),
    [
        (TWO_NODES, None, Shares(5, 2)),
        (TWO_NODES, 2, Shares(2, 4)),
        (TWO_NODES, 3, Shares(3, 3)),
        (TWO_NODES, 11, Shares(11, 1)),
        ([{"CPU": 1.0}], None, Shares(1, 1)),
    ],
)
def test_workers_find_room_on_single_nodes(nodes, wanted, shares):
    assert shared_out(nodes, wanted) == shares


def test_more_workers_than_cores_are_refused():
    with pytest.raises(UserError, match="room for 11 workers"):
        shared_out(TWO_NODES, 12)


def test_an_address_where_nothing_answers_is_refused_at_once():
    pytest.importorskip("ray", reason="the extra cluster is not installed")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        refused = pytest.raises(UserError, match=f"--ray {address}: no cluster there")
        with refused, connected(address):
            pass
