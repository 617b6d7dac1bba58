"""Obtain a delegation, call a tool, list what is permitted."""

import base64
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from .api import Api, prove
from .canonical import canonical
from .errors import BailiwickError, Denied, Refused, ToolFailed, Unavailable
from .keys import Chain, InstanceKeys, fresh_id, now

_PROTOCOL = "2026-07-28"
_META = "io.modelcontextprotocol/"
_MAX_ANSWER = 16 * 1024 * 1024
_LOCAL = ("localhost", "127.0.0.1", "::1")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_MAX_DEPTH = 16


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    # A chain is shown to the gateway that was named and to nobody else.
    def redirect_request(self, *_: Any) -> None:
        return None


def _base(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOCAL):
        raise ValueError(f"{url} is neither https nor http on this machine")
    return url.rstrip("/")


class _Http:
    def __init__(self, timeout: float):
        self._timeout = timeout
        self._opener = urllib.request.build_opener(_NoRedirect)

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any, bytes]:
        return self.send("POST", url, body, headers)

    def send(
        self, method: str, url: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, Any, bytes]:
        request = urllib.request.Request(url, body, headers, method=method)
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                status, found, text = answer.status, answer.headers, answer.read(_MAX_ANSWER + 1)
        except urllib.error.HTTPError as error:
            with error:
                status, found, text = error.code, error.headers, error.read(_MAX_ANSWER + 1)
        except OSError as error:
            raise Unavailable(f"{url} does not answer: {error}") from error
        if len(text) > _MAX_ANSWER:
            raise Unavailable(f"the answer of {url} is too long")
        return status, found, text


class Client:
    """An enrolled instance at one authority: obtains delegations and calls tools under them."""

    def __init__(self, url: str, keys: InstanceKeys, *, timeout: float = 60):
        """``url`` is the authority's public URL, ``timeout`` is in seconds and for each answer."""
        self._url, self._keys, self._http = _base(url), keys, _Http(timeout)

    def obtain(self, grant: str, scope: str | None = None) -> Chain:
        """A fresh delegation under a grant that stands (RFC 8693); ``scope`` can only narrow it.

        Raises :class:`Refused` when the grant does not stand or is not this instance's.
        """
        claims = {"iss": self._keys.instance, "aud": self._url, "iat": now(), "jti": fresh_id()}
        request = self._keys.identity.jws({"typ": "bailiwick-identity-request+jwt"}, claims)
        body = json.dumps({"request": request}).encode()
        json_type = {"Content-Type": "application/json"}
        status, _, text = self._http.post(f"{self._url}/instances/identity", body, json_type)
        identity = self._said(status, text)
        name = identity["spiffe_id"]
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": self._keys.identity.jws(
                {"typ": "client-authentication+jwt"},
                {"iss": name, "sub": name, "aud": self._url, "iat": now(), "exp": now() + 60,
                 "jti": fresh_id()},
            ),
            "subject_token": grant,
            "subject_token_type": "urn:bailiwick:token-type:grant",
            "actor_token": identity["identity_token"],
            "actor_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "requested_token_type": "urn:bailiwick:token-type:delegation",
        }
        if scope is not None:
            form["scope"] = scope
        answer = self._exchange(form)
        if answer.get("issued_token_type") != form["requested_token_type"]:
            raise Refused("answer-unexpected", "the authority issued something else than a delegation")
        return Chain((answer["access_token"],), f"{self._url}/mcp")

    def _exchange(self, form: dict[str, str], nonce: str | None = None) -> dict[str, Any]:
        url = f"{self._url}/token"
        body = urllib.parse.urlencode(form).encode()
        proof = self._keys.identity.dpop("POST", url, nonce=nonce)
        headers = {"Content-Type": "application/x-www-form-urlencoded", "DPoP": proof}
        status, found, text = self._http.post(url, body, headers)
        wanted = found.get("DPoP-Nonce")
        if status in (400, 401) and nonce is None and wanted and b"use_dpop_nonce" in text:
            claims = json.loads(base64.urlsafe_b64decode(_padded(form["client_assertion"])))
            claims.update(iat=now(), exp=now() + 60, jti=fresh_id())
            assertion = self._keys.identity.jws({"typ": "client-authentication+jwt"}, claims)
            return self._exchange({**form, "client_assertion": assertion}, wanted)
        return self._said(status, text)

    @staticmethod
    def _said(status: int, text: bytes) -> dict[str, Any]:
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Unavailable(f"something that is no Bailiwick answered with status {status}")
        if status == 200:
            return found
        code = found.get("reason") or found.get("code") or found.get("error") or str(status)
        message = found.get("error_description") or found.get("detail") or "refused"
        raise Refused(str(code), str(message))

    def tools(self, server: str, chain: Chain) -> "Tools":
        """The tools of one tool server, under this chain."""
        return Tools(f"{self._url}/mcp/{urllib.parse.quote(server, safe='')}", server, chain,
                     self._keys, self._http)


    def api(self, server: str, chain: Chain) -> Api:
        """The operations of one HTTP API, under this chain."""
        url = f"{self._url}/http/{urllib.parse.quote(server, safe='')}"
        return Api(url, server, chain, self._keys, self._http)


def _padded(assertion: str) -> str:
    claims = assertion.split(".")[1]
    return claims + "=" * (-len(claims) % 4)


