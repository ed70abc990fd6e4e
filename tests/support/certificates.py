"""Certificates of a trial's own, good ones and bad ones, by python3-cryptography."""

import base64
import datetime
import ipaddress
import json
import os
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

HOUR = 3600
DAY = 24 * HOUR


def _name(text):
    kind, _, value = text.partition(":")
    if kind == "IP":
        return x509.IPAddress(ipaddress.ip_address(value))
    return {"DNS": x509.DNSName, "URI": x509.UniformResourceIdentifier}[kind](value)


def _new_key(kind):
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def write(path, data, mode=0o600):
    """As a whole or not at all, as whoever renews certificates does."""
    part = path + ".part"
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as f:
        f.write(data)
    os.rename(part, path)


class Authority:
    """Signs for a trial. `pem` is the file that trusts it."""

    def __init__(self, folder, name="authority"):
        self.folder, self.name = folder, name
        self.key = _new_key("ec")
        self.certificate = self._build(name, self.key, (), -HOUR, 10 * DAY * 365, None, True)
        self.pem = os.path.join(folder, f"{name}.pem")
        write(self.pem, self.certificate.public_bytes(serialization.Encoding.PEM))

    def _build(self, name, key, names, begin, end, issuer, is_authority=False):
        now = datetime.datetime.now(datetime.timezone.utc)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (x509.CertificateBuilder()
                   .subject_name(subject)
                   .issuer_name(issuer.certificate.subject if issuer else subject)
                   .public_key(key.public_key())
                   .serial_number(x509.random_serial_number())
                   .not_valid_before(now + datetime.timedelta(seconds=begin))
                   .not_valid_after(now + datetime.timedelta(seconds=end))
                   .add_extension(x509.BasicConstraints(is_authority, None), critical=True))
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_name(n) for n in names]), critical=False)
        return builder.sign(issuer.key if issuer else key, hashes.SHA256())

    def sign(self, name, names=("DNS:localhost", "IP:127.0.0.1"), begin=-HOUR, end=300 * DAY,
             kind="ec", self_signed=False, file=None):
        """The files of a certificate and its key; `file` is what they are called, or `name`."""
        key = _new_key(kind)
        made = self._build(name, key, names, begin, end, None if self_signed else self)
        paths = [os.path.join(self.folder, f"{self.name}-{file or name}.{end}")
                 for end in ("crt", "key")]
        secret = key.private_bytes(serialization.Encoding.PEM,
                                   serialization.PrivateFormat.PKCS8,
                                   serialization.NoEncryption())
        write(paths[0], made.public_bytes(serialization.Encoding.PEM))
        write(paths[1], secret)
        return paths


class TokenIssuer:
    """Signs tokens by ES256. `auth` is the section of a node that takes them."""

    ISSUER, AUDIENCE = "https://login.trial.example", "viaduct"

    def __init__(self, folder):
        self.key = _new_key("ec")
        path = os.path.join(folder, "tokens.pem")
        write(path, self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
        self.auth = {"tokens": {"issuer": self.ISSUER, "audience": self.AUDIENCE,
                                "keys": [{"kid": "k1", "algorithm": "ES256", "file": path}]}}

    def token(self, sub, role, **claims):
        now = int(time.time())
        signed = ".".join(_encoded(json.dumps(part).encode()) for part in (
            {"alg": "ES256", "typ": "JWT", "kid": "k1"},
            {"iss": self.ISSUER, "aud": self.AUDIENCE, "sub": sub, "role": role, "iat": now,
             "exp": now + HOUR, **claims}))
        pair = decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return signed + "." + _encoded(b"".join(n.to_bytes(32, "big") for n in pair))


def _encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
