// npm's oauth4webapi against the authorization server and a tool server's endpoint,
// everything that the library offers and this server has: metadata, registration,
// code with PKCE, `private_key_jwt`, DPoP with the nonces of both servers,
// authorization details, resource, refresh, exchange, introspection
// (plain and signed), revocation.
//
//   node oauth4webapi.mjs CONFIG
//
// CONFIG is JSON: {issuer, resource, instance_key, identity_token}, the latter two
// files of an instance of the agent that the clients are mapped to.
import { readFileSync } from 'node:fs';
import * as oauth from 'oauth4webapi';
import { callback, check, identityKeys, must, refused, say, toolCall } from './suite.mjs';

const config = JSON.parse(process.argv[2]);
const issuer = new URL(config.issuer);
const resource = new URL(config.resource);
// Plain HTTP, which the library takes on request: everything is on this machine.
const insecure = { [oauth.allowInsecureRequests]: true };
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const JWT = 'urn:ietf:params:oauth:token-type:jwt';
const ACCESS = 'urn:ietf:params:oauth:token-type:access_token';
const DELEGATION = 'urn:bailiwick:token-type:delegation';
const DETAILS = [
    {
        type: 'urn:bailiwick:delegation',
        workflow: 'desk-assistant',
        purpose: 'Look up what ticket 8821 is about',
        scope: ['tickets:read', 'customers:search'],
        budget: { max_calls: 20 },
    },
];

const as = await check('metadata of the authorization server', async () => {
    const response = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure });
    const found = await oauth.processDiscoveryResponse(issuer, response);
    must(found.authorization_response_iss_parameter_supported === true, '`iss` is announced');
    must(found.code_challenge_methods_supported.join() === 'S256', 'S256 and no other');
    return found;
});
await check('metadata of the resource', async () => {
    const response = await oauth.resourceDiscoveryRequest(resource, insecure);
    const found = await oauth.processResourceDiscoveryResponse(resource, response);
    must(found.authorization_servers.includes(as.issuer), 'it names its authorization server');
});

// ------------------------------------------------------------------ what is done often

const back = await callback();
const register = async (name, metadata) => {
    const response = await oauth.dynamicClientRegistrationRequest(
        as,
        { client_name: name, redirect_uris: [back.redirect], response_types: ['code'], ...metadata },
        insecure,
    );
    const client = await oauth.processDynamicClientRegistrationResponse(response);
    say('registered', { client_id: client.client_id });
    return client;
};

const authorizationUrl = (client, more) => {
    const url = new URL(as.authorization_endpoint);
    const parameters = {
        client_id: client.client_id,
        redirect_uri: back.redirect,
        response_type: 'code',
        resource: resource.href,
        authorization_details: JSON.stringify(DETAILS),
        ...more,
    };
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
    return url;
};

// The person consents in the browser.
const consented = async (client) => {
    const verifier = oauth.generateRandomCodeVerifier();
    const state = oauth.generateRandomState();
    const challenge = await oauth.calculatePKCECodeChallenge(verifier);
    const url = authorizationUrl(client, { state, code_challenge: challenge, code_challenge_method: 'S256' });
    say('authorize', { url: url.href });
    return { verifier, state, arrived: await back.next() };
};

// The library takes a server's nonce up; whoever calls it sends the request again.
let nonces = 0;
const withNonce = async (work) => {
    try {
        return await work();
    } catch (error) {
        if (!oauth.isDPoPNonceError(error)) throw error;
        nonces += 1;
        return work();
    }
};

const redeem = (client, auth, flow, DPoP, changes = {}) =>
    withNonce(async () => {
        const { verifier, redirect } = { verifier: flow.verifier, redirect: back.redirect, ...changes };
        const parameters = oauth.validateAuthResponse(as, client, flow.arrived, flow.state);
        const options = { DPoP, additionalParameters: { resource: resource.href }, ...insecure };
        const response = await oauth.authorizationCodeGrantRequest(
            as, client, auth, parameters, redirect, verifier, options,
        );
        return oauth.processAuthorizationCodeResponse(as, client, response);
    });

