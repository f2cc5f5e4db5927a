"""Identify clients for rate limits: by IPv4 address, or by the IPv6 prefix of a household."""

import ipaddress
import re

from flask import request

IPV6_PREFIX = 64
"""Bits. A household or a server gets at least a /64 (RFC 6177) and changes its address within it
(RFC 8981)."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: contains translated IPv4 addresses.
_BRACKETED = re.compile(r"\[([^\]]*)\](?::.*)?")
_WITH_PORT = re.compile(r"(\d+\.[\d.]+):.*")


def client_of_request() -> str:
    """The client of this request; clients with unreadable addresses count as one client."""
    return client_of_address(request.remote_addr or "")


def client_of_address(address: str) -> str:
    """The client at an address as proxies write it: in quotes or brackets, with a port or zone."""
    text = address.strip().strip('"')
    if match := _BRACKETED.fullmatch(text) or _WITH_PORT.fullmatch(text):
        text = match[1]
    try:
        ip = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            return str(ip.ipv4_mapped)
        if ip in _NAT64:
            return str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
        return str(ipaddress.IPv6Network((ip, IPV6_PREFIX), strict=False))
    return str(ip)
