"""The page that shows what there is to ask, in a real browser."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tandemkit.testing.parts import short_folder
from tests.cluster.browsing import Tab, tab
from tests.unit.services.gateway.http.gateways import Gateway, Probing, gateway

pytestmark = [pytest.mark.cluster, pytest.mark.real("chromium")]


@asynccontextmanager
async def _shown(path: str) -> AsyncIterator[tuple[Gateway, Tab]]:
    """The page of one method, to somebody who has typed the token."""
    with short_folder() as folder:
        async with (
            gateway(Path(folder), Probing().agent) as it,
            tab(f"{it.url}/docs{path}") as page,
        ):
            await page.until("document.querySelector('main h1')")
            secret = it.token.bearer.removeprefix("Bearer ")
            await page.value(
                f"document.getElementById('token').value = {json.dumps(secret)};"
                "document.getElementById('token').dispatchEvent(new Event('change'))"
            )
            await page.until("document.querySelector('nav a')")
            yield it, page


async def test_a_method_is_asked_by_its_form_and_nothing_said_is_markup() -> None:
    """What an agent answers is shown as it is, though it looks like a page of its own."""
    planted = "<img src=x onerror=\"document.title='broken'\"><b>x</b>"
    async with _shown("#/probe-probe/Echo") as (_, page):
        await page.until("document.querySelector('form textarea')")
        await page.value(
            f"document.querySelector('form textarea').value = {json.dumps(planted)};"
            "document.querySelector('form').requestSubmit()"
        )
        await page.until("document.querySelector('[data-answer]')")
        answer = await page.value("document.querySelector('[data-answer]').textContent")
        assert json.loads(answer) == {"text": planted}
        assert await page.value("document.querySelectorAll('main img, main b').length") == 0
        assert "broken" not in await page.value("document.title")


async def test_a_stream_is_shown_as_it_comes_and_stopped_by_its_button() -> None:
    """Each message has come before the stream ends; then the agent's work ends too."""
    async with _shown("#/probe-probe/Tail") as (_, page):
        await page.until("document.querySelector('form textarea')")
        await page.value(
            "document.querySelector('form textarea').value = 'one two forever';"
            "document.querySelector('form').requestSubmit()"
        )
        await page.until("document.querySelectorAll('[data-answer]').length === 2")
        await page.value(
            "[...document.querySelectorAll('button')].find((b) => b.textContent === 'Stop').click()"
        )
        await page.until("document.querySelector('.status').textContent.includes('ended by you')")


async def test_who_shows_no_token_is_told_how_to_get_one() -> None:
    """And sees no agent."""
    with short_folder() as folder:
        async with gateway(Path(folder), Probing().agent) as it, tab(f"{it.url}/docs") as page:
            await page.until("document.getElementById('state').textContent.includes('token')")
            assert "./tandem token" in await page.value("document.querySelector('main').innerText")
            assert await page.value("document.querySelectorAll('nav a').length") == 0
