"""Signs schemathesis' calls of the API as a login of `bailiwick login` does (RFC 9449)."""

import base64
import hashlib
import json
import os
import secrets
import time

import schemathesis
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from requests.auth import AuthBase

with open(os.environ["LOGIN_FILE"], encoding="utf-8") as file:
    LOGIN = json.load(file)


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


KEY = Ed25519PrivateKey.from_private_bytes(decoded(LOGIN["seed"]))
PUBLIC = encoded(KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


class Proved(AuthBase):
    def __call__(self, request):
        path = request.path_url.split("?")[0]
        header = {"typ": "dpop+jwt", "alg": "EdDSA", "jwk": {"kty": "OKP", "crv": "Ed25519", "x": PUBLIC}}
        claims = {
            "jti": secrets.token_urlsafe(16),
            "htm": request.method,
            "htu": LOGIN["authority"] + path,
            "iat": int(time.time()),
            "ath": encoded(hashlib.sha256(LOGIN["token"].encode()).digest()),
        }
        signed = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
        request.headers["DPoP"] = f"{signed}.{encoded(KEY.sign(signed.encode()))}"
        request.headers["Authorization"] = f"DPoP {LOGIN['token']}"
        return request


@schemathesis.hook
def before_call(context, case, kwargs):
    # Where the proof is a parameter, a case without one is meant so.
    is_case = case.operation.path != "/api/v1/login" or "DPoP" in (case.headers or {})
    if case.operation.path.startswith("/api/v1/") and is_case:
        kwargs["auth"] = Proved()
