"""What the checks of the live page share: a browser that looks at it."""

import json
import unittest
from urllib.parse import urlsplit

import browser


@unittest.skipUnless(browser.CHROMIUM and browser.websocket, "needs chromium and websocket-client")
class LivePage(unittest.TestCase):
    def setUp(self):
        self.tab = self.enterContext(browser.Browser()).tab
        self.tab.look(1280)

    def open(self, address):
        self.tab.open(address)
        self.tab.wait("the first numbers", "document.querySelector('#state')?.dataset.state === 'live' && !!document.querySelector('#tile-calls')")

    def text(self, selector):
        return self.tab.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def state(self, word):
        self.tab.wait(f"the state {word}", f"document.querySelector('#state').dataset.state === '{word}'")
        return self.text("#state")

    def tile(self, name):
        value, sub = (self.text(f"#tile-{name} .{part}") for part in ("value", "sub"))
        return value, sub

    def rows(self, table):
        cells = "[...document.querySelectorAll('#%s tbody tr')].map(r => [...r.cells].map(c => c.innerText))"
        return self.tab.run(cells % table)

    def choose(self, select, value):
        self.tab.run(
            f"(() => {{ const s = document.querySelector('#{select}'); s.value = {json.dumps(value)};"
            " s.dispatchEvent(new Event('change')); })()"
        )

    def quiet(self):
        """That the page asked for nothing but itself and the exporter, and had no complaint."""
        paths = {urlsplit(one).path.rsplit("/", 1)[1] for one in self.tab.requests if not one.startswith("data:")}
        self.assertLessEqual(paths, {"dashboard", "metrics", ""}, self.tab.requests)
        self.assertEqual(self.tab.complaints, [])
