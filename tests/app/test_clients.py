"""Clients and hosts are recognised in every spelling of their addresses and names."""

import io

import painter
import pytest

from app.addresses import is_known, normalized
from app.clients import client_of_address

PHOTO = painter.encoded(painter.lesion())
IPV6_HOUSEHOLD = [
    "2001:db8:7:1::1",
    "2001:db8:7:1:ffff:ffff:ffff:ffff",
    "2001:DB8:7:1::2",
    "2001:0db8:0007:0001:0000:0000:0000:0003",
    "[2001:db8:7:1::4]",
    "[2001:db8:7:1::5]:4711",
    '"[2001:db8:7:1::6]:4711"',
    "[2001:db8:7:1::6]:_port",
    " 2001:db8:7:1::7 ",
    "2001:db8:7:1::8%eth0",
]
IPV4 = [
    "198.51.100.4",
    "198.51.100.4:4711",
    " 198.51.100.4",
    '"198.51.100.4:4711"',
    '"198.51.100.4"',
    "198.51.100.4:_port",
    "::ffff:198.51.100.4",
    "::FFFF:c633:6404",
    "[::ffff:198.51.100.4]:4711",
    "64:ff9b::198.51.100.4",
]
UNREADABLE = ["", "unknown", "_hidden", "198.51.100", "2001:db8::1::2", "evil", "198.51.100.4, x"]


@pytest.mark.parametrize(
    "addresses", [IPV6_HOUSEHOLD, IPV4, UNREADABLE], ids=["IPv6", "IPv4", "unreadable"]
)
def test_all_spellings_of_an_address_are_one_client(addresses):
    assert len({client_of_address(address) for address in addresses}) == 1


def test_different_addresses_are_different_clients():
    others = ["2001:db8:7:2::1", "198.51.100.5", "fe80::1%eth0", "2001:db8:7::1", "::1"]
    clients = {
        client_of_address(address)
        for address in [IPV6_HOUSEHOLD[0], IPV4[0], UNREADABLE[0], *others]
    }
    assert len(clients) == 3 + len(others)


def test_the_rate_limit_counts_a_household_together(make_app):
    client = make_app(RATE_LIMIT="3/day", PROXIES="1").test_client()

    def send(address: str) -> int:
        data = {"photo": (io.BytesIO(PHOTO), "a.jpg")}
        headers = {"X-Forwarded-For": address}
        return client.post("/api/v1/predictions", data=data, headers=headers).status_code

    household = [send(f"2001:db8:7:1:{i:x}:{i * 7:x}::{i}") for i in range(1, 7)]
    assert household == [200, 200, 200, 429, 429, 429]
    assert send("2001:db8:7:2::1") == 200
    assert [send(address) for address in IPV4[:5]] == [200, 200, 200, 429, 429]
    assert send("198.51.100.5") == 200


HOSTS = [
    ("MoleLens.Example", "molelens.example"),
    ("molelens.example.", "molelens.example"),
    ("MOLELENS.example.:8000", "molelens.example:8000"),
    ("molelens.example:", "molelens.example"),
    ("[2001:DB8::0001]:8000", "[2001:db8::1]:8000"),
    ("127.0.0.1:8000", "127.0.0.1:8000"),
    ("", ""),
]


@pytest.mark.parametrize(("host", "expected"), HOSTS)
def test_hosts_are_normalized(host, expected):
    assert normalized(host) == expected


KNOWN = ("Molelens.example", "127.0.0.1", "[2001:db8::1]", ".clinic.example", "port.example:8443")


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("molelens.example", True),
        ("MoleLens.Example", True),
        ("molelens.example.", True),
        ("MOLELENS.EXAMPLE.:8000", True),
        ("127.0.0.1:8000", True),
        ("[2001:DB8:0::1]:8000", True),
        ("clinic.example", True),
        ("Skin.Clinic.Example.", True),
        ("port.example", True),
        ("elsewhere.example", False),
        ("molelens.example.elsewhere.example", False),
        ("notclinic.example", False),
        ("xmolelens.example", False),
        ("[2001:db8::2]", False),
        ("molelens.example@elsewhere.example", False),
        ("molelens.example:80:80", False),
        ("molelens.example..", False),
        ("", False),
    ],
)
def test_configured_hosts_are_recognised_in_any_spelling_and_others_are_not(host, known):
    assert is_known(host, KNOWN) is known


@pytest.mark.parametrize(("host", "status"), [("MoleLens.Example.", 200), ("x.example", 400)])
def test_an_unknown_host_is_refused(make_app, host, status):
    client = make_app(HOSTS="molelens.example,[::1]").test_client()
    assert client.get("/healthz", headers={"Host": host}).status_code == status


def test_behind_a_proxy_the_forwarded_host_is_checked(make_app):
    client = make_app(HOSTS="molelens.example", PROXIES="1").test_client()
    for host, status in (("MoleLens.Example", 200), ("x.example", 400)):
        headers = {"Host": "molelens.example", "X-Forwarded-Host": host}
        assert client.get("/healthz", headers=headers).status_code == status
