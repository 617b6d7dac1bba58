"""PyPI's Authlib as a user writes it: metadata, code with PKCE (S256),
private_key_jwt, refresh, introspection and revocation; and what it is refused.

    python authlib_client.py CONFIG

CONFIG is JSON: {issuer, resource}. The client registers itself with a key that it
makes. Authlib knows no DPoP, so its tokens are bearer tokens. What happens is printed as one JSON object per line; `authorize` names the URL
for the user's browser.
"""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlparse

from authlib.common.errors import AuthlibBaseError
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from joserfc.jwk import ECKey

# Plain HTTP, which the library takes on request: everything is on this machine.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
CONFIG = json.loads(sys.argv[1])


def say(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)


def check(name, holds, why=""):
    say("check", name=name, ok=bool(holds), why=str(why))
    if not holds:
        sys.exit(1)


def refused(name, code, work):
    try:
        found = work()
    except AuthlibBaseError as error:
        return check(name, error.error == code, error)
    check(name, False, found)


class Callback(BaseHTTPRequestHandler):
    arrived = []

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"You may close this page.")
        if urlparse(self.path).path == "/callback":
            self.arrived.append(f"http://127.0.0.1:{self.server.server_port}{self.path}")

    def log_message(self, *_):
        pass


def main():
    listener = HTTPServer(("127.0.0.1", 0), Callback)
    Thread(target=listener.serve_forever, daemon=True).start()
    redirect = f"http://127.0.0.1:{listener.server_port}/callback"

    http = OAuth2Session()
    url = get_well_known_url(CONFIG["issuer"], external=True)
    metadata = AuthorizationServerMetadata(http.get(url, withhold_token=True).json())
    metadata.validate()
    check("metadata", metadata["issuer"] == CONFIG["issuer"], metadata)
    at = {name: metadata[f"{name}_endpoint"] for name in
          ("authorization", "token", "registration", "revocation", "introspection")}

    key = ECKey.generate_key("P-256")
    answer = http.post(at["registration"], withhold_token=True, json={
        "client_name": "desk script",
        "redirect_uris": [redirect],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [key.as_dict(private=False)]},
    })
    client_id = answer.json().get("client_id")
    check("registration with a key", answer.status_code == 201 and client_id, answer.text)
    say("registered", client_id=client_id)
    session = OAuth2Session(
        client_id=client_id,
        client_secret=key,
        token_endpoint_auth_method="private_key_jwt",
        revocation_endpoint_auth_method="private_key_jwt",
        code_challenge_method="S256",
        redirect_uri=redirect,
        scope="tickets:read",
    )
    # The issuer is the one audience of an assertion; the library's default is the
    # token endpoint.
    session.register_client_auth_method(PrivateKeyJWT(CONFIG["issuer"], alg="ES256"))

    details = json.dumps([{
        "type": "urn:bailiwick:delegation",
        "workflow": "desk-assistant",
        "purpose": "Look up what ticket 8821 is about",
        "scope": ["tickets:read"],
    }])

    def authorize(verifier, **more):
        target, state = session.create_authorization_url(
            at["authorization"], code_verifier=verifier, resource=CONFIG["resource"],
            authorization_details=details, **more)
        return target, state

    # Refused at once, before anybody signs in, in the answer to the client.
    target, _ = authorize(None, code_challenge=generate_token(48), code_challenge_method="plain")
    answer = session.get(target, withhold_token=True, allow_redirects=False)
    back = parse_qs(urlparse(answer.headers["location"]).query)
    check("plain PKCE is refused", back["error"] == ["invalid_request"] and "code" not in back, back)

    def consented():
        verifier = generate_token(48)
        target, state = authorize(verifier)
        say("authorize", url=target)
        while not Callback.arrived:
            time.sleep(0.05)
        return verifier, Callback.arrived.pop(), state

    verifier, arrived, state = consented()
    issuer = parse_qs(urlparse(arrived).query).get("iss")
    check("the answer says who it is from", issuer == [CONFIG["issuer"]], issuer)
    refused("a wrong verifier", "invalid_grant", lambda: session.fetch_token(
        at["token"], authorization_response=arrived, state=state, code_verifier=generate_token(48)))

    verifier, arrived, state = consented()
    other = OAuth2Session(client_id, key, "private_key_jwt")
    other.register_client_auth_method(PrivateKeyJWT(at["token"], alg="ES256"))
    refused("an assertion for the token endpoint", "invalid_client", lambda: other.fetch_token(
        at["token"], authorization_response=arrived, state=state, code_verifier=verifier,
        redirect_uri=redirect))
    token = session.fetch_token(
        at["token"], authorization_response=arrived, state=state, code_verifier=verifier)
    check("code with PKCE and private_key_jwt", token["token_type"] == "Bearer", token)
    check("what was granted", token["authorization_details"] and token["scope"] == "tickets:read", token)

    def introspect(text):
        return session.introspect_token(at["introspection"], token=text).json()

    seen = introspect(token["access_token"])
    check("introspection", seen["active"] and seen["client_id"] == client_id, seen)
    renewed = session.refresh_token(at["token"], refresh_token=token["refresh_token"])
    check("refresh with rotation", renewed["refresh_token"] != token["refresh_token"], renewed)
    answer = session.revoke_token(at["revocation"], token=renewed["access_token"])
    check("revocation", answer.status_code == 200, answer.text)
    seen = introspect(renewed["access_token"])
    check("a revoked token is worth nothing", seen == {"active": False}, seen)
    refused("a refresh token for the second time", "invalid_grant", lambda: session.refresh_token(
        at["token"], refresh_token=token["refresh_token"]))
    refused("the new refresh token after that", "invalid_grant", lambda: session.refresh_token(
        at["token"], refresh_token=renewed["refresh_token"]))
    listener.shutdown()
    say("done")


main()
