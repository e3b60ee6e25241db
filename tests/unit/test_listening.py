"""Whether a port can be listened on, before anything starts."""

import socket

import pytest

from services import listening
from services.errors import Unavailable


@pytest.mark.parametrize("bind", ["", "127.0.0.1"])
def test_a_taken_port_is_told_with_the_setting_that_names_it(bind):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(Unavailable) as told:
            listening.check("PUSHLOG_SSH_PORT", bind, port)
    assert str(told.value) == (
        f"PUSHLOG_SSH_PORT: {port} cannot be listened on: Address already in use; allowed is a free port"
    )


@pytest.mark.parametrize("bind", ["", "127.0.0.1", "localhost"])
def test_a_free_port_passes_and_stays_free(bind):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    listening.check("PUSHLOG_SSH_PORT", bind, port)
    listening.check("PUSHLOG_SSH_PORT", bind, port)


def test_an_address_that_is_not_this_machines_is_told():
    with pytest.raises(Unavailable, match=r"^PUSHLOG_HTTP_PORT: 8080 cannot be listened on: "):
        listening.check("PUSHLOG_HTTP_PORT", "192.0.2.1", 8080)
