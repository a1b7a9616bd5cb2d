"""The organisation's own accounts: OpenID Connect's authorization code flow with PKCE, through Authlib.

The provider says who somebody is; who may review, and as what, is said here (``serving.reviewers``).
"""

import hmac
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from authlib.integrations.base_client import OAuthError
from authlib.integrations.starlette_client import OAuth
from httpx2 import HTTPError
from joserfc.errors import JoseError

from serving.errors import ForbiddenError, NotReadyError
from serving.reviewers import Identity

TIMEOUT_S: Final = 5
_KEPT: Final = ("state", "nonce", "code_verifier")
_VERIFIED: Final = (True, "true")
"""As providers write it."""

logging.getLogger("authlib").setLevel(logging.INFO)  # below that it writes the secrets of a sign-in


class IdentityProvider:
    """The provider, as one client of it.

    ``issuer`` is its identifier, below which its configuration is found (OpenID Connect Discovery 1.0); ``claim`` is
    the claim that holds the name of a reviewer; ``redirect_uri`` is where the provider sends browsers back.
    """

    def __init__(self, issuer: str, client_id: str, client_secret: str, *, claim: str, redirect_uri: str) -> None:
        self._client: Any = OAuth().register(
            "organisation",
            client_id=client_id,
            client_secret=client_secret,
            server_metadata_url=f"{issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={"scope": "openid profile email", "code_challenge_method": "S256", "timeout": TIMEOUT_S},
        )
        self._issuer = issuer
        self._claim = claim
        self._redirect_uri = redirect_uri

    async def begin(self) -> tuple[str, dict[str, str]]:
        """Where to send the browser, and what it must keep until it comes back.

        NotReadyError where the provider does not answer.
        """
        with _told():
            begun = await self._client.create_authorization_url(self._redirect_uri)
        return begun["url"], {name: begun[name] for name in _KEPT}

    async def finish(self, kept: Mapping[str, str], *, state: str, code: str) -> Identity:
        """Whom the provider vouches for, by what the browser kept and what the provider sent it back with.

        ForbiddenError for one that began elsewhere, a code or a token that is not good, or a name that the provider
        does not vouch for; NotReadyError where it does not answer.
        """
        is_whole = all(kept.get(name) for name in _KEPT)
        if not is_whole or not hmac.compare_digest(kept["state"].encode(), state.encode()):
            raise ForbiddenError("this sign-in was not begun in this browser, or too long ago")
        expected = {
            "iss": {"essential": True, "value": self._issuer},
            "aud": {"essential": True, "value": self._client.client_id},
        }
        with _told():
            token = await self._client.fetch_access_token(
                self._redirect_uri, code=code, code_verifier=kept["code_verifier"]
            )
            claims = await self._client.parse_id_token(token, nonce=kept["nonce"], claims_options=expected)
            if claims is None:
                raise OAuthError("the answer has no ID token")
            if self._claim not in claims:  # profile and email may be in the user info alone (OpenID Connect Core, 5.4)
                claims |= _of_subject(await self._client.userinfo(token=token), claims["sub"])
        name = claims.get(self._claim)
        if not isinstance(name, str) or not name:
            raise ForbiddenError(f"the identity provider says no {self._claim}")
        if self._claim == "email" and claims.get("email_verified") not in _VERIFIED:
            raise ForbiddenError("the identity provider has not verified the email")
        return Identity(f"{self._issuer} {claims['sub']}", name)


def _of_subject(told: dict[str, Any], subject: str) -> dict[str, Any]:
    """User info, if it is of the ID token's subject: another's must not be used (OpenID Connect Core, 5.3.2)."""
    if told.get("sub") != subject:
        raise OAuthError("the user info is somebody else's")
    return told


@contextmanager
def _told() -> Iterator[None]:
    """What can go wrong with the provider, as problems of ours."""
    try:
        yield
    except (OAuthError, JoseError) as error:
        raise ForbiddenError("the identity provider does not vouch for this sign-in") from error
    except (HTTPError, ValueError, RuntimeError) as error:  # no answer, not JSON, or nothing of what was looked for
        raise NotReadyError("the identity provider does not answer as it should") from error
