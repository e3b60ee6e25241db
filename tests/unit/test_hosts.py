"""Which hosts an app may take from now on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services import hosts
from services.errors import BadInput

TAKEN = [
    "hello.localhost",
    "a.b",
    "*.a.com",
    "1.a.com",
    "xn--bcher-kva.example",
    "shop.xn--p1ai",
    "xn--strae-oqa.de",
    "xn--i-7iq.ws",
    "xn--fiqs8s.xn--fiqs8s",
    "0x.com",
    "a.0xg",
    "10.0.0.1.nip.io",
    "xn--mgba3gch31f060k.com",
]
REFUSED = {
    "is a single label": ["com", "localhost", "intranet", "a", "xn--p1ai"],
    "ends in a number": ["a.1", "a.0x7f", "1.2.3.0x4", "a.0x", "shop.example.10", "*.a.10"],
    "is not punycode": [
        "xn--a.com",
        "xn--99999999.com",
        "www.xn--zzzzzzzzzzzz.com",
        "xn--abc.example",
    ],
    "is not a host name": ["A.com", "a_b.com", "a..b", "*.com", "xn--.com", "-a.b", "a.com."],
    "is an address": ["1.2.3.4"],
}


@pytest.mark.parametrize("host", TAKEN)
def test_a_domain_name_may_be_taken(host: str) -> None:
    assert hosts.new(host) == host


@pytest.mark.parametrize(("why", "host"), [(why, host) for why, several in REFUSED.items() for host in several])
def test_what_is_no_domain_name_is_refused_with_the_reason_and_an_example(why: str, host: str) -> None:
    with pytest.raises(BadInput, match=rf"^domain: \".*\" {why}"):
        hosts.new(host)
    assert not hosts.is_new(host)


@given(st.from_regex(r"xn--[a-z0-9-]{1,40}[a-z0-9]\.com", fullmatch=True))
def test_any_label_is_answered(host: str) -> None:
    hosts.is_new(host)


@given(st.text(st.characters(categories=["Ll", "Lo", "Nd"]), min_size=1, max_size=20))
def test_what_idna_makes_of_a_name_may_be_taken(name: str) -> None:
    try:
        label = name.encode("idna").decode()
    except UnicodeError:
        return
    if label.startswith("xn--"):
        assert hosts.new(f"{label}.com")
