"""What strangers can have written into the log."""

import logging

from gitreceiver.ssh.seldom import Seldom


def test_only_so_many_lines_pass_in_a_while_and_the_last_says_so():
    now = [0.0]
    seldom = Seldom(2, 60.0, lambda: now[0])

    def passed():
        records = [logging.makeLogRecord({"msg": "key %s", "args": ("k",)}) for _ in range(4)]
        return [record.getMessage() for record in records if seldom.filter(record)]

    assert passed() == ["key k", "key k (more of these are left out for up to 60 s)"]
    assert passed() == []
    now[0] = 61.0
    assert len(passed()) == 2
