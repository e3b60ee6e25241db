"""What a neighbour feels of an attack: the same commands and requests without and with it, in turns. Needs root."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from tests.attacks.means import door, router
from tests.attacks.neighbour import COMMAND_AIM, Felt, Neighbour
from tests.attacks.places import place
from tests.bench.figures import Figure, note
from tests.bench.workbench import Workbench, say
from tests.e2e.harness import Instance

Attack = Callable[[Instance, Neighbour], AbstractContextManager[Any]]
ATTACKS: dict[str, Attack] = {
    "silent logins": lambda instance, user: door.silent_logins(instance, user.place),
    "key exchanges": lambda instance, user: door.key_exchanges(instance, user.place),
    "idle sessions": door.idle_sessions,
    "half requests": lambda instance, user: router.half_requests(instance, user.place, instance.host(user.app)),
    "half uploads": lambda instance, user: router.half_uploads(instance, user.place, instance.host(user.app)),
}
"""Each is made by somebody with an address of their own, and a key where it needs one."""
WINDOW = 5.0
ROUNDS = 3


def attacks(bench: Workbench) -> Sequence[Figure]:
    """Two figures an attack: the p95 of `ssh … apps:exists` in seconds, and how many times the p99 of a request is."""
    figures: list[Figure] = []
    with place() as here, place() as there:
        neighbour = Neighbour(bench.instance, here, bench.folder)
        attacker = Neighbour(bench.instance, there, bench.folder, "attacker")
        neighbour.push()
        attacker.push()
        for name, attack in ATTACKS.items():
            figures += felt(name, attack, bench.instance, neighbour, attacker)
    return figures


def felt(name: str, attack: Attack, instance: Instance, neighbour: Neighbour, attacker: Neighbour) -> list[Figure]:
    """What the neighbour feels of one attack."""
    command = Figure(f"attack-{name}", f"{name}: apps:exists, p95", "s", COMMAND_AIM)
    request = Figure(f"attack-{name}-request", f"{name}: a request, p99", "x", 2)
    for number in range(1, ROUNDS + 1):
        say(f"{name}: {number} of {ROUNDS}")
        quiet = look(neighbour, nullcontext())
        attacked = look(neighbour, attack(instance, attacker))
        command.runs.append(attacked.p95())
        request.runs.append(attacked.p99() / quiet.p99())
        note(command.beside, {"without it": quiet.p95()})
        note(request.beside, {"seconds": attacked.p99(), "without it": quiet.p99()})
        for figure in (command, request):
            figure.asked += len(attacked.commands if figure is command else attacked.requests)
        command.failed = [*command.failed, *attacked.failures]
    return [command, request]


def look(neighbour: Neighbour, attack: AbstractContextManager[Any]) -> Felt:
    """What the neighbour feels in WINDOW seconds of the attack."""
    with attack, neighbour.using(push=False) as seen:
        time.sleep(WINDOW)
    return seen
