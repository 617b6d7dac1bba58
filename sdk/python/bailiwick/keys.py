"""The files of an instance: its keys, and the chain that was delegated to it."""

import base64
import hashlib
import json
import os
import secrets
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from .canonical import canonical


def b64(data: bytes) -> str:
    """base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def fresh_id() -> str:
    return b64(secrets.token_bytes(16))


def now() -> int:
    """Seconds since the epoch."""
    return int(time.time())


class _Signer:
    """A private key that signs compact JWS."""

    algorithm: str

    def public(self) -> dict[str, str]:
        raise NotImplementedError

    def _sign(self, data: bytes) -> bytes:
        raise NotImplementedError

    def jws(self, header: dict[str, Any], claims: dict[str, Any]) -> str:
        head = b64(canonical({**header, "alg": self.algorithm}).encode())
        signed = f"{head}.{b64(canonical(claims).encode())}"
        return f"{signed}.{b64(self._sign(signed.encode()))}"

    def dpop(self, method: str, url: str, token: str | None = None, nonce: str | None = None) -> str:
        """A DPoP proof (RFC 9449 section 4.2)."""
        claims: dict[str, Any] = {"htm": method, "htu": url, "iat": now(), "jti": fresh_id()}
        if token is not None:
            claims["ath"] = b64(hashlib.sha256(token.encode()).digest())
        if nonce is not None:
            claims["nonce"] = nonce
        return self.jws({"typ": "dpop+jwt", "jwk": self.public()}, claims)


class HolderKey(_Signer):
    """Ed25519: signs proofs for the chain's last token."""

    algorithm = "Ed25519"

    def __init__(self, seed: bytes):
        self._key = ed25519.Ed25519PrivateKey.from_private_bytes(seed)

    def public(self) -> dict[str, str]:
        raw = self._key.public_key().public_bytes_raw()
        return {"kty": "OKP", "crv": "Ed25519", "x": b64(raw)}

    def _sign(self, data: bytes) -> bytes:
        return self._key.sign(data)


class IdentityKey(_Signer):
    """P-256: says towards the authority which instance this is."""

    algorithm = "ES256"

    def __init__(self, pkcs8: bytes):
        key = serialization.load_der_private_key(pkcs8, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise ValueError("the identity key is not on P-256")
        self._key = key

    def public(self) -> dict[str, str]:
        numbers = self._key.public_key().public_numbers()
        x, y = (b64(n.to_bytes(32, "big")) for n in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y}

    def _sign(self, data: bytes) -> bytes:
        # JWS wants r and s, not DER (RFC 7518 section 3.4).
        r, s = decode_dss_signature(self._key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


class InstanceKeys:
    """The two keys of an enrolled instance, as ``bailiwick instance new`` or ``join`` wrote them."""

    def __init__(self, instance: str, holder: HolderKey, identity: IdentityKey):
        self.instance, self.holder, self.identity = instance, holder, identity

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "InstanceKeys":
        """Reads a key file, which nobody else may be able to read."""
        with open(path, "rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise PermissionError(f"{path} is readable by others: chmod 600 it")
            found = json.load(file)
        holder = HolderKey(unb64(found["holder"]["d"]))
        return cls(found["instance"], holder, IdentityKey(unb64(found["identity_pkcs8"])))

    def __repr__(self) -> str:
        return f"InstanceKeys({self.instance!r})"


@dataclass(frozen=True)
class Chain:
    """What was delegated: tokens from the root to the leaf, and the gateway that it is for."""

    tokens: tuple[str, ...]
    audience: str

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "Chain":
        """Reads a chain file, as ``bailiwick delegate`` and ``attenuate`` write it."""
        found = json.loads(Path(path).read_text())
        return cls(tuple(found["aat_chain"]), found.get("audience", ""))

    @property
    def leaf(self) -> str:
        return self.tokens[-1]

    def claims(self) -> dict[str, Any]:
        """What the last token says. It was not verified: the gateway does that."""
        return json.loads(unb64(self.leaf.split(".")[1]))

    def __repr__(self) -> str:
        return f"Chain({len(self.tokens)} tokens for {self.audience!r})"
