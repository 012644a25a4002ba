"""Which web pages may connect."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtserver.transport.origins import Origins, cors_headers

OWN = Origins([])


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://example.com", "example.com"),
        ("https://example.com", "example.com"),
        ("http://example.com:8000", "example.com:8000"),
        ("HTTPS://Example.COM", "example.com"),
        ("https://example.com", "EXAMPLE.com"),
        ("http://example.com", "example.com:80"),
        ("https://example.com", "example.com:443"),
        ("https://example.com:443", "example.com"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://[::1]:8000", "[::1]:8000"),
    ],
)
def test_the_own_page_is_allowed(origin: str, host: str) -> None:
    """Host and port are compared without case and default port; the scheme is not, for proxies that end TLS."""
    assert OWN.allows(origin, host)


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.com", "http://example.com.evil.com", "http://evil-example.com", "http://sub.example.com",
        "http://example.com:8001", "http://example.com:8080", "http://evil.com/example.com",
        "http://evil.com#example.com",
        "http://example.com@evil.com", "file://example.com", "chrome-extension://example.com", "null", "",
        "example.com",
        "//example.com", "ws://example.com", "http://", "https://example.com.",
    ],
)  # fmt: skip
def test_other_pages_are_not(origin: str) -> None:
    """Neither other hosts that look alike, nor other ports, nor what is no page of a web server."""
    assert not OWN.allows(origin, "example.com")


def test_an_empty_host_owns_nothing() -> None:
    """A request without a Host has no own page."""
    for origin in ("http://", "https://", "", "null", "http://example.com"):
        assert not OWN.allows(origin, "")


def test_what_is_no_browser_is_not_concerned() -> None:
    """Without the header nothing is checked."""
    assert OWN.allows(None, "example.com")
    assert OWN.allows(None, "")


@pytest.mark.parametrize(
    "origin",
    ["http://[bad", "http://[::1", "http://a]", "http://\u2100", "http://a:b:c", "\xff", "http://[v1.x]"],
)
def test_what_is_no_url_is_refused(origin: str) -> None:
    """However broken, it is an answer and not an error."""
    assert not OWN.allows(origin, "example.com")


@given(
    st.text(max_size=30) | st.text(":/[]@%.ahtps\u2100", max_size=20).map("http://".__add__),
    st.text(max_size=10),
)
def test_any_header_is_judged(origin: str, host: str) -> None:
    """No text makes the check fail, and without patterns only the host's own page passes."""
    if OWN.allows(origin, host):
        assert host.lower().split(":")[0] in origin.lower()
        assert origin.lower().startswith(("http://", "https://"))


def test_exact_origins() -> None:
    """Scheme, host and port all count; case and a slash at the end do not."""
    origins = Origins(["https://app.example.com", "http://LOCALHOST:5173/"])
    assert origins.allows("https://app.example.com", "api.example.com")
    assert origins.allows("https://APP.example.com", "api.example.com")
    assert origins.allows("http://localhost:5173", "api.example.com")
    assert not origins.allows("http://app.example.com", "api.example.com")
    assert not origins.allows("https://app.example.com:8443", "api.example.com")
    assert not origins.allows("http://localhost", "api.example.com")


def test_patterns() -> None:
    """A star covers subdomains, but not another domain that merely ends alike, nor another scheme."""
    origins = Origins(["https://*.example.com"])
    assert origins.allows("https://a.example.com", "h")
    assert origins.allows("https://a.b.example.com", "h")
    assert not origins.allows("https://example.com", "h")
    assert not origins.allows("https://a.example.com.evil.com", "h")
    assert not origins.allows("https://aexample.com", "h")
    assert not origins.allows("http://a.example.com", "h")


def test_a_dot_in_a_pattern_is_a_dot() -> None:
    """Nothing in a pattern but the wildcards stands for anything else."""
    assert not Origins(["https://app.example.com"]).allows("https://appxexample.com", "h")


def test_all_origins() -> None:
    """A single star is every origin, "null" included."""
    everything = Origins(["*"])
    for origin in ("https://anywhere.example", "null", "file://", "chrome-extension://x"):
        assert everything.allows(origin, "h")


def test_cors_headers() -> None:
    """The origin itself is allowed, with credentials, and caches are told; without an origin nothing is said."""
    assert cors_headers(None) == []
    assert dict(cors_headers("https://a.example")) == {
        b"access-control-allow-origin": b"https://a.example",
        b"access-control-allow-credentials": b"true",
        b"vary": b"Origin",
    }
