#!/usr/bin/env python3
"""`viaductctl pki` and `auth matrix`, judged by openssl's own programs: chains, host names, purposes and
handshakes with openssl s_server and s_client.

    host/ctl/pki_test.py VIADUCTCTL
"""
import contextlib
import json
import os
import re
import stat
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "support"))
from documents import claimed_blocks  # noqa: E402

CTL = sys.argv.pop(1) if len(sys.argv) > 1 else "viaductctl"
LIMIT_S = 60
CONFLICT, INVALID = 5, 6


def run(*command, ok=True):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=LIMIT_S, check=False)
    if (done.returncode == 0) != ok:
        raise AssertionError(f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


class PkiTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = temporary.name
        self.ca = os.path.join(self.folder, "pki")

    def pki(self, verb, *arguments, ok=True):
        return run(CTL, "pki", "--folder", self.ca, verb, *arguments, ok=ok)

    def path(self, name):
        return os.path.join(self.ca, name)

    def text(self, name):
        with open(self.path(name), encoding="ascii") as file:
            return file.read()

    def verify(self, certificate, *arguments, ok=True):
        return run("openssl", "verify", "-x509_strict", "-CAfile", self.path("ca.crt"), *arguments,
                   self.path(certificate), ok=ok)

    def site(self, *arguments):
        self.pki("init", "--domain", "site.example", *arguments)
        self.pki("server", "hub.site.example", "127.0.0.1", *arguments)
        self.pki("device", "CAM001", *arguments)

    def test_openssl_takes_the_chain_for_its_purpose_only(self):
        for kind in ([], ["--ed25519"]):
            with self.subTest(kind):
                self.ca = os.path.join(self.folder, "pki" + "".join(kind))
                self.site(*kind)
                self.verify("hub.site.example.crt", "-purpose", "sslserver",
                            "-verify_hostname", "hub.site.example")
                self.verify("hub.site.example.crt", "-purpose", "sslserver", "-verify_ip", "127.0.0.1")
                self.verify("CAM001.crt", "-purpose", "sslclient")
                self.verify("hub.site.example.crt", "-verify_hostname", "other.site.example", ok=False)
                self.verify("hub.site.example.crt", "-purpose", "sslclient", ok=False)
                self.verify("CAM001.crt", "-purpose", "sslserver", ok=False)
                self.verify("CAM001.crt", "-attime", "4102444800", ok=False)  # In 2100.

    def test_a_stolen_authority_makes_no_bank(self):
        self.site()
        request = os.path.join(self.folder, "bank")
        run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", request + ".key", "-subj", "/CN=bank", "-out", request + ".csr",
            "-addext", "subjectAltName=DNS:www.example.com")
        run("openssl", "x509", "-req", "-in", request + ".csr", "-CA", self.path("ca.crt"),
            "-CAkey", self.path("ca.key"), "-days", "5", "-copy_extensions", "copy",
            "-out", self.path("bank.crt"))
        done = run("openssl", "verify", "-CAfile", self.path("ca.crt"), self.path("bank.crt"), ok=False)
        self.assertIn("permitted subtree violation", done.stdout + done.stderr)
        self.assertEqual(self.pki("server", "www.example.com", ok=False).returncode, INVALID)

    def test_keys_are_protected_and_kept(self):
        self.site()
        for name in ("ca.key", "CAM001.key", "hub.site.example.key"):
            self.assertEqual(stat.S_IMODE(os.stat(self.path(name)).st_mode), 0o600, name)
        before = self.text("CAM001.key")
        done = self.pki("device", "CAM001", ok=False)
        self.assertEqual(done.returncode, CONFLICT)
        self.assertIn("--force", done.stderr)
        self.assertEqual(self.pki("init", ok=False).returncode, CONFLICT)
        self.assertEqual(before, self.text("CAM001.key"))
        self.pki("device", "CAM001", "--force")
        self.assertNotEqual(before, self.text("CAM001.key"))

    def test_renewing_keeps_the_key_and_the_names(self):
        self.site()
        show = json.loads(run(CTL, "--json", "pki", "show", self.path("CAM001.crt")).stdout)
        self.pki("renew", self.path("CAM001.crt"), "--days", "30")
        again = json.loads(run(CTL, "--json", "pki", "show", self.path("CAM001.crt")).stdout)
        self.assertEqual(show["names"], ["URI:urn:viaduct:device:CAM001"])
        self.assertEqual(show["names"], again["names"])
        self.assertNotEqual(show["serial"], again["serial"])
        self.verify("CAM001.crt", "-purpose", "sslclient")

    def test_show_says_what_openssl_says(self):
        self.site()
        show = json.loads(run(CTL, "--json", "pki", "show", self.path("hub.site.example.crt")).stdout)
        printed = run("openssl", "x509", "-in", self.path("hub.site.example.crt"), "-noout", "-serial",
                      "-fingerprint", "-sha256", "-ext", "subjectAltName").stdout
        self.assertIn(show["serial"].upper(), printed)
        self.assertIn(show["sha256"].upper(), printed.replace(":", ""))
        self.assertEqual(show["names"], ["DNS:hub.site.example", "IP:127.0.0.1"])
        self.assertIn("DNS:hub.site.example, IP Address:127.0.0.1", printed)
        self.assertIn("name:      DNS:hub.site.example",
                      run(CTL, "pki", "show", self.path("hub.site.example.crt")).stdout)

    @contextlib.contextmanager
    def server(self, *arguments):
        """openssl s_server with the hub's certificate, which wants one of the site's devices."""
        process = subprocess.Popen(
            ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", self.path("hub.site.example.crt"),
             "-key", self.path("hub.site.example.key"), "-CAfile", self.path("ca.crt"), "-Verify", "1",
             "-verify_return_error", "-rev", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            for line in process.stdout:
                found = re.search(r"ACCEPT .*:(\d+)", line)
                if found:
                    yield int(found.group(1))
                    break
            else:
                self.fail("openssl s_server did not begin")
        finally:
            process.kill()
            process.communicate()

    def device(self, name="CAM001"):
        return ["-cert", self.path(name + ".crt"), "-key", self.path(name + ".key")]

    def test_handshakes(self):
        self.site()
        for version in ("-tls1_2", "-tls1_3"):
            with self.subTest(version), self.server() as port:
                talk = self.talk(port, version, *self.device())
                self.assertIn("gnip", talk)
        other = os.path.join(self.folder, "other")
        run(CTL, "pki", "--folder", other, "init")
        run(CTL, "pki", "--folder", other, "device", "CAM001")
        with self.server() as port:
            self.assertNotIn("gnip", self.talk(port), "without a certificate")
        with self.server() as port:
            stranger = ["-cert", other + "/CAM001.crt", "-key", other + "/CAM001.key"]
            self.assertNotIn("gnip", self.talk(port, *stranger), "of another authority")
        with self.server() as port:
            self.assertNotIn("gnip", self.talk(port, "-verify_hostname", "evil.site.example",
                                               *self.device()), "a wrong host")

    def talk(self, port, *arguments):
        """Says "ping" once the handshake is through, and gives what came back."""
        process = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", self.path("ca.crt"),
             "-verify_return_error", "-quiet", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write("ping\n")
                process.stdin.flush()
            return process.stdout.readline()
        finally:
            process.kill()
            with contextlib.suppress(BrokenPipeError):
                process.communicate()


class DocumentTest(unittest.TestCase):
    def test_the_examples_of_the_document_run(self):
        path = os.path.dirname(os.path.abspath(CTL)) + ":" + os.environ["PATH"]
        for block in claimed_blocks(__file__, ["docs/SECURITY.md"]):
            with tempfile.TemporaryDirectory() as folder:
                done = subprocess.run(["bash", "-ec", block.text], cwd=folder, env=dict(os.environ, PATH=path),
                                      capture_output=True, text=True, timeout=LIMIT_S, check=False)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class MatrixTest(unittest.TestCase):
    def test_is_printed_without_a_node(self):
        rows = json.loads(run(CTL, "--json", "auth", "matrix").stdout)["permissions"]
        self.assertGreater(len(rows), 100)
        text = run(CTL, "auth", "matrix").stdout.splitlines()
        self.assertEqual(len(text), len(rows) + 1)
        drain = [row for row in rows if row["action"] == "viaduct.control.v1.Node/Drain"][0]
        self.assertEqual([drain[role] for role in ("nobody", "viewer", "operator", "admin", "device")],
                         ["no", "no", "yes", "yes", "no"])


if __name__ == "__main__":
    unittest.main()
