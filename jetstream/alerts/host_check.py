"""Which addresses a webhook may connect to: without `private`, only those of the public internet. Opens nothing."""

import ipaddress
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""well-known prefix of RFC 6052: an IPv4 address is in its last 32 bits"""


def is_public(text: str) -> bool:
    """Whether an address, as the kernel writes it, is reached by way of the public internet alone: neither private,
    loopback nor link-local, also where one of them is inside of an IPv6 address."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return all(one.is_global and not one.is_multicast and not one.is_unspecified for one in _with_embedded(address))


def _with_embedded(address: Address) -> list[Address]:
    """The address, or the IPv4 addresses in it, to which a gateway would send."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address in _NAT64:
        return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    if address.sixtofour is not None:
        return [address, address.sixtofour]
    return [address, *(address.teredo or ())]
