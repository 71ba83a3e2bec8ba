"""The documentation page loads, and loads nothing from elsewhere."""

import hashlib
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from typing import Final

import pytest
import pytest_asyncio
from litestar import Litestar
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.testing import AsyncTestClient

from web.documentation import ASSETS, STATIC, documentation_router

TYPES: Final = {
    "documentation.css": "text/css; charset=utf-8",
    "documentation.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
}


class Elements(HTMLParser):
    """The elements of a page: their names with their attributes, and the text of scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] in {"script", "style"}:
            self.inline += data.strip()

    def addresses(self) -> list[str]:
        """Every address in the page."""
        attributes = [attrs for _, attrs in self.found]
        return [value for attrs in attributes for key in ("src", "href") if (value := attrs.get(key))]


@pytest_asyncio.fixture
async def client() -> AsyncIterator[AsyncTestClient[Litestar]]:
    app = Litestar(
        [documentation_router()],
        openapi_config=OpenAPIConfig(
            title="Sample",
            version="1",
            path="/openapi.json",
            render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"])],
        ),
    )
    async with AsyncTestClient(app) as client:
        yield client


async def test_the_bare_address_leads_to_the_page(client: AsyncTestClient[Litestar]) -> None:
    answer = await client.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


async def test_the_page_is_html_that_caches_ask_for_again(client: AsyncTestClient[Litestar]) -> None:
    answer = await client.get("/docs")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"


async def test_every_address_in_the_page_is_one_of_ours_and_answers(
    client: AsyncTestClient[Litestar],
) -> None:
    page = Elements((await client.get("/docs")).text)
    assert {address.partition("?")[0] for address in page.addresses()} == {
        "/openapi.json",
        *(f"/docs/assets/{name}" for name in ASSETS),
    }
    for address in page.addresses():
        assert (await client.get(address)).status_code == 200


async def test_the_page_has_no_inline_code_and_names_no_host(client: AsyncTestClient[Litestar]) -> None:
    html = (await client.get("/docs")).text
    page = Elements(html)
    assert page.inline == ""
    assert not [key for _, attrs in page.found for key in attrs if key == "style" or key.startswith("on")]
    assert not re.search(r"https?:|[\"'(]//", html)


@pytest.mark.parametrize("name", ["documentation.js", "documentation.css", "swagger-ui.css"])
async def test_what_the_page_loads_names_no_host(client: AsyncTestClient[Litestar], name: str) -> None:
    text = (await client.get(f"/docs/assets/{name}")).text
    assert set(re.findall(r"https?://[^/\"'\s)]+", text)) <= {
        "http://www.w3.org"
    }  # a namespace, never fetched
    assert not re.search(r"@import|url\(\s*[\"']?(?!data:|[\"']?data:|#)", text)


async def test_the_bundle_is_told_not_to_use_its_validator_on_a_foreign_host(
    client: AsyncTestClient[Litestar],
) -> None:
    assert "validatorUrl: null" in (await client.get("/docs/assets/documentation.js")).text


@pytest.mark.parametrize("name", sorted(ASSETS))
async def test_an_asset_has_its_type_and_its_content(client: AsyncTestClient[Litestar], name: str) -> None:
    plain = await client.get(f"/docs/assets/{name}", headers={"Accept-Encoding": "identity"})
    packed = await client.get(f"/docs/assets/{name}", headers={"Accept-Encoding": "br, gzip"})
    assert plain.headers["content-type"] == packed.headers["content-type"] == TYPES[name]
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"
    assert plain.content == packed.content == ASSETS[name][0].read_bytes()


async def test_an_asset_is_kept_for_good_only_under_the_digest_of_its_content(
    client: AsyncTestClient[Litestar],
) -> None:
    addresses = Elements((await client.get("/docs")).text).addresses()
    for address in (each for each in addresses if each.startswith("/docs/assets/")):
        assert "immutable" in (await client.get(address)).headers["cache-control"]
        stale = address.partition("?")[0] + "?v=0123456789abcdef"
        assert (await client.get(stale)).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "file",
    [
        "unknown.js",
        "..%2fdocumentation.html",
        "..%2f..%2fdocumentation.py",
        "..%5cdocumentation.py",
        "%2e%2e%2f%2e%2e%2fdocumentation.py",
        "%2fetc%2fpasswd",
        "swagger-ui%2fREADME.md",
        "swagger-ui.css%00",
    ],
)
async def test_any_other_file_is_not_found(client: AsyncTestClient[Litestar], file: str) -> None:
    assert (await client.get(f"/docs/assets/{file}")).status_code == 404


@pytest.mark.parametrize("path", ["/", "/docs", "/docs/assets/swagger-ui.css"])
async def test_every_answer_carries_the_security_headers(
    client: AsyncTestClient[Litestar], path: str
) -> None:
    headers = (await client.get(path, follow_redirects=False)).headers
    rules = [rule.partition(" ") for rule in headers["content-security-policy"].split("; ")]
    policy = {what: where for what, _, where in rules}
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


async def test_the_openapi_document_leaves_the_page_out(client: AsyncTestClient[Litestar]) -> None:
    answer = await client.get("/openapi.json")
    assert answer.status_code == 200
    assert not answer.json().get("paths")


def test_the_vendored_files_are_the_ones_their_readme_records() -> None:
    folder = STATIC / "swagger-ui"
    readme = (folder / "README.md").read_text(encoding="utf-8")
    recorded = dict(re.findall(r"^\| `([^`]+)` \| `([0-9a-f]{64})` \|$", readme, re.MULTILINE))
    present = {path.name for path in folder.iterdir()} - {"README.md", ".gitattributes"}
    assert recorded == {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in present}
