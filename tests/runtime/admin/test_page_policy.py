"""The Content-Security-Policy of a page."""

from __future__ import annotations

import base64
import hashlib

import httpx
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette

from lastcall.runtime.admin.page_files import CLIENT_FILES as STATIC_FILES
from lastcall.runtime.admin.static_files import page_policy, static_routes

TEXTS = st.text(alphabet="abc {}<>/\n'é", max_size=40)


def source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def directives(policy: str) -> dict[str, list[str]]:
    parts = (part.split() for part in policy.split(";"))
    return {name: values for name, *values in parts}


@given(scripts=st.lists(TEXTS, max_size=3), styles=st.lists(TEXTS, max_size=3))
def test_exactly_the_scripts_and_styles_of_the_page_are_allowed(
    scripts: list[str], styles: list[str]
) -> None:
    page = "<!doctype html>" + "".join(
        [
            *(f"<style>{text}</style>" for text in styles),
            *(f'<script type="module">{text}</script>' for text in scripts),
        ]
    )
    found = directives(page_policy(page.encode()))
    assert found["script-src"] == ["'self'", *map(source, scripts)]
    assert found["style-src"] == ["'self'", *map(source, styles)]
    assert found["default-src"] == found["frame-ancestors"] == ["'none'"]


async def test_the_demo_page_has_a_policy_without_unsafe_sources() -> None:
    app = Starlette(routes=static_routes(STATIC_FILES))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://admin") as http:
        page = await http.get("/demo")
        script = await http.get("/lastcall.js")
    policy = page.headers["content-security-policy"]
    assert "unsafe" not in policy + page.text
    assert len(directives(policy)["script-src"]) == 2
    assert "content-security-policy" not in script.headers
