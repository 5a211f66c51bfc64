"""Keycloak, a real issuer of tokens: unpacked and built once into the cache, its data in memory.

    with keycloak.Keycloak() as server:
        server.make_realm("shop", …)
        token = server.login("shop", "client", "alice", "password")["access_token"]
"""
import json
import pathlib
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile

import servers

VERSION = "24.0.5"
ARTIFACT = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
START_SECONDS = 240
STOP_SECONDS = 20


def folder():
    """The unpacked server with its configuration built in. servers.Unavailable when it cannot be had."""
    servers.need("java", "openjdk-17-jdk-headless")
    with servers.built("keycloak") as (cached, missing):
        home = cached / f"keycloak-{VERSION}"
        if missing:
            servers.need("mvn", "maven")
            source = servers.HERE / "keycloak"
            servers.run("mvn", "-q", "-B", "-C", "-f", source / "pom.xml", "dependency:copy",
                        f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={cached}")
            servers.run("sha256sum", "--check", "--strict", source / "keycloak.sha256", cwd=cached)
            archive = cached / f"keycloak-quarkus-dist-{VERSION}.zip"
            with zipfile.ZipFile(archive) as z:
                z.extractall(cached)
            archive.unlink()
            (home / "bin" / "kc.sh").chmod(0o755)
            shutil.copy(source / "keycloak.conf", home / "conf")
            servers.run(home / "bin" / "kc.sh", "build")
    return home


def why_not():
    """None, or why it cannot be had."""
    try:
        folder()
        return None
    except servers.Unavailable as reason:
        return str(reason)


class Refused(Exception):
    """An answer of Keycloak that is no success."""


class Keycloak:
    """A running server. `url` is where it listens."""

    def __init__(self):
        home = folder()
        self.data = tempfile.mkdtemp(prefix="mozaiks-keycloak-")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.password = secrets.token_urlsafe(16)
        # It does not end with its standard input: the shell that watches it does that.
        script = ('"$@" & pid=$!; trap "kill $pid" TERM; exec 3<&0; '
                  '(cat <&3 >/dev/null; kill $pid) & wait $pid')
        self.log = open(pathlib.Path(self.data) / "log", "wb")
        self.process = subprocess.Popen(
            ["sh", "-c", script, "sh", str(home / "bin" / "kc.sh"), "start", "--optimized",
             "--http-enabled=true", "--hostname-strict=false", "--http-host=127.0.0.1",
             f"--http-port={port}"],
            stdin=subprocess.PIPE, stdout=self.log, stderr=subprocess.STDOUT, cwd=self.data,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "KEYCLOAK_ADMIN": "admin",
                 "KEYCLOAK_ADMIN_PASSWORD": self.password,
                 "JAVA_OPTS": f"-Xms64m -Xmx512m -XX:TieredStopAtLevel=1 "
                              f"-Djava.io.tmpdir={self.data}"})
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise
        self._admin = None

    def _wait(self):
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.request("GET", "/realms/master")
                return
            except (OSError, Refused) as error:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    text = (pathlib.Path(self.data) / "log").read_text(errors="replace")
                    raise RuntimeError(f"Keycloak did not start ({error}): {text[-2000:]}") from None
                time.sleep(0.2)

    def request(self, method, path, body=None, form=None, token=None):
        headers, data = {}, None
        if form is not None:
            data = urllib.parse.urlencode(form).encode()
        elif body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        if token:
            headers["Authorization"] = f"Bearer {token}"
        asked = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                text = answer.read()
                return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            raise Refused(f"{method} {path}: {error.code} {error.read()[:500]}") from None

    def admin(self, method, path, body=None):
        """The admin API, with a token that is fresh enough."""
        if self._admin is None or self._admin[1] < time.monotonic():
            answer = self.login("master", "admin-cli", "admin", self.password)
            self._admin = (answer["access_token"], time.monotonic() + answer["expires_in"] / 2)
        return self.request(method, f"/admin/realms{path}", body, token=self._admin[0])

    def login(self, realm, client, user, password, **more):
        """The password grant."""
        return self.request("POST", f"/realms/{realm}/protocol/openid-connect/token", form={
            "grant_type": "password", "client_id": client, "username": user,
            "password": password, **more})

    def issuer(self, realm):
        return f"{self.url}/realms/{realm}"

    def keys(self, realm):
        """The published keys for signatures, by kid."""
        found = self.request("GET", f"/realms/{realm}/protocol/openid-connect/certs")["keys"]
        return {key["kid"]: key for key in found if key["use"] == "sig"}

    def add_key(self, realm, provider="rsa-generated", priority=1000, **config):
        """Makes a key that signs from now on. @return its component's id."""
        name = f"key-{secrets.token_hex(4)}"
        self.admin("POST", f"/{realm}/components", {
            "name": name, "providerId": provider, "providerType": "org.keycloak.keys.KeyProvider",
            "config": {"priority": [str(priority)], "enabled": ["true"], "active": ["true"],
                       **{key: [value] for key, value in config.items()}}})
        return next(c["id"] for c in self.components(realm) if c["name"] == name)

    def components(self, realm):
        return self.admin("GET", f"/{realm}/components?type=org.keycloak.keys.KeyProvider")

    def disable_key(self, realm, component):
        path = f"/{realm}/components/{component}"
        found = self.admin("GET", path)
        found["config"].update(enabled=["false"], active=["false"])
        self.admin("PUT", path, found)

    def stop(self):
        if self.process.stdin:
            self.process.stdin.close()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.data, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
