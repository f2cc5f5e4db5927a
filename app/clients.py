"""Who a client is, for limits: an IPv4 address, or a household's whole range of IPv6 addresses."""

import ipaddress
import re

from flask import request

IPV6_PREFIX = 64
"""A household or a server has at least a /64 (RFC 6177), and its computers change their address
within it by themselves (RFC 8981)."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: IPv4 addresses behind a translator.
_BRACKETED = re.compile(r"\[([^\]]*)\](?::.*)?")
_WITH_PORT = re.compile(r"(\d+\.[\d.]+):.*")


def client() -> str:
    """The client of this request; all whose address cannot be read are one."""
    return client_of(request.remote_addr or "")


def client_of(address: str) -> str:
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
