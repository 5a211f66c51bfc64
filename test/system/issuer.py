"""An issuer of tokens for the tests: keys, a discovery document, and every way to fail.

    with Issuer() as issuer:
        token = issuer.token("alice", roles=["editor"])
"""
import collections
import http.server
import ipaddress
import json
import ssl
import threading
import time
import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.x509.oid import NameOID

from runtime import b64url

AUDIENCE = "mozaiks-core"
KEYS_PATH, DISCOVERY_PATH = "/keys", "/.well-known/openid-configuration"
HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
CURVES = {"ES256": (ec.SECP256R1, "P-256", 32), "ES384": (ec.SECP384R1, "P-384", 48),
          "ES512": (ec.SECP521R1, "P-521", 66)}


def number(value, size=None):
    return b64url(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


class Key:
    """A key pair of one algorithm."""

    def __init__(self, kid, alg="RS256", bits=2048):
        self.kid, self.alg = kid, alg
        if alg in CURVES:
            self.private = ec.generate_private_key(CURVES[alg][0]())
        elif alg == "EdDSA":
            self.private = ed25519.Ed25519PrivateKey.generate()
        else:
            self.private = rsa.generate_private_key(65537, bits)

    def jwk(self, **more):
        public = self.private.public_key()
        jwk = {"kid": self.kid, "alg": self.alg, "use": "sig"}
        if self.alg in CURVES:
            _, curve, size = CURVES[self.alg]
            point = public.public_numbers()
            jwk.update(kty="EC", crv=curve, x=number(point.x, size), y=number(point.y, size))
        elif self.alg == "EdDSA":
            raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            jwk.update(kty="OKP", crv="Ed25519", x=b64url(raw))
        else:
            numbers = public.public_numbers()
            jwk.update(kty="RSA", n=number(numbers.n), e=number(numbers.e))
        jwk.update(more)
        return {name: value for name, value in jwk.items() if value is not None}

    def pem(self):
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()

    def signature(self, data):
        if self.alg == "EdDSA":
            return self.private.sign(data)
        digest = HASHES[self.alg[2:]]
        if self.alg in CURVES:
            size = CURVES[self.alg][2]
            r, s = utils.decode_dss_signature(self.private.sign(data, ec.ECDSA(digest)))
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")
        if self.alg.startswith("PS"):
            return self.private.sign(data, padding.PSS(padding.MGF1(digest), digest.digest_size),
                                     digest)
        return self.private.sign(data, padding.PKCS1v15(), digest)

    def sign(self, claims, **header):
        head = {"alg": self.alg, "typ": "JWT", "kid": self.kid, **header}
        head = {name: value for name, value in head.items() if value is not None}
        signed = ".".join(b64url(json.dumps(part).encode()) for part in (head, claims))
        return f"{signed}.{b64url(self.signature(signed.encode()))}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: N802
        issuer = self.server.issuer
        issuer.asked[self.path] += 1
        fault = issuer.faults.get(self.path)
        try:
            if fault:
                fault(self)
            elif self.path == DISCOVERY_PATH:
                self.answer(200, json.dumps(issuer.discovery))
            elif self.path == KEYS_PATH:
                self.answer(200, json.dumps({"keys": issuer.published}))
            else:
                self.answer(404, "{}")
        except OSError:
            pass  # the director has ended the connection

    def answer(self, status, body, headers=()):
        data = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # a handshake that the director did not like


def certificate():
    """A certificate of 127.0.0.1 that nobody has signed. @return (PEM of both, PEM without the key)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer of the tests")])
    now = datetime.datetime.utcnow()
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName(
                [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256()))
    public = made.public_bytes(serialization.Encoding.PEM).decode()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                serialization.NoEncryption()).decode()
    return private + public, public


class Issuer:
    """Listens on a free port of this machine, or on the one given.

    published: the JWKs that it shows. faults: {path: what to do instead}. asked: {path: how often}.
    """

    def __init__(self, port=0, tls=None, key=None):
        self.server = Server(("127.0.0.1", port), Handler)
        self.server.issuer = self
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                     do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.name = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.key = key or Key("k1")
        self.published = [self.key.jwk()]
        self.discovery = {"issuer": self.name, "jwks_uri": self.name + KEYS_PATH}
        self.faults, self.asked = {}, collections.Counter()
        self.released = threading.Event()
        self.thread = threading.Thread(target=self.server.serve_forever, args=[0.05], daemon=True)
        self.thread.start()

    def claims(self, user, **more):
        now = int(time.time())
        kept = {"iss": self.name, "aud": AUDIENCE, "sub": user, "iat": now, "exp": now + 600,
                **more}
        return {name: value for name, value in kept.items() if value is not None}

    def token(self, user="alice", key=None, header=None, **claims):
        return (key or self.key).sign(self.claims(user, **claims), **(header or {}))

    def env(self, **more):
        """The settings of a director that takes its tokens."""
        return {"JWT_SECRET": None, "MOZAIKS_ISSUER": self.name, "MOZAIKS_AUDIENCE": AUDIENCE,
                "MOZAIKS_JWKS_CACHE_SECONDS": "1", "MOZAIKS_JWKS_REFETCH_SECONDS": "0.3",
                "MOZAIKS_ISSUER_TIMEOUT_SECONDS": "0.5", **more}

    def hang(self, handler):
        """A fault: nothing comes until `released` is set."""
        self.released.wait(30)

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
