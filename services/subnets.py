"""How many addresses the apps' network has for containers."""

import ipaddress

PREFIX = 20
"""Of a network that no setting names."""
FIRST_HOST = 16
"""What stands before it is for the gateway and what an operator adds."""


def room(subnet: str | None) -> int:
    """How many containers find an address in `subnet`, the setting of that name."""
    addresses = ipaddress.ip_network(subnet).num_addresses if subnet else 1 << (32 - PREFIX)
    return addresses - FIRST_HOST - 1