const refresh = (client, auth, token, DPoP, more = {}) =>
    withNonce(async () => {
        const options = { DPoP, ...more, ...insecure };
        const response = await oauth.refreshTokenGrantRequest(as, client, auth, token, options);
        return oauth.processRefreshTokenResponse(as, client, response);
    });

const exchange = (client, auth, parameters, DPoP) =>
    withNonce(async () => {
        const options = { DPoP, ...insecure };
        const response = await oauth.genericTokenEndpointRequest(as, client, auth, EXCHANGE, parameters, options);
        const recognizedTokenTypes = { aat: () => {} };
        return oauth.processGenericTokenEndpointResponse(as, client, response, { recognizedTokenTypes });
    });

const introspect = async (client, auth, token) => {
    const response = await oauth.introspectionRequest(as, client, auth, token, insecure);
    return oauth.processIntrospectionResponse(as, client, response);
};

const call = (token, DPoP, more = {}) =>
    withNonce(async () => {
        const { headers, body } = toolCall('get_ticket', { ticket_id: 8821 });
        const options = { DPoP, ...more, ...insecure };
        const response = await oauth.protectedResourceRequest(token, 'POST', resource, headers, body, options);
        return response.json();
    });

// Whether a call is denied because its authority was taken back: the gateway knows
// the caller, so that it says so.
const denied = async (token, DPoP) => {
    const answer = await call(token, DPoP);
    return answer.error?.data?.code === 'revoked';
};

const isError = (code) => (error) => error.error === code;
const isChallenge = (code) => (error) =>
    error.status === 401 && error.cause.some((challenge) => challenge.parameters.error === code);

// A request as it was sent, to be sent again as it is.
const keep = () => {
    const kept = {};
    kept[oauth.customFetch] = (url, options) => {
        kept.again = () => fetch(url, { ...options });
        kept.request = new Request(url, { ...options });
        return fetch(url, options);
    };
    return kept;
};

// ------------------------------------------------------------------ a client with a key

const clientKeys = await oauth.generateKeyPair('ES256');
const jwk = await crypto.subtle.exportKey('jwk', clientKeys.publicKey);
const keyed = await check('registration of a client with a key', () =>
    register('desk service', {
        grant_types: ['authorization_code', 'refresh_token', EXCHANGE],
        token_endpoint_auth_method: 'private_key_jwt',
        jwks: { keys: [{ kty: jwk.kty, crv: jwk.crv, x: jwk.x, y: jwk.y }] },
    }),
);
const auth = oauth.PrivateKeyJwt(clientKeys.privateKey);
const dpop = oauth.DPoP(keyed, await oauth.generateKeyPair('ES256'));
const otherKey = async () => oauth.DPoP(keyed, await oauth.generateKeyPair('ES256'));

const flow = await consented(keyed);
await refused('an answer with the `iss` of somebody else', (e) => /"iss"/.test(e.message), () => {
    const arrived = new URL(flow.arrived);
    arrived.searchParams.set('iss', 'https://other.example');
    oauth.validateAuthResponse(as, keyed, arrived, flow.state);
});
await refused('an answer without `iss`', (e) => /"iss"/.test(e.message), () => {
    const arrived = new URL(flow.arrived);
    arrived.searchParams.delete('iss');
    oauth.validateAuthResponse(as, keyed, arrived, flow.state);
});
let tokens = await check('code with PKCE, private_key_jwt and DPoP', async () => {
    const found = await redeem(keyed, auth, flow, dpop);
    must(found.token_type === 'dpop', 'the token is bound');
    must(found.refresh_token, 'a refresh token came with it');
    must(found.authorization_details.length === 1, 'the details say what was granted');
    return found;
});
await check('nonce of the authorization server', () => must(nonces === 1, `asked once, not ${nonces} times`));

