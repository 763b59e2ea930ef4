"""The example `secure_exporter`, scraped by a real Prometheus with and without permission."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from clients import PATIENCE, wait_until
from daemons import Prometheus
from processes import EXAMPLES

EXAMPLE = EXAMPLES / "secure_exporter"

CONFIG = """\
global:
  scrape_interval: 1s
  scrape_timeout: 1s
scrape_configs:
  - job_name: known
    scheme: https
    basic_auth: {username: prometheus, password: "open sesame"}
    tls_config: {ca_file: DIRECTORY/ca.pem, cert_file: DIRECTORY/client.pem, key_file: DIRECTORY/client.key}
    static_configs: [{targets: ["localhost:{port}"]}]
  - job_name: without_password
    scheme: https
    tls_config: {ca_file: DIRECTORY/ca.pem, cert_file: DIRECTORY/client.pem, key_file: DIRECTORY/client.key}
    static_configs: [{targets: ["localhost:{port}"]}]
  - job_name: without_certificate
    scheme: https
    basic_auth: {username: prometheus, password: "open sesame"}
    tls_config: {ca_file: DIRECTORY/ca.pem}
    static_configs: [{targets: ["localhost:{port}"]}]
"""


def openssl(directory, *arguments):
    subprocess.run(
        ["openssl", *arguments],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=PATIENCE,
        check=True,
    )


def certificates(directory):
    """A certificate authority, and its certificates for a server and a client."""
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(
        directory, "req", "-x509", *new_key, "-days", "2", "-subj", "/CN=authority",
        "-keyout", "ca.key", "-out", "ca.pem",
    )  # fmt: skip
    for name, usage in (("server", "serverAuth"), ("client", "clientAuth")):
        openssl(
            directory, "req", *new_key, "-subj", f"/CN={name}",
            "-keyout", f"{name}.key", "-out", f"{name}.csr",
        )  # fmt: skip
        (directory / f"{name}.ext").write_text(
            f"subjectAltName=DNS:localhost\nextendedKeyUsage={usage}\nbasicConstraints=CA:FALSE\n"
        )
        openssl(
            directory, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.pem",
        )  # fmt: skip


@unittest.skipUnless(shutil.which("prometheus"), "needs prometheus")
@unittest.skipUnless(shutil.which("openssl"), "needs openssl")
class Secure(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        certificates(self.directory)

    def start(self):
        """Starts the example and returns its port."""
        self.assertTrue(EXAMPLE.exists(), f"build the example first, there is no {EXAMPLE}")
        process = subprocess.Popen(
            [EXAMPLE],
            env={
                **os.environ,
                "METRICS_PORT": "0",
                "METRICS_BASIC_USER": "prometheus",
                "METRICS_BASIC_PASSWORD": "open sesame",
                "METRICS_TLS_CERTIFICATE": str(self.directory / "server.pem"),
                "METRICS_TLS_KEY": str(self.directory / "server.key"),
                "METRICS_TLS_CLIENT_CA": str(self.directory / "ca.pem"),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        line = process.stdout.readline()
        self.assertTrue(line.startswith("page: https://"), line)
        return int(line.split(":")[-1].split("/")[0])

    def test_only_permitted_scrapers_get_the_page(self):
        config = CONFIG.replace("DIRECTORY", str(self.directory))
        prometheus = self.enterContext(Prometheus(self.start(), config=config))

        def targets():
            targets = (prometheus.api("targets") or {}).get("activeTargets") or []
            known = [one for one in targets if one["health"] != "unknown"]
            return len(known) == 3 and {one["labels"]["job"]: one for one in known}

        found = wait_until("the first scrapes", targets, patience=60, pause=0.2)
        health = {job: target["health"] for job, target in found.items()}
        self.assertEqual(
            health,
            {"known": "up", "without_password": "down", "without_certificate": "down"},
            {job: target["lastError"] for job, target in found.items()},
        )
        self.assertIn("401 Unauthorized", found["without_password"]["lastError"])
        self.assertIn("certificate required", found["without_certificate"]["lastError"])

        def scrapes():
            return prometheus.query('metrics_exporter_scrapes_total{code="200"} > 0')

        # A later scrape also shows that no other job has read the page.
        series = wait_until("a later scrape", scrapes)
        self.assertEqual([labels["job"] for labels, _ in series], ["known"])
        self.assertEqual(len(prometheus.query("build_info")), 1)


if __name__ == "__main__":
    unittest.main()
