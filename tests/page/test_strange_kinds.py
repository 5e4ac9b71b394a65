"""Kinds of authors that the page does not expect, with a client that a test makes up."""

from __future__ import annotations

from typing import Any

import pytest

from tests.page.browser import browsing, until, visible
from tests.page.fake_backend import node, serving

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

LINK = {
    "title": "Link",
    "type": "object",
    "properties": {
        "value": {"type": "integer"},
        "next": {"anyOf": [{"$ref": "#/$defs/Link"}, {"type": "null"}], "default": None},
        "head": {"$ref": "#/$defs/Link"},
    },
    "required": ["value"],
}
SIZE = {"anyOf": [{"type": "integer"}, {"type": "string"}], "default": None}
KIND = {
    "name": "tictactoe",
    "seats": 9,
    "starts": 1,
    "survives": False,
    "moves": "never",
    "about": "",
    "inputs": {"$ref": "#/$defs/Link", "$defs": {"Link": LINK}},
    "options": {"type": "object", "properties": {"size": SIZE}},
}
CLIENT = """
    window.places = [];
    export async function connect(_urls, { kind, name }) {
        const place = Object.assign(new EventTarget(), {
            kind, room: "game-1.r", you: name, players: [], state: "here", node: "api-1",
            resumes: 0, resends: 0, duplicates: 0, said: [],
            closed: new Promise(() => {}),
            async say(value) { this.said.push(value); },
            leave() {},
        });
        places.push(place);
        return place;
    }
"""
HEAR = """
    places[0].dispatchEvent(Object.assign(new Event("message"), { data: { hello: 1 }, seq: 1 }))
"""


def open_page(tab: Any, url: str) -> Any:
    page = tab("about:blank")
    page.route(
        "**/lastcall.js",
        lambda route: route.fulfill(content_type="text/javascript", body=CLIENT),
    )
    page.goto(url)
    return page


def test_a_kind_with_an_example_s_name_and_types_without_end_is_played_by_a_form() -> None:
    with serving(["ws://127.0.0.1:1/"], [KIND]) as backend, browsing() as tab:
        backend.cluster(node("api-1", "api"))
        page = open_page(tab, backend.url)
        page.locator("#options summary").click()
        page.get_by_label("size").select_option("string")
        page.click("#join-new")
        visible(page, ".board")
        until(page, HEAR)
        visible(page, ".messages p", '{"hello":1}')
        assert page.locator(".board").count() == 0
        form = page.locator(".say form:visible")
        form.get_by_label("value").fill("3")
        form.get_by_label("next").select_option("Link")
        assert form.locator("textarea").count() == 2, "a link of a link is JSON by hand"
        form.locator("textarea").last.fill('{"value": 4}')
        form.get_by_label("next").select_option("null")
        form.get_by_role("button", name="Say").click()
        until(page, "places[0].said.length === 1")
        assert page.evaluate("places[0].said") == [{"value": 3, "head": {"value": 4}}]

        for _ in range(5):
            page.click("#join-new")
        visible(page, "#no-play", "5 players sit in this tab")
        asked = backend.requests.count("/cluster/kinds")
        backend.cluster(node("api-1", "api"), node("api-2", "api"))
        visible(page, "[data-node=api-2]")
        visible(page, "#no-play", "5 players sit in this tab")
        assert backend.requests.count("/cluster/kinds") == asked