const sent = keep();
await check('a tool is called with the bound token', async () => {
    const answer = await call(tokens.access_token, dpop, { [oauth.customFetch]: sent[oauth.customFetch] });
    must(answer.result && !answer.result.isError, JSON.stringify(answer));
});
await check('nonce of the resource', () => must(nonces === 2, `asked once more, not ${nonces} in all`));
await check('the access token as RFC 9068 wants it', async () => {
    const claims = await oauth.validateJwtAccessToken(as, sent.request, resource.href, { requireDPoP: true, ...insecure });
    must(claims.client_id === keyed.client_id, '`client_id`');
    must(claims.authorization_details.length === 1, '`authorization_details`');
});
await refused('the access token at another audience', (e) => /"aud"/.test(e.message), () =>
    oauth.validateJwtAccessToken(as, sent.request, `${resource.href}-2`, { requireDPoP: true, ...insecure }),
);
await check('a proof for the resource counts once', async () => {
    const answer = await sent.again();
    must(answer.status === 401, `401, not ${answer.status}`);
});
await refused('a bound token with a proof by another key', isChallenge('invalid_token'), async () =>
    call(tokens.access_token, await otherKey()),
);
await refused('a bound token as a bearer token', isChallenge('invalid_token'), () => call(tokens.access_token));

await check('introspection by the client itself', async () => {
    const found = await introspect(keyed, auth, tokens.access_token);
    const [, claims] = tokens.access_token.split('.').map((part) => Buffer.from(part, 'base64url').toString());
    must(found.active === true && found.token_type === 'DPoP', JSON.stringify(found));
    must(found.cnf.jkt === JSON.parse(claims).cnf.jkt, 'the key');
});

let signed;
await check('signed introspection (RFC 9701), its signature by the published keys', async () => {
    const options = { requestJwtResponse: true, ...insecure };
    const response = await oauth.introspectionRequest(as, keyed, auth, tokens.access_token, options);
    must(response.headers.get('content-type') === 'application/token-introspection+jwt', 'its media type');
    signed = await response.clone().text();
    const found = await oauth.processIntrospectionResponse(as, keyed, response);
    await oauth.validateApplicationLevelSignature(as, response, insecure);
    must(found.active === true && found.aud === resource.href, JSON.stringify(found));
});
await refused('a signed introspection answer as an access token', isChallenge('invalid_token'), () =>
    call(signed, dpop),
);

const before = tokens;
tokens = await check('refresh with rotation', async () => {
    const found = await refresh(keyed, auth, before.refresh_token, dpop);
    must(found.refresh_token !== before.refresh_token, 'the refresh token is another');
    must(found.access_token !== before.access_token, 'the access token is another');
    return found;
});
await refused('a refresh by another key', isError('invalid_dpop_proof'), async () =>
    refresh(keyed, auth, tokens.refresh_token, await otherKey()),
);

// ------------------------------------------------------------------ token exchange

const identityToken = readFileSync(config.identity_token, 'utf8').trim();
const instance = oauth.DPoP(keyed, await identityKeys(config.instance_key, identityToken));
const asked = {
    subject_token: tokens.access_token,
    subject_token_type: ACCESS,
    actor_token: identityToken,
    actor_token_type: JWT,
};
await check('exchange for an access token of the instance', async () => {
    const parameters = { ...asked, requested_token_type: ACCESS, resource: resource.href, scope: 'tickets:read' };
    const found = await exchange(keyed, auth, parameters, instance);
    must(found.issued_token_type === ACCESS && found.token_type === 'dpop', JSON.stringify(found));
    must(found.scope === 'tickets:read' && !found.refresh_token, 'narrower, and no refresh token');
    const answer = await call(found.access_token, instance);
    must(answer.result, JSON.stringify(answer));
});
await check('exchange for a root delegation', async () => {
    const found = await exchange(keyed, auth, { ...asked, requested_token_type: DELEGATION }, instance);
    must(found.issued_token_type === DELEGATION && found.token_type === 'aat', JSON.stringify(found));
});
await refused('an exchange by another key than the instance has', isError('invalid_dpop_proof'), () =>
    exchange(keyed, auth, { ...asked, requested_token_type: DELEGATION }, dpop),
);
await refused('an exchange for more than was granted', isError('invalid_authorization_details'), () =>
    exchange(keyed, auth, { ...asked, resource: resource.href, scope: 'orders:read' }, instance),
);
await refused('an exchange for another resource', isError('invalid_target'), () =>
    exchange(keyed, auth, { ...asked, resource: 'https://other.example/mcp' }, instance),
);