class Tools:
    """One tool server at the gateway, under one chain."""

    def __init__(self, url: str, server: str, chain: Chain, keys: InstanceKeys, http: _Http):
        self._url, self._server, self._chain = url, server, chain
        self._keys, self._http = keys, http
        self._schemas: dict[str, Any] = {}

    def call(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """Calls a tool and gives its MCP result; a fresh proof is made over these very arguments.

        A tool that was not listed yet is looked up first: its definition says which arguments are
        repeated in headers (``x-mcp-header``). After ``param-header-mismatch`` the definition has
        changed: :meth:`list` reads it again.

        Raises :class:`Denied` before any effect, :class:`ToolFailed` after it was allowed, and
        :class:`Unavailable` when no answer came: then find out before you call again.
        """
        if name not in self._schemas:
            self.list()
        repeated = _repeated(self._schemas.get(name), arguments)
        proof = prove(self._keys, self._chain, f"mcp:{self._server}:tools/{name}", arguments)
        presentation = {"aat_chain": list(self._chain.tokens), "aat_pop": proof}
        params = {"name": name, "arguments": arguments}
        meta = {"io.bailiwick/presentation": presentation}
        return self._ask("tools/call", params, meta, {"Mcp-Name": _header(name), **repeated})

    def list(self) -> list[dict[str, Any]]:
        """The tools that the chain permits, all pages, by DPoP."""
        found: list[dict[str, Any]] = []
        params: dict[str, Any] = {}
        nonce: str | None = None
        while True:
            proof = self._keys.holder.dpop("POST", self._url, self._chain.leaf, nonce)
            headers = {"AAT-Chain": ",".join(self._chain.tokens), "DPoP": proof}
            try:
                page = self._ask("tools/list", params, {}, headers)
            except _WantsNonce as wants:
                if nonce is not None:
                    raise Denied("unauthenticated", "not authenticated", "ask the operator", None)
                nonce = wants.nonce
                continue
            nonce = None
            found.extend(page["tools"])
            if "nextCursor" not in page:
                self._schemas = {tool["name"]: tool.get("inputSchema") for tool in found}
                return found
            params = {"cursor": page["nextCursor"]}

    def _ask(
        self, method: str, params: dict[str, Any], meta: dict[str, Any], headers: dict[str, str]
    ) -> dict[str, Any]:
        meta = {
            f"{_META}protocolVersion": _PROTOCOL,
            f"{_META}clientInfo": {"name": "bailiwick-python", "version": "0.1.0"},
            f"{_META}clientCapabilities": {},
            **meta,
        }
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": _PROTOCOL,
            "Mcp-Method": method,
            **headers,
        }
        status, found, text = self._http.post(self._url, json.dumps(message).encode(), headers)
        answer = _message(found.get("Content-Type", ""), text)
        if isinstance(answer, dict) and isinstance(answer.get("result"), dict):
            return answer["result"]
        error = answer.get("error") if isinstance(answer, dict) else None
        wanted = found.get("DPoP-Nonce")
        if status == 401 and wanted and "use_dpop_nonce" in (found.get("WWW-Authenticate") or ""):
            raise _WantsNonce(wanted)
        if not isinstance(error, dict):
            raise Unavailable(f"something that is no gateway answered with status {status}")
        raise _of(error)


class _WantsNonce(BailiwickError):
    def __init__(self, nonce: str):
        super().__init__("the gateway wants its nonce in the proof")
        self.nonce = nonce


def _header(name: str) -> str:
    # What does not fit into a header as it is, is sent in base64 (MCP 2026-07-28).
    marked = name.startswith("=?base64?")
    if name.isascii() and name.isprintable() and name == name.strip() and not marked:
        return name
    return f"=?base64?{base64.b64encode(name.encode()).decode()}?="


def _repeated(schema: Any, arguments: dict[str, Any], depth: int = 0) -> dict[str, str]:
    """``Mcp-Param-…`` for the plain arguments whose schema asks for it (MCP 2026-07-28)."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    found: dict[str, str] = {}
    if not isinstance(properties, dict) or depth >= _MAX_DEPTH:
        return found
    for name, inner in properties.items():
        if not isinstance(inner, dict) or name not in arguments:
            continue
        value, asked = arguments[name], inner.get("x-mcp-header")
        if isinstance(asked, str) and _TOKEN.fullmatch(asked):
            if isinstance(value, str):
                found[f"Mcp-Param-{asked}"] = _header(value)
            elif isinstance(value, bool | int | float):
                found[f"Mcp-Param-{asked}"] = canonical(value)
        if isinstance(value, dict):
            found.update(_repeated(inner, value, depth + 1))
    return found


def _message(kind: str, text: bytes) -> Any:
    """The JSON-RPC answer: the body, or the last event that holds one."""
    candidates = [text.decode("utf-8", "replace")]
    if kind.startswith("text/event-stream"):
        lines = candidates[0].splitlines()
        candidates = [line[5:].strip() for line in lines if line.startswith("data:")]
    for candidate in reversed(candidates):
        try:
            found = json.loads(candidate)
        except ValueError:
            continue
        if isinstance(found, dict) and "id" in found:
            return found
    return None


def _of(error: dict[str, Any]) -> BailiwickError:
    data = error.get("data") if isinstance(error.get("data"), dict) else {}
    code, message = error.get("code"), str(error.get("message", ""))
    if code == -32040:
        return Denied(data["code"], data["reason"], data["remedy"], data.get("decision_id"))
    if code == -32041:
        remedy = "check the chain and the key; the operator sees why under the decision id"
        return Denied("unauthenticated", message, remedy, data.get("decision_id"))
    if code == -32603 and "decision_id" in data:
        return ToolFailed(str(data.get("reason", message)), data.get("code"), data["decision_id"])
    decision = data.get("io.bailiwick/decision") or {}
    return ToolFailed(message, None, decision.get("id"))
