"""What waits at a broker when a process begins to listen."""

import subprocess
import sys
from pathlib import Path

from tests.real.listener import MESSAGES

ROOT = Path(__file__).parents[2]


def test_a_process_hears_what_waits_in_one_queue_while_it_begins_to_listen_to_the_others(amqp_url):
    done = subprocess.run(
        [sys.executable, "-m", "tests.real.listener", amqp_url], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == [str(number) for number in range(MESSAGES)], done.stderr
