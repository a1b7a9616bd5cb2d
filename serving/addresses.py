"""Where a request comes from: its peer, or whom proxies that are trusted name."""

from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TypeAlias

from starlette.requests import Request

Network: TypeAlias = IPv4Network | IPv6Network


def client_address(request: Request, trusted: Collection[Network]) -> str:
    """The address that a request comes from.

    Proxies append to ``X-Forwarded-For`` whom they heard from: read from the right, the first that is no trusted proxy
    is the client. What stands left of it, anybody may have written.
    """
    address = request.client.host if request.client else ""
    forwarded = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
    while forwarded and _is_among(address, trusted):
        before = forwarded.pop().strip()
        if not _is_address(before):
            break
        address = before
    return address


def neighbourhood(address: str) -> str:
    """What one client may choose addresses from: of IPv6 the /64, else the address alone."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return str(IPv6Network((int(parsed) >> 64 << 64, 64)))
    return str(parsed)


def _is_among(address: str, networks: Collection[Network]) -> bool:
    return _is_address(address) and any(ip_address(address) in network for network in networks)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
