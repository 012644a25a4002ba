"""How backends, browsers and probes reach us over HTTP."""
