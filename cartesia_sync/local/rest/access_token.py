"""``/access-token``: short-lived credentials for clients that must not have the API key."""

from __future__ import annotations

from aiohttp import web

from ..admission import GRANTS, LONGEST_LIFE, Admission
from ..requests import invalid_request
from .responder import Responder, Route

__all__ = ["AccessToken"]

_DEFAULT_LIFE = 60  # seconds


class AccessToken:
    """Issues access tokens.

    Args:
        admission: What signs and checks them.
    """

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.routes = [Route("POST", "/access-token", self._create)]

    async def _create(self, responder: Responder) -> web.StreamResponse:
        grants = responder.json.get("grants")
        if grants is None:
            grants = {}
        if not isinstance(grants, dict) or not all(value in (True, False, None) for value in grants.values()):
            raise invalid_request("grants is an object of booleans.")
        unknown = set(grants) - set(GRANTS)
        if unknown:
            raise invalid_request(f"grants are {', '.join(GRANTS)}; not {', '.join(unknown)}.")
        seconds = responder.json.get("expires_in")
        if seconds is None:
            seconds = _DEFAULT_LIFE
        # bool is an int in Python, and not in JSON.
        if type(seconds) is not int or not 1 <= seconds <= LONGEST_LIFE:
            raise invalid_request(f"expires_in is a number of seconds from 1 to {LONGEST_LIFE}.")
        granted = [grant for grant in GRANTS if grants.get(grant)]
        return responder.reply({"token": self._admission.issue_token(granted, seconds)})