// ------------------------------------------------------------------ taking back

await check('revocation of the refresh token and all beside it', async () => {
    const response = await oauth.revocationRequest(as, keyed, auth, tokens.refresh_token, insecure);
    await oauth.processRevocationResponse(response);
    const found = await introspect(keyed, auth, tokens.access_token);
    must(JSON.stringify(found) === '{"active":false}', JSON.stringify(found));
});
await check('a call with the revoked token is denied', async () => must(await denied(tokens.access_token, dpop), 'denied'));
await refused('a refresh with the revoked token', isError('invalid_grant'), () =>
    refresh(keyed, auth, tokens.refresh_token, dpop),
);

// ------------------------------------------------------------------ a public client

const open = await check('registration of a public client', () =>
    register('desk app', {
        grant_types: ['authorization_code', 'refresh_token'],
        token_endpoint_auth_method: 'none',
        dpop_bound_access_tokens: true,
    }),
);
const none = oauth.None();
const bound = oauth.DPoP(open, await oauth.generateKeyPair('Ed25519'));
await refused('a wrong verifier', isError('invalid_grant'), async () =>
    redeem(open, none, await consented(open), bound, { verifier: oauth.generateRandomCodeVerifier() }),
);
await refused('another redirect URI at the token endpoint', isError('invalid_grant'), async () =>
    redeem(open, none, await consented(open), bound, { redirect: `${back.redirect}/2` }),
);
await check('a redirect URI that is not registered is not followed', async () => {
    const url = authorizationUrl(open, { redirect_uri: 'http://127.0.0.1/elsewhere', state: 's' });
    const answer = await fetch(url, { redirect: 'manual' });
    must(answer.status === 400 && !answer.headers.get('location'), `a page, not ${answer.status}`);
});
const notBegun = async (more) => {
    const answer = await fetch(authorizationUrl(open, { state: 's', ...more }), { redirect: 'manual' });
    oauth.validateAuthResponse(as, open, new URL(answer.headers.get('location')), 's');
};
await refused('a request without PKCE', isError('invalid_request'), () => notBegun({}));
await refused('plain PKCE', isError('invalid_request'), () =>
    notBegun({ code_challenge: oauth.generateRandomCodeVerifier(), code_challenge_method: 'plain' }),
);
await refused('another resource', isError('invalid_target'), async () => {
    const code_challenge = await oauth.calculatePKCECodeChallenge(oauth.generateRandomCodeVerifier());
    await notBegun({ code_challenge, code_challenge_method: 'S256', resource: 'https://other.example/mcp' });
});

const last = await consented(open);
const own = await check('code with PKCE and DPoP by Ed25519', () => redeem(open, none, last, bound));
const kept = keep();
const next = await refresh(open, none, own.refresh_token, bound, { [oauth.customFetch]: kept[oauth.customFetch] });
await check('a proof for the token endpoint counts once', async () => {
    const answer = await kept.again();
    const { error } = await answer.json();
    must(answer.status === 400 && error === 'invalid_dpop_proof', `${answer.status} ${error}`);
});
await check('what was issued is good until then', async () => must((await call(next.access_token, bound)).result, 'a result'));
await refused('a code for the second time', isError('invalid_grant'), () => redeem(open, none, last, bound));
await refused('a refresh after the code was used twice', isError('invalid_grant'), () =>
    refresh(open, none, next.refresh_token, bound),
);
await check('a call after the code was used twice is denied', async () => must(await denied(next.access_token, bound), 'denied'));
back.close();
say('done');
