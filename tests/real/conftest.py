"""Fixtures of the tests on real parts: fresh names, ports and homes, and nothing left behind."""

from contextlib import ExitStack

import pytest

from router.nginx import Nginx
from services.settings import Settings
from tests.real.web import WebApp, free_port


def settings_in(folder):
    """Settings of an instance of its own: a home that only its owner may enter, and a free port of 127.0.0.1."""
    home = folder / "home [of] *one*"
    home.mkdir(mode=0o700)
    return Settings(home=home, http_port=free_port(), http_bind="127.0.0.1", drain=1, check_timeout=5)


@pytest.fixture
def router_settings(tmp_path):
    """Settings for a router, fresh for each test."""
    return settings_in(tmp_path)


@pytest.fixture
def nginx(router_settings):
    """An nginx that serves nothing yet, and is stopped at the end."""
    nginx = Nginx(router_settings)
    nginx.ensure([])
    yield nginx
    nginx.stop()


@pytest.fixture
def web_app():
    """Makes a WebApp from its arguments; all are closed at the end."""
    with ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(WebApp(*args, **kwargs))
