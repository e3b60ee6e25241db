"""Which containers are no release's: anybody can give a container our labels."""

import pytest

from deployer.containers import Found
from deployer.mend import is_stray
from deployer.spec import labelled

MINE = {"pushlog.made-by": "r1", "pushlog.attempt": "1", "pushlog.process": "web", "pushlog.number": "1"}
WANTED = {("r1", 1, "web", 1): "10.0.0.5"}


def found(labels, state="running", address="10.0.0.5"):
    return Found("id", "name", state, labelled(labels), "app", labels, address)


@pytest.mark.parametrize("changed", [{"attempt": "many"}, {"attempt": "2"}, {"number": ""}, {"made-by": "me"}])
def test_labels_that_name_no_slot_make_a_stray(changed):
    labels = MINE | {f"pushlog.{key}": value for key, value in changed.items()}
    assert is_stray(found(labels), WANTED)


def test_a_container_without_any_other_label_of_ours_is_a_stray_and_no_error():
    assert is_stray(found({"pushlog.made-by": "me"}), WANTED)


def test_a_container_that_does_not_say_who_made_it_is_no_apps_process():
    assert labelled({"pushlog.instance": "pushlog", "pushlog.process": ""}) is None


@pytest.mark.parametrize(("address", "stray"), [("10.0.0.5", False), ("10.0.0.6", True)])
def test_what_does_not_run_and_was_made_for_another_address_is_from_before_a_move(address, stray):
    assert is_stray(found(MINE | {"pushlog.address": address}, "exited", ""), WANTED) is stray


@pytest.mark.parametrize(
    ("state", "address", "stray"),
    [
        ("running", "10.0.0.5", False),
        ("running", "10.0.0.6", True),
        ("running", "", True),
        ("exited", "", False),
        ("restarting", "", False),
        ("created", "", False),
    ],
)
def test_what_runs_elsewhere_than_at_its_address_is_a_copy_or_cut_off(state, address, stray):
    assert is_stray(found(MINE, state, address), WANTED) is stray
