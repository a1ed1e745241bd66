"""The page of the inspector, in headless Chromium."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websocket

from cartesia_sync.local import LocalServer

from ...support import browser
from .test_inspector import say, speech

pytestmark = [
    pytest.mark.skipif(
        browser.executable() is None, reason="no Chromium: apt-get install chromium, or name it in CHROMIUM"
    ),
    pytest.mark.timeout(120),
]

HOSTILE = [
    "<script>document.title = 'taken'</script><img src=x onerror=\"document.title='taken'\">",
    "</span></li><b>bold</b>",
    "\u202eturned round\u202c and \u0000 NUL and \u0007 bell",
    "مرحبا بك",
    "x" * 2**20,
    '{"type": "chunk"}',
]

HEAR = """
window.heard = 0;
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (target, ...rest) {
  if (target instanceof AudioDestinationNode) {
    const analyser = target.context.createAnalyser();
    connect.call(this, analyser);
    const samples = new Float32Array(analyser.fftSize);
    const look = () => {
      analyser.getFloatTimeDomainData(samples);
      window.heard = Math.max(window.heard, ...samples.map(Math.abs));
      setTimeout(look, 10);
    };
    look();
  }
  return connect.call(this, target, ...rest);
};
"""

CUT = """
[...document.querySelectorAll('button, select, input, .button, dd, h2')].filter((each) => {
  const box = each.getBoundingClientRect();
  return box.width && (box.left < 0 || box.right > innerWidth);
}).length
"""
"""How many things reach out of the window."""

CONTRAST = """
(() => {
  const light = (text) => {
    const parts = text.match(/[\\d.]+/g).slice(0, 3).map((each) => {
      const part = each / 255;
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2] + 0.05;
  };
  const texts = [document.body, ...document.querySelectorAll('dt, .label .state, .status, button, h2, .time')];
  return Math.min(...texts.map((each) => {
    let behind = each;
    while (getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)') behind = behind.parentElement;
    const one = light(getComputedStyle(each).color);
    const two = light(getComputedStyle(behind).backgroundColor);
    return Math.max(one, two) / Math.min(one, two);
  }));
})()
"""
"""The smallest contrast of a text, as WCAG has it."""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    with browser.Browser(tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium


@pytest.fixture
def page(chromium: browser.Browser, server: LocalServer) -> Iterator[browser.Page]:
    """The page, open. Whatever a test did: its console is silent, and nothing was loaded from elsewhere."""
    page = chromium.page()
    try:
        page.call("Page.addScriptToEvaluateOnNewDocument", source=HEAR)
        page.looks(1600, 900)
        assert server.inspector_url is not None
        page.open(server.inspector_url)
        page.wait_for("document.querySelector('#stream').textContent === 'live'")
        yield page
        page.run("1")  # what was said until now is heard
        assert page.problems == []
        assert {url.split("/inspector")[0] for url in page.urls} <= {server.url, f"blob:{server.url}"}
        assert page.run("document.title") == "Inspector: cartesia-sync"
    finally:
        page.close()


def texts(page: browser.Page) -> list[str]:
    """The labels that are drawn."""
    found: list[str] = page.run("[...document.querySelectorAll('#rows .what')].map((each) => each.textContent)")
    return found


def choose(page: browser.Page, text: str) -> None:
    """Click the row of a text."""
    wanted = f"[...document.querySelectorAll('#rows li')].find((each) => each.textContent.includes({json.dumps(text)}))"
    page.wait_for(wanted)
    page.click_on(wanted)
    page.wait_for(f"document.querySelector('#title').textContent.includes({json.dumps(text)})")


def test_two_threads_appear_and_their_bars_interleave(chromium: browser.Browser) -> None:
    with LocalServer(engine="signal", inspector=True, pace=4.0) as server:
        page = chromium.page()
        page.looks(1600, 900)
        assert server.inspector_url is not None
        page.open(server.inspector_url)
        text = "A long text, of which many chunks are made, so that they have to take turns. And one more sentence."
        threads = [
            threading.Thread(target=say, args=(server, speech(f"{number}. {text}", f"c{number}"))) for number in (1, 2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        page.wait_for("[...rows.values()].filter((row) => row.facts.ctx && row.state === 'done').length === 2")
        page.wait_for("document.querySelectorAll('#rows li').length === 4")
        chunks = page.run(
            "[...rows.values()].filter((row) => row.facts.ctx)"
            ".map((row) => row.marks.filter((mark) => mark.kind === 'chunk').map((mark) => mark.at))"
        )
        order = [owner for _, owner in sorted((at, owner) for owner, times in enumerate(chunks) for at in times)]
        assert min(map(len, chunks)) >= 5
        assert sum(one != two for one, two in zip(order, order[1:])) >= 4, order
        # And on the screen: in each row there is ink where its text, and where its audio is.
        inked = page.run(
            "[...document.querySelectorAll('#rows li:not(.connection) canvas')].map((canvas) => {"
            " const {data, width, height} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);"
            " const columns = []; for (let x = 0; x < width; x += 1) for (let y = 0; y < height; y += 1)"
            " if (data[4 * (y * width + x) + 3] > 60) { columns.push(x); break; }"
            " return [columns[0] / width, columns[columns.length - 1] / width, columns.length / width]; })"
        )
        assert len(inked) == 2
        for first, last, share in inked:
            assert first < 0.2
            assert last > 0.5
            assert share > 0.4
        assert page.problems == []
        page.close()


def test_play_makes_sound(server: LocalServer, page: browser.Page) -> None:
    say(server, speech("This can be heard.", "one"))
    choose(page, "This can be heard.")
    page.wait_for("!document.querySelector('#play').disabled && !document.querySelector('#sound').hidden")
    assert page.run("document.querySelector('#words').innerText").split() == ["This", "can", "be", "heard."]
    assert page.run("window.heard") == 0
    page.click("#play")
    page.wait_for("window.heard > 0.05")
    assert page.run("document.querySelector('#play').textContent") in ("Stop", "Play")  # it may be over
    page.wait_for("document.querySelector('#play').textContent === 'Play'")


def test_a_fault_of_the_page_reaches_the_client(server: LocalServer, page: browser.Page) -> None:
    page.run("document.querySelector('#kind').value = 'ErrorEvent'")
    page.run("document.querySelector('#kind').dispatchEvent(new Event('input'))")
    assert page.run("document.querySelector('#fault').value") == "ErrorEvent(429, after=1)"
    page.click("#faults button[type=submit]")
    page.wait_for("document.querySelector('#status').textContent.includes('injected')")
    assert say(server, speech("One.", "one"))[-1]["status_code"] == 429
    page.wait_for("document.querySelector('#refusals').textContent === '1'")
    page.run("document.querySelector('#fault').value = 'Refuse(500, times=None)'")
    page.click("#faults button[type=submit]")
    page.wait_for("document.querySelector('#status').textContent.includes('Refuse(500, times=None)')")
    with pytest.raises(websocket.WebSocketBadStatusException):
        say(server, speech("Two.", "two"))
    page.click("#unfault")
    page.wait_for("document.querySelector('#status').textContent.includes('removed')")
    assert say(server, speech("Three.", "three"))[-1]["type"] == "done"
    page.run("document.querySelector('#fault').value = 'Nonsense'")
    page.click("#faults button[type=submit]")
    page.wait_for(
        "document.querySelector('#status.bad') && document.querySelector('#status').textContent.includes('expected')"
    )
    page.problems.clear()  # the browser tells of the 400 itself


def test_a_thousand_contexts_stay_usable(server: LocalServer, page: browser.Page) -> None:
    for start in range(0, 1000, 100):
        say(server, *[speech(f"Number {number}.", f"c{number}") for number in range(start, start + 100)][:8])
        entries = [
            {"at": 0, "do": "said", "with": [start, speech(f"Mirrored {number}.", f"m{number}")]}
            for number in range(100)
        ]
        lines = [{"source": "many", "now": 0.0}, *entries]
        page.run(
            f"fetch('/inspector/mirror', {{method: 'POST', body: {json.dumps(chr(10).join(map(json.dumps, lines)))}}})"
            ".then((answer) => answer.status)"
        )
    page.wait_for("rows.size >= 1080")
    assert page.run("document.querySelectorAll('#rows li').length") < 60
    frames = page.run(
        "new Promise((done) => { const times = []; let step = 0; const scroll = document.querySelector('#scroll');"
        " const next = () => { const began = performance.now(); scroll.scrollTop = (step * 397) % scroll.scrollHeight;"
        " draw(); times.push(performance.now() - began); step += 1;"
        " if (step < 100) requestAnimationFrame(next); else done(times); }; next(); })"
    )
    assert sorted(frames)[len(frames) // 2] < 50, frames
    page.run("document.querySelector('#filter').value = 'number 903'")
    page.run("document.querySelector('#filter').dispatchEvent(new Event('input'))")
    page.wait_for("document.querySelectorAll('#rows li').length === 1")
    assert texts(page) == ["Number 903."]


def test_hostile_texts_are_text(server: LocalServer, page: browser.Page) -> None:
    for number, text in enumerate(HOSTILE):
        url = f"{server.websocket_url}/tts/websocket"
        socket = websocket.create_connection(url, timeout=10, header={"X-API-Key": "any"})
        socket.send(json.dumps({"context_id": f"c{number}", "transcript": text, "voice": text}))
        socket.send(text)
        socket.shutdown()
    page.wait_for(f"document.querySelectorAll('#rows li').length >= {2 * len(HOSTILE)}")
    for index in range(len(page.run("shown.map((row) => row.key)"))):
        page.run(f"choose(shown[{index}], true)")
        page.wait_for("document.querySelectorAll('#entries li').length > 0")
        page.run("document.querySelectorAll('#entries details').forEach((each) => { each.open = true; })")
    assert page.run("document.querySelectorAll('main script, main img, main b').length") == 0
    drawn = " ".join(texts(page))
    assert "<script>document.title = 'taken'</script>" in drawn
    assert "\\u202eturned round\\u202c and \u2400 NUL and \u2407 bell" in drawn
    assert page.run("document.documentElement.scrollWidth <= innerWidth")


def test_with_the_keyboard_alone(server: LocalServer, page: browser.Page) -> None:
    for number in range(60):
        say(server, speech(f"Number {number}.", f"c{number}"))
    page.wait_for("rows.size === 120")
    page.press("/")
    assert page.run("document.activeElement.id") == "filter"
    page.call("Input.insertText", text="number")
    page.wait_for("shown.length === 60")
    page.run("document.querySelector('#rows').focus()")
    page.press("Home")
    page.wait_for("document.querySelector('#title').textContent === 'Number 0.'")
    page.press("ArrowDown")
    page.wait_for("document.querySelector('#title').textContent === 'Number 1.'")
    page.press("End")
    page.wait_for("document.querySelector('#title').textContent === 'Number 59.'")
    page.wait_for("document.querySelector('#rows').getAttribute('aria-activedescendant') === 'row-59'")
    active = page.run("document.getElementById('row-59').getAttribute('aria-label')")
    assert active.startswith("Number 59., done, ")
    assert page.run("document.getElementById('row-59').getAttribute('aria-posinset')") == "60"
    page.press("Enter")
    assert page.run("document.activeElement.id") == "title"
    page.run("document.querySelector('#rows').focus()")
    page.press(" ")
    page.wait_for("window.heard > 0.05")
    named = page.run(
        "[...document.querySelectorAll('button, input, select, a.button')].filter((each) =>"
        " !(each.textContent.trim() || (each.labels && each.labels.length))).length"
    )
    assert named == 0


def test_pause_clear_and_what_is_shown(server: LocalServer, page: browser.Page) -> None:
    say(server, speech("One.", "one"))
    page.wait_for("rows.size === 2")
    page.click("#pause")
    say(server, speech("Two.", "two"))
    page.wait_for("/Go on .[1-9]/.test(document.querySelector('#pause').textContent)")
    assert page.run("rows.size") == 2
    page.click("#pause")
    page.wait_for("rows.size === 4")
    page.run("document.querySelector('#state').value = 'failed'")
    page.run("document.querySelector('#state').dispatchEvent(new Event('input'))")
    page.wait_for("!document.querySelector('#empty').hidden")
    page.click("#clear")
    page.wait_for("rows.size === 0")
    page.run("document.querySelector('#state').value = ''")
    say(server, speech("Three.", "three"))
    page.wait_for("shown.length === 2")
    assert "Three." in texts(page)


def test_what_is_copied_and_saved(server: LocalServer, page: browser.Page) -> None:
    page.run("navigator.clipboard.writeText = (text) => { window.copied = text; return Promise.resolve(); }")
    say(server, speech("Copied.", "one"))
    choose(page, "Copied.")
    page.click("#python")
    page.wait_for("window.copied && window.copied.includes(\"context.push('Copied.', continue_=False)\")")
    page.click("#json")
    page.wait_for("window.copied && window.copied.startsWith('[')")
    assert json.loads(page.run("window.copied"))[0]["text"] == "Copied."
    for link, beginning in (("#save", "RIFF"), ("#tape", '{"tape"')):
        found = page.run(f"fetch(document.querySelector('{link}').href).then((answer) => answer.text())")
        assert found.startswith(beginning)


def test_it_comes_back_after_the_server(page: browser.Page, server: LocalServer) -> None:
    assert page.run("location.search") == ""  # the token does not stay in the address
    page.call("Page.reload")
    page.wait_for("document.querySelector('#stream').textContent === 'live'")
    server.stop()
    page.wait_for("document.querySelector('#stream.lost')")
    page.problems.clear()  # the browser tells of the lost connection itself


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 900, 1600])
def test_it_fits(server: LocalServer, page: browser.Page, width: int, theme: str) -> None:
    page.looks(width, 800, theme)
    say(server, speech("A text that is longer than it should be on a small screen, " * 3, "one" * 40))
    choose(page, "A text that is longer")
    page.wait_for("!document.querySelector('#sound').hidden")
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
    assert page.run(CUT) == 0
    assert page.run(CONTRAST) >= 4.5
    folder = os.environ.get("PICTURES")  # to look at
    if folder:
        Path(folder, f"inspector-{width}-{theme}.png").write_bytes(page.picture())


def test_a_stranger_sees_nothing(chromium: browser.Browser, server: LocalServer) -> None:
    page = chromium.page()
    page.open(f"{server.url}/inspector")
    told: Any = page.run("document.body.innerText")
    assert "cartesia-sync serve" in told
    page.close()
