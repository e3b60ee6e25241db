"""How long Docker is waited for, and what is said when it does not answer."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.errors import APIError

from services import engine
from services.errors import Unavailable


@pytest.fixture
def silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An engine that takes connections and never says a word."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "docker.sock"))
        listener.listen()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
        yield


def test_a_question_waits_less_long_than_a_command_may_take_and_work_on_files_long():
    assert engine.deadline("GET", "/v1.41/containers/json?all=1") == engine.ASK
    assert engine.deadline("GET", "/v1.41/containers/json?all=1&size=1") == engine.WORK
    assert engine.deadline("GET", "/v1.41/system/df") == engine.ADD_UP
    assert engine.deadline("POST", "/v1.41/containers/create?name=commit") == engine.CHANGE
    assert engine.deadline("POST", "/v1.41/commit?container=1") == engine.WORK
    assert engine.deadline("PUT", "/v1.41/containers/1/archive?path=/") == engine.WORK
    assert engine.ASK < 10


def test_an_engine_that_says_nothing_is_unavailable_after_the_deadline(silent, monkeypatch):
    monkeypatch.setattr(engine, "ASK", 0.05)
    with pytest.raises(Unavailable, match=r"^Docker does not answer in time$"), engine.answering():
        engine.connect().api.containers()


def test_a_deadline_of_the_calls_own_counts(silent):
    with pytest.raises(Unavailable, match=r"^Docker does not answer in time$"), engine.answering():
        engine.connect().api.wait("container", timeout=0.05)


def test_an_engine_that_is_not_there_is_unavailable_with_the_systems_words(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(Unavailable, match=r"^Docker does not answer: Connection refused$"), engine.answering():
        engine.connect().ping()


def test_one_connection_serves_whatever_is_asked_in_turn(tmp_path, monkeypatch):
    connections, answer = [], b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]"

    class Engine(socketserver.StreamRequestHandler):
        def handle(self):
            connections.append(self)
            while line := self.rfile.readline():
                if line == b"\r\n":
                    self.wfile.write(answer)

    with socketserver.ThreadingUnixStreamServer(str(tmp_path / "docker.sock"), Engine) as server:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = engine.connect()
        for name in "abc":
            client.api.diff(name)
        client.close()
        server.shutdown()
    assert len(connections) == 1


def test_what_docker_refuses_is_left_to_the_asker():
    with pytest.raises(APIError), engine.answering():
        raise APIError("no")
