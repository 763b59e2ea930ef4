"""The manifests in examples/kubernetes, without a cluster."""

import json
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from processes import ROOT

try:
    import kubernetes_validate
    import yaml
    from cloudcoil.models.prometheus_operator import v1 as operator
except ImportError:
    kubernetes_validate = None

MANIFESTS = ROOT / "examples" / "kubernetes"


def manifests():
    """Returns all manifests: `{(kind, name): manifest}`."""
    found = {}
    for path in sorted(MANIFESTS.glob("*.yaml")):
        for one in yaml.safe_load_all(path.read_text()):
            found[one["kind"], one["metadata"]["name"]] = one
    return found


@unittest.skipUnless(kubernetes_validate, "needs kubernetes-validate and the models of the Prometheus Operator")
class Kubernetes(unittest.TestCase):
    def setUp(self):
        self.manifests = manifests()
        self.pods = self.manifests["Deployment", "work-handler"]["spec"]["template"]
        (self.container,) = self.pods["spec"]["containers"]
        self.variables = {one["name"]: one["value"] for one in self.container["env"]}
        self.ports = {port["name"]: port["containerPort"] for port in self.container["ports"]}

    def test_schemas(self):
        for (kind, name), manifest in self.manifests.items():
            with self.subTest(kind=kind, name=name):
                if manifest["apiVersion"] == "monitoring.coreos.com/v1":
                    self.check_custom_resource(manifest)
                else:
                    # Strict: a field that the schema doesn't have is an error.
                    version = kubernetes_validate.latest_version()
                    kubernetes_validate.validate(manifest, version, strict=True)

    def check_custom_resource(self, manifest):
        model = getattr(operator, manifest["kind"]).model_validate(manifest)
        # The models ignore fields that they don't have.
        kept = model.model_dump(by_alias=True, exclude_unset=True, mode="json")
        self.assertEqual(kept, manifest)

    def test_ports_exist(self):
        self.assertEqual(self.variables["DYN_HTTP_PORT"], str(self.ports["http"]))
        self.assertEqual(self.variables["DYN_SYSTEM_PORT"], str(self.ports["metrics"]))
        for name in ("readinessProbe", "livenessProbe"):
            self.assertEqual(self.container[name]["httpGet"]["port"], "metrics")
        for service in ("work-handler", "work-handler-metrics"):
            for port in self.manifests["Service", service]["spec"]["ports"]:
                self.assertIn(port["targetPort"], self.ports)

    def test_a_drain_fits_into_the_grace_period(self):
        drain = int(self.variables["DRAIN_MS"]) / 1000
        code = (ROOT / "examples/serving/mod.rs").read_text()
        grace = re.search(r"^const GRACE: Duration = Duration::from_secs\((\d+)\);$", code, re.MULTILINE)
        period = self.pods["spec"]["terminationGracePeriodSeconds"]
        self.assertGreater(period, drain + int(grace[1]))
        (endpoint,) = self.manifests["ServiceMonitor", "work-handler"]["spec"]["endpoints"]
        self.assertGreater(drain, 2 * int(endpoint["interval"].removesuffix("s")))

    def test_selectors_select(self):
        labels = self.pods["metadata"]["labels"]
        selectors = [
            self.manifests["Deployment", "work-handler"]["spec"]["selector"]["matchLabels"],
            self.manifests["Service", "work-handler"]["spec"]["selector"],
            self.manifests["Service", "work-handler-metrics"]["spec"]["selector"],
        ]
        for selector in selectors:
            self.assertLessEqual(selector.items(), labels.items())
        monitor = self.manifests["ServiceMonitor", "work-handler"]["spec"]
        wanted = monitor["selector"]["matchLabels"].items()
        selected = [
            name
            for (kind, name), manifest in self.manifests.items()
            if kind == "Service" and wanted <= manifest["metadata"]["labels"].items()
        ]
        self.assertEqual(selected, ["work-handler-metrics"])
        service = self.manifests["Service", selected[0]]["spec"]
        ports = [port["name"] for port in service["ports"]]
        self.assertEqual([one["port"] for one in monitor["endpoints"]], ports)

    @unittest.skipUnless(shutil.which("promtool"), "needs promtool")
    def test_rules(self):
        spec = self.manifests["PrometheusRule", "tower-openmetrics-own"]["spec"]
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory) / "rules.json"
            file.write_text(json.dumps(spec))
            command = ["promtool", "check", "rules", "--lint-fatal", file]
            checked = subprocess.run(command, capture_output=True, text=True, timeout=60)
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)


if __name__ == "__main__":
    unittest.main()
