"""Hops and RPC on both busses, each scene in a process of its own (tests/real/busses.py)."""

import json
import subprocess
import sys

import pytest

from services.agenda import TRIES


@pytest.fixture(params=["inprocess", "rabbitmq"])
def play(request, tmp_path):
    """Plays a scene on each bus and returns what came of it."""
    url = request.getfixturevalue("amqp_url") if request.param == "rabbitmq" else "inprocess://localhost"

    def run(scene):
        done = subprocess.run(
            [sys.executable, "-m", "tests.real.busses", scene, str(tmp_path), url],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    return run


def test_rpc_carries_answers_and_users_errors_but_no_details_of_faults(play):
    doubled, refused, particular, broken = play("answers")
    assert doubled == 42
    assert refused == ["NoSuchApp", 20, "App x does not exist"]
    assert particular == ["Refused", 1, "no"]
    assert broken == ["PushlogError", 1, "callee failed: RuntimeError; its log says more"]


def test_rpc_ends_within_its_deadline_and_a_dead_callee_stops_nobody_else(play):
    alive, hung, nobody, in_time = play("deadline")
    assert alive == 2
    assert hung == ["Unavailable", 1, "callee did not answer within 9 s"]
    assert nobody == "Unavailable"
    assert in_time


def test_what_cannot_be_sent_is_its_senders_failure_and_the_next_message_goes(play):
    assert play("unsendable") == ["EncodeError", "sent"]


def test_each_push_is_taken_once_and_one_apps_pushes_in_the_logs_order(play):
    seen = play("pushes")
    assert [number for app, number in seen if app == "1"] == [0, 1, 2]
    assert [number for app, number in seen if app == "2"] == [0, 1, 2]


def test_work_that_fails_is_done_again_after_a_growing_pause(play):
    assert play("failing") == [3, True, True]


def test_a_log_that_does_not_answer_when_work_ends_stops_nothing(play):
    assert play("interrupted") == [0, 1]


def test_work_that_keeps_failing_is_given_up_with_its_reason_and_the_apps_next_goes_on(play):
    tries, reasons, traces = play("hopeless")
    given_up = f"builder failed: RuntimeError; its log says more; given up after {TRIES} tries"
    assert tries == [TRIES, TRIES, 1]
    assert reasons == [given_up, given_up, "x"]
    assert traces == 2, "one for each push"


def test_nothing_is_given_up_because_the_log_does_not_answer(play):
    assert play("log_away") == ["x"]


def test_a_bus_that_does_not_answer_for_a_moment_is_rung_again(play):
    assert play("muted") == ["lost", "push.received"]


def test_what_was_recorded_before_a_service_started_is_done_when_it_starts(play):
    assert play("late") == [["1", 7]]


def test_a_hop_that_mends_acts_once_on_each_event(play):
    assert play("destroyed") == 1


def test_what_runs_at_start_runs_again_when_it_failed(play):
    assert play("beginning") == 2
