"""Operations of an HTTP API: requests that are written in the one way that the gateway takes."""

import hashlib
import json
import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .canonical import canonical
from .errors import Denied, ToolFailed, Unavailable
from .keys import Chain, InstanceKeys, b64, fresh_id, now

if TYPE_CHECKING:
    from .client import _Http


def prove(keys: InstanceKeys, chain: Chain, tool: str, arguments: dict[str, Any]) -> str:
    """A proof of possession over one call: this tool with these arguments, once."""
    signed = chain.leaf.rsplit(".", 1)[0]
    return keys.holder.jws({"typ": "aat-pop+jwt"}, {
        "jti": fresh_id(),
        "iat": now(),
        "aat_id": chain.claims()["jti"],
        "aat_hash": b64(hashlib.sha256(signed.encode()).digest()),
        "aat_tool": tool,
        "hta": arguments,
        "aat_aud": chain.audience,
    })


@dataclass(frozen=True)
class Answer:
    """What the API answered to an allowed call."""

    status: int
    content_type: str
    body: bytes
    decision_id: str

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Api:
    """One HTTP API at the gateway, under one chain."""

    def __init__(
        self, url: str, server: str, chain: Chain, keys: InstanceKeys, http: "_Http"
    ):
        self._url, self._server, self._chain = url, server, chain
        self._keys, self._http = keys, http
        self._known: dict[str, dict[str, Any]] = {}

    def list(self) -> list[dict[str, Any]]:
        """The operations that the chain permits, as they were accepted."""
        nonce: str | None = None
        while True:
            proof = self._keys.holder.dpop("GET", self._url, self._chain.leaf, nonce)
            headers = {"AAT-Chain": ",".join(self._chain.tokens), "DPoP": proof}
            status, found, text = self._http.send("GET", self._url, None, headers)
            wanted = found.get("DPoP-Nonce")
            asked = "use_dpop_nonce" in " ".join(found.get_all("WWW-Authenticate") or [])
            if status == 401 and nonce is None and wanted and asked:
                nonce = wanted
                continue
            if status != 200:
                raise _problem(status, found, text)
            operations = json.loads(text)["operations"]
            self._known = {operation["name"]: operation for operation in operations}
            return operations

    def call(self, operation: str, /, **arguments: Any) -> Answer:
        """Calls an operation; a fresh proof is made over these very arguments.

        Path, query and header parameters are arguments by their names (headers in lower case); so are
        the members of a body that is an object, or ``body`` is the whole body: the operation's
        ``inputSchema`` in :meth:`list` says which. Raises :class:`Denied` before any effect,
        :class:`ToolFailed` after it was allowed, and :class:`Unavailable` when no answer came.
        """
        if operation not in self._known:
            self.list()
        if operation not in self._known:
            message = f"the chain permits no operation {operation!r}"
            raise Denied("tool-not-delegated", message, "ask the principal for more", None)
        method, target, headers, body = _request(self._known[operation], arguments)
        tool = f"http:{self._server}:{operation}"
        headers["AAT-Chain"] = ",".join(self._chain.tokens)
        headers["AAT-PoP"] = prove(self._keys, self._chain, tool, arguments)
        status, found, text = self._http.send(method, self._url + target, body, headers)
        decision = found.get("Bailiwick-Decision")
        kind = found.get("Content-Type", "")
        # No API can send these headers: what lacks them is the gateway's own word.
        failed = found.get("Bailiwick-Failed") is not None
        if found.get("Bailiwick-Outcome") is None or decision is None or failed:
            raise _problem(status, found, text)
        return Answer(status, kind, text, decision)


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return canonical(value)
    raise ValueError(f"`{name}` must be a text, a number or a truth value")


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def _request(
    operation: dict[str, Any], arguments: dict[str, Any]
) -> tuple[str, str, dict[str, str], bytes | None]:
    """Method, path with query, headers and body; the same rules as the gateway's."""
    rest = dict(arguments)
    path, query, headers = operation["path"], [], {}
    for parameter in operation.get("parameters", []):
        name, place = parameter["name"], parameter["in"]
        if name not in rest:
            if parameter.get("required"):
                raise ValueError(f"the argument `{name}` is missing")
            continue
        value = rest.pop(name)
        if place == "path":
            path = path.replace("{" + name + "}", _quoted(_text(name, value)))
        elif place == "query":
            values = value if parameter.get("many") else [value]
            query.extend(f"{_quoted(name)}={_quoted(_text(name, one))}" for one in values)
        else:
            headers[name] = _text(name, value)
    body = None
    form = operation.get("body")
    if form is not None and (rest or form["required"]):
        body = canonical(rest["body"] if form["form"] == "argument" else rest).encode()
        headers["Content-Type"] = "application/json"
    elif rest:
        raise ValueError(f"the operation has no argument `{next(iter(rest))}`")
    return operation["method"], path + ("?" + "&".join(query) if query else ""), headers, body


def _problem(status: int, found: Any, text: bytes) -> Denied | ToolFailed | Unavailable:
    try:
        problem = json.loads(text)
        code, detail, remedy = problem["code"], problem["detail"], problem["remedy"]
    except (ValueError, KeyError, TypeError):
        return Unavailable(f"something that is no gateway answered with status {status}")
    decision = problem.get("decision_id")
    if found.get("Bailiwick-Failed") is not None:
        return ToolFailed(detail, code, decision)
    if status == 401:
        return Denied("unauthenticated", detail, remedy, decision)
    if status in (403, 400, 413):
        return Denied(code, detail, remedy, decision)
    return Unavailable(f"{detail} [{code}]")
