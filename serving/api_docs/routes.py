"""``/openapi.json``, and ``/docs`` that shows it: Swagger UI 5.35.0 (Apache-2.0), from our own copy and nowhere else.

The copy is the npm package ``swagger-ui-dist``: ``swagger-ui-bundle.js`` and ``swagger-ui.css`` as they are there.
"""

import json
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
"""Swagger UI sets styles on its elements; it runs no script but these."""
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Mingjian API</title>
<link rel="icon" href="/console/static/icon.svg">
<link rel="stylesheet" href="/docs/static/swagger-ui.css">
</head>
<body>
<div id="api"></div>
<script src="/docs/static/swagger-ui-bundle.js"></script>
<script src="/docs/static/start.js"></script>
</body>
</html>
"""


def api_docs_routes(document: Callable[[], dict[str, Any]]) -> list[BaseRoute]:
    """The routes over an app's OpenAPI document, which is made once, when it is first asked for."""

    @cache
    def written() -> bytes:
        return json.dumps(document(), ensure_ascii=False, separators=(",", ":")).encode()

    def openapi(_: Request) -> Response:  # on a thread: it takes seconds to make
        return Response(written(), media_type="application/json")

    async def docs(_: Request) -> Response:
        return HTMLResponse(_PAGE, headers=_HEADERS)

    static = StaticFiles(directory=str(files("serving.api_docs").joinpath("static")))
    return [Route("/openapi.json", openapi), Route("/docs", docs), Mount("/docs/static", static)]
