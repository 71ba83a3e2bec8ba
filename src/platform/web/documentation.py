"""The page that shows the OpenAPI document, with everything it loads served from here."""

import gzip
import hashlib
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
from litestar import MediaType, Request, Response, Router, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Redirect

STATIC: Final = Path(__file__).parent / "static"

# The only files that are ever read: a name from outside is looked up here and never becomes a path.
ASSETS: Final = {
    "documentation.css": (STATIC / "documentation.css", "text/css"),
    "documentation.js": (STATIC / "documentation.js", "text/javascript"),
    "icon.svg": (STATIC / "icon.svg", "image/svg+xml"),
    "swagger-ui-bundle.js": (STATIC / "swagger-ui" / "swagger-ui-bundle.js", "text/javascript"),
    "swagger-ui.css": (STATIC / "swagger-ui" / "swagger-ui.css", "text/css"),
}

# Strict enough that neither inline code nor a foreign host could be used by a future version unnoticed.
CONTENT_SECURITY_POLICY: Final = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",  # the style sheet of Swagger UI carries its icons in itself
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": "; ".join(
        f"{what} {where}" for what, where in CONTENT_SECURITY_POLICY.items()
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

KEEP: Final = "public, max-age=31536000, immutable"
ASK_AGAIN: Final = "no-cache"


class Asset(msgspec.Struct, frozen=True):
    """A file the page loads, plain and gzipped, with the digest its address carries as `?v=`."""

    media_type: str
    plain: bytes
    gzipped: bytes
    digest: str


@cache
def asset(name: str) -> Asset:
    """The asset of that name, read and compressed once per process."""
    path, media_type = ASSETS[name]
    plain = path.read_bytes()
    return Asset(
        media_type=media_type,
        plain=plain,
        gzipped=gzip.compress(plain, mtime=0),
        digest=hashlib.sha256(plain).hexdigest()[:16],
    )


@cache
def page() -> bytes:
    """The HTML of the page, in which the address of every asset carries the digest of its content."""
    html = (STATIC / "documentation.html").read_text(encoding="utf-8")
    for name in ASSETS:
        html = html.replace(f'/docs/assets/{name}"', f'/docs/assets/{name}?v={asset(name).digest}"')
    return html.encode()


# Reading and compressing two megabytes takes a tenth of a second: on a thread, not on the event loop.
@get("/docs", media_type=MediaType.HTML, sync_to_thread=True)
def documentation_page() -> Response[bytes]:
    """The documentation page."""
    return Response(page(), headers={"Cache-Control": ASK_AGAIN})


@get("/docs/assets/{file:str}", sync_to_thread=True)
def documentation_asset(file: FromPath[str], request: Request[Any, Any, Any]) -> Response[bytes]:
    """One file of the page; cached for good if asked for by the digest of what is sent."""
    if file not in ASSETS:
        raise NotFoundException
    found = asset(file)
    # During a rolling deployment a new page may ask an old process: that answer must not stay in caches.
    current = request.query_params.get("v") == found.digest
    headers = {"Cache-Control": KEEP if current else ASK_AGAIN, "Vary": "Accept-Encoding"}
    if "gzip" not in (coding.strip() for coding in request.headers.get("Accept-Encoding", "").split(",")):
        return Response(found.plain, media_type=found.media_type, headers=headers)
    headers["Content-Encoding"] = "gzip"
    return Response(found.gzipped, media_type=found.media_type, headers=headers)


@get("/", sync_to_thread=False)
def root() -> Redirect:
    """Whoever opens the bare address in a browser finds the documentation."""
    return Redirect("/docs", status_code=307)


def documentation_router() -> Router:
    """`/`, `/docs` and `/docs/assets/{file}`, outside the OpenAPI document.

    Assets are answered gzipped: middleware that compresses answers has to leave `/docs` out.
    """
    return Router(
        "/",
        route_handlers=[root, documentation_page, documentation_asset],
        response_headers=SECURITY_HEADERS,
        include_in_schema=False,
    )
