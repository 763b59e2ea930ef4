"""What the live page looks like in a real browser."""

import os
import pathlib
import threading
import unittest

from clients import wait_until
from live_page import LivePage
from processes import TARGET
from shop import Fates, realistic

PICTURES = TARGET / "ci"
AXE = pathlib.Path(os.environ.get("AXE") or PICTURES / "tools" / "axe.min.js")

SHIFTS = """
new Promise(done => {
  const of = list => list.getEntries().map(one => [one.value, one.sources.map(source => source.node?.id || source.node?.outerHTML?.slice(0, 80))]);
  new PerformanceObserver(list => done(of(list))).observe({ type: "layout-shift", buffered: true });
  setTimeout(done, 500, []);
})
"""


class Looks(LivePage):
    def test_under_a_realistic_load(self):
        """Pictures, accessibility, and nothing that jumps."""
        server = self.enterContext(Fates())
        self.open(server.dashboard)
        load = threading.Thread(target=realistic, args=(server, 60))
        load.start()
        self.addCleanup(load.join)
        self.tab.wait("the failures", "!!document.querySelector('#verdicts .bad')", patience=60)
        wait_until("enough of a load", lambda: server.number("uptime_seconds") > 45, patience=60, pause=1)
        # From the first paint on; how much of the page moved, and what.
        moved = self.tab.run(SHIFTS)
        self.assertLess(sum(one[0] for one in moved), 0.05, moved)
        # Of README.md: copy it to docs/ when the page looks different.
        self.look(1280, False)
        self.tab.picture(PICTURES / "dashboard.webp", 1130)
        self.assertLess((PICTURES / "dashboard.webp").stat().st_size, 60_000)
        for width, dark in ((1280, False), (1280, True), (360, False), (360, True)):
            self.look(width, dark)
            self.assertLessEqual(self.tab.run("document.documentElement.scrollWidth"), width)
            self.tab.picture(PICTURES / f"dashboard-{width}-{'dark' if dark else 'light'}.png")
            self.accessible(f"{width}, {'dark' if dark else 'light'}")
        self.quiet()
        load.join()
        server.close()
        self.state("gone")
        self.accessible("gone")
        self.tab.picture(PICTURES / "dashboard-gone.png")

    def look(self, width, dark):
        self.tab.look(width, 900, dark)
        self.tab.run("new Promise(done => setTimeout(done, 300))")

    def accessible(self, what):
        if not AXE.exists():
            self.skipTest(f"needs axe-core at {AXE}")
        self.tab.inject(AXE.read_text())
        found = self.tab.run(
            "axe.run(document).then(r => r.violations.map(v => [v.id, v.nodes.map(n => n.html + ' ' + n.failureSummary)]))"
        )
        self.assertEqual(found, [], what)


if __name__ == "__main__":
    unittest.main()
