"""What guards the way in, out of the configuration: tokens, keys, the backend's opinion, addresses and names."""

from __future__ import annotations

from rtserver.auth.asking import Asking
from rtserver.auth.jwks import Jwks
from rtserver.auth.tokens import TokenVerifier
from rtserver.config.schema import Config
from rtserver.config.schema import Hooks as HookSettings
from rtserver.credentials import Credentials
from rtserver.hooks import Hooks
from rtserver.protocol.errors import FORBIDDEN
from rtserver.transport.hosts import Hosts
from rtserver.transport.proxies import Proxies
from rtserver.transport.requests import Denial, Scope
from rtserver.webhooks.signing import Signer

_FOREIGN_HOST = (
    "this server lets in everybody on this machine, and nobody under the name {!r}: "
    "set auth.mode, or auth.open_to_network to true"
)


class Access:
    """``credentials`` and ``hooks`` are handed on; the rest is asked here."""

    def __init__(self, config: Config) -> None:
        auth, jwt = config.auth, config.auth.jwt
        tokens = auth.mode != "none"
        self._keys = Jwks(jwt.jwks_url, jwt.algorithms) if tokens and jwt.jwks_url is not None else None
        verifier = TokenVerifier(jwt, self._keys) if tokens else None
        self.credentials = Credentials(verifier, auth.refresh_grace, jwt.leeway)
        self.hooks = _hooks(auth.hooks)
        self._proxies = Proxies(config.server.trusted_proxies)
        # Where tokens, or the operator, guard the server any name will do.
        self._hosts = Hosts(config.server.host) if not (tokens or auth.open_to_network) else None

    def examine(self, scope: Scope) -> Denial | None:
        """Find out who asks; return the refusal of a request that is for another name than this machine's."""
        if self._proxies:
            self._proxies.apply(scope)
        foreign = self._hosts.stranger(scope) if self._hosts is not None else None
        if foreign is None:
            return None
        return Denial(403, FORBIDDEN.code, _FOREIGN_HOST.format(foreign[:100]), counted="host")

    def start(self) -> None:
        """Fetch the keys: the first client should not wait for them, nor the server for an issuer that is down."""
        if self._keys is not None:
            self._keys.start()

    async def close(self) -> None:
        """Close what was opened."""
        for remote in (self._keys, self.hooks):
            if remote is not None:
                await remote.close()


def _hooks(settings: HookSettings) -> Hooks | None:
    if settings.connect is None and settings.join is None and settings.publish is None:
        return None
    sign = Signer([secret.get_secret_value() for secret in settings.secrets]).headers
    return Hooks(settings, Asking(sign, settings.timeout, settings.on_error, settings.cache))
