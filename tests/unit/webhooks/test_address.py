"""What a target's URL says."""

from __future__ import annotations

import pytest

from rtserver.webhooks.address import Address, address


@pytest.mark.parametrize(
    ("url", "tls", "host", "port", "authority", "path"),
    [
        ("http://example.com", False, "example.com", 80, "example.com", "/"),
        ("https://example.com/hooks", True, "example.com", 443, "example.com", "/hooks"),
        ("https://Example.COM:443/a", True, "example.com", 443, "example.com", "/a"),
        ("http://example.com:8080/a?b=c", False, "example.com", 8080, "example.com:8080", "/a?b=c"),
        ("http://example.com?b=c", False, "example.com", 80, "example.com", "/?b=c"),
        ("http://[::1]:9/x", False, "::1", 9, "[::1]:9", "/x"),
        (
            "https://grün.example/ü",
            True,
            "xn--grn-ioa.example",
            443,
            "xn--grn-ioa.example",
            "/%C3%BC",
        ),
        ("http://a/x/../y//z;p=1?q=%2f&r=a+b&&s", False, "a", 80, "a", "/x/../y//z;p=1?q=%2f&r=a+b&&s"),
        ("http://a/x@y?u=http://b/c", False, "a", 80, "a", "/x@y?u=http://b/c"),
    ],
)
def test_parts(url: str, tls: bool, host: str, port: int, authority: str, path: str) -> None:
    """Host, port and Host header are the URL's; path and query stay as given, but for what no request line can hold."""
    assert address(url) == Address(tls, host, port, authority, path, None)


def test_userinfo() -> None:
    """User and password become a header of HTTP Basic, unescaped, and stand nowhere else."""
    found = address("http://ann:s%40cret@example.com/x")
    assert found.authorization == "Basic YW5uOnNAY3JldA=="
    assert (found.host, found.authority, found.path) == ("example.com", "example.com", "/x")


@pytest.mark.parametrize("url", ["http://[::1/", "http://a:port/", "http://a\r\nb/"])
def test_no_url(url: str) -> None:
    """What is no URL is a ValueError."""
    with pytest.raises(ValueError, match=r"."):
        address(url)
