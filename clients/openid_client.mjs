// npm's openid-client, as a user writes it: discovery, registration, code with PKCE
// and DPoP, a call, refresh, introspection, revocation. Nonces of both servers are
// taken up by the library itself.
//
//   node openid_client.mjs CONFIG
//
// CONFIG is JSON: {issuer, resource}.
import * as client from 'openid-client';
import { callback, check, must, refused, say, toolCall } from './suite.mjs';

const config = JSON.parse(process.argv[2]);
const back = await callback();
const keys = await client.randomDPoPKeyPair('ES256');
const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', keys.publicKey);

const server = await check('discovery and registration', () =>
    client.dynamicClientRegistration(
        new URL(config.issuer),
        {
            client_name: 'openid client',
            redirect_uris: [back.redirect],
            grant_types: ['authorization_code', 'refresh_token'],
            response_types: ['code'],
            token_endpoint_auth_method: 'private_key_jwt',
            jwks: { keys: [{ kty, crv, x, y }] },
        },
        client.PrivateKeyJwt(keys.privateKey),
        // Plain HTTP, which the library takes on request: everything is on this machine.
        { algorithm: 'oauth2', execute: [client.allowInsecureRequests] },
    ),
);
say('registered', { client_id: server.clientMetadata().client_id });

const DPoP = client.getDPoPHandle(server, await client.randomDPoPKeyPair('ES256'));
const pkceCodeVerifier = client.randomPKCECodeVerifier();
const expectedState = client.randomState();
const url = client.buildAuthorizationUrl(server, {
    redirect_uri: back.redirect,
    resource: config.resource,
    state: expectedState,
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
    authorization_details: JSON.stringify([
        {
            type: 'urn:bailiwick:delegation',
            workflow: 'desk-assistant',
            purpose: 'Look up what ticket 8821 is about',
            scope: ['tickets:read'],
        },
    ]),
});
say('authorize', { url: url.href });
const arrived = await back.next();
const tokens = await check('code with PKCE, private_key_jwt and DPoP', async () => {
    const checks = { pkceCodeVerifier, expectedState };
    const found = await client.authorizationCodeGrant(server, arrived, checks, { resource: config.resource }, { DPoP });
    must(found.token_type === 'dpop' && found.refresh_token, JSON.stringify(found));
    return found;
});
await check('a tool is called', async () => {
    const { headers, body } = toolCall('get_ticket', { ticket_id: 8821 });
    const target = new URL(config.resource);
    const answer = await client.fetchProtectedResource(server, tokens.access_token, target, 'POST', body, headers, { DPoP });
    must((await answer.json()).result, 'a result');
});
const renewed = await check('refresh with rotation', async () => {
    const found = await client.refreshTokenGrant(server, tokens.refresh_token, undefined, { DPoP });
    must(found.refresh_token !== tokens.refresh_token, 'another refresh token');
    return found;
});
await check('introspection', async () => {
    const found = await client.tokenIntrospection(server, renewed.access_token);
    must(found.active && found.client_id === server.clientMetadata().client_id, JSON.stringify(found));
});
await check('revocation', async () => {
    await client.tokenRevocation(server, renewed.access_token);
    const found = await client.tokenIntrospection(server, renewed.access_token);
    must(JSON.stringify(found) === '{"active":false}', JSON.stringify(found));
});
await refused('the code for the second time', (e) => e.error === 'invalid_grant', () =>
    client.authorizationCodeGrant(server, arrived, { pkceCodeVerifier, expectedState }, undefined, { DPoP }),
);
back.close();
say('done');
