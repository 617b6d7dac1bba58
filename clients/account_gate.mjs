// npm's oidc-provider as the authorization server of a tool server that knows
// each person by an account of their own, and a gate in front of that tool server
// which lets in whoever has a token of it.
//
//   node account_gate.mjs PORT UPSTREAM REDIRECT_URI [CLIENT_SECRET]
//       (the upstream's own credential: UPSTREAM_CREDENTIAL, which the gate takes
//       as well, as the account `gateway`)
//
// Everybody may log in under any name. POST /forget makes every access token so
// far worthless, POST /end every consent. What happens is printed as one JSON
// object per line.
import http from 'node:http';
import { Provider } from 'oidc-provider';
import { body, failed, given, keys, pass, say, unknown } from './gate.mjs';

const [port, upstream, redirectUri, clientSecret] = process.argv.slice(2);
const credential = process.env.UPSTREAM_CREDENTIAL;
const issuer = `http://127.0.0.1:${port}`;
const resource = `${issuer}/mcp`;

const client = {
    client_id: 'bailiwick',
    redirect_uris: [redirectUri],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    scope: 'tickets',
};
const provider = new Provider(issuer, {
    clients: [
        clientSecret
            ? { ...client, client_secret: clientSecret }
            : { ...client, token_endpoint_auth_method: 'none' },
    ],
    scopes: ['tickets'],
    ...keys(),
    features: {
        devInteractions: { enabled: false },
        revocation: { enabled: true, allowedPolicy: () => true },
        resourceIndicators: {
            enabled: true,
            useGrantedResource: () => true,
            getResourceServerInfo: (_, asked) => {
                if (asked !== resource) throw new Error(`no such resource: ${asked}`);
                return { scope: 'tickets', audience: asked, accessTokenFormat: 'opaque' };
            },
        },
    },
    // A consent outlives the login in which it was given, as it does elsewhere.
    expiresWithSession: async () => false,
    ttl: { AccessToken: 600, RefreshToken: 3600, AuthorizationCode: 60, Grant: 3600, Interaction: 600, Session: 600 },
    issueRefreshToken: () => true,
    rotateRefreshToken: () => true,
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    async findAccount(_, id) {
        return { accountId: id, claims: async () => ({ sub: id }) };
    },
    async loadExistingGrant(context) {
        const ids = { clientId: context.oidc.client.clientId, accountId: context.oidc.session.accountId };
        const grant = new provider.Grant(ids);
        grant.addOIDCScope('tickets');
        grant.addResourceScope(resource, 'tickets');
        await grant.save();
        return grant;
    },
});

const seen = new Set();
const worthless = new Set();
const grants = new Set();
provider.on('access_token.issued', (token) => say('token', { account: token.accountId }));
provider.on('access_token.saved', (token) => grants.add(token.grantId));
provider.on('authorization.success', (_, out) => say('code', { code: out.code, state: out.state }));
provider.on('grant.error', (_, error) => say('refused', { error: error.error, why: error.error_detail }));
provider.on('grant.success', (context) => {
    const { access_token, refresh_token } = context.body;
    say('granted', { type: context.oidc.params.grant_type, access_token, refresh_token });
});
provider.on('authorization.error', (_, error) => say('refused', { error: error.error, why: error.error_description }));
provider.on('revocation.error', (_, error) => say('unrevoked', { error: error.error }));
provider.on('grant.revoked', (context) => say('revoked', { token: context.oidc.params?.token }));

const form = (uid) => `<!doctype html><html lang="en"><title>Log in</title>
<h1>Example mail</h1>
<form method="post" action="/interaction/${uid}">
<label for="login">Name</label> <input id="login" name="login" autocomplete="off">
<button>Allow Bailiwick to use my account</button></form></html>`;

async function interaction(request, response) {
    const { uid, params } = await provider.interactionDetails(request, response);
    if (request.method !== 'POST') {
        say('asked', { state: params.state, scope: params.scope, resource: params.resource });
        response.writeHead(200, { 'content-type': 'text/html' }).end(form(uid));
        return;
    }
    const accountId = new URLSearchParams((await body(request)).toString()).get('login');
    const result = accountId
        ? { login: { accountId, remember: false } }
        : { error: 'access_denied', error_description: 'the person went away' };
    await provider.interactionFinished(request, response, result);
}

async function account(shown) {
    if (shown && shown === credential) return 'gateway';
    const token = shown ? await provider.AccessToken.find(shown) : undefined;
    if (!token || worthless.has(shown)) return undefined;
    seen.add(shown);
    return token.accountId;
}

async function gate(request, response) {
    const who = await account(given(request));
    if (!who) return unknown(response);
    const sent = await body(request);
    if (sent.includes('"tools/call"')) say('call', { account: who });
    return pass(request, sent, response, upstream);
}

async function control(path, response) {
    for (const token of seen) worthless.add(token);
    if (path === '/end') {
        for (const grant of grants) {
            await provider.RefreshToken.adapter.revokeByGrantId(grant);
            await provider.AccessToken.adapter.revokeByGrantId(grant);
        }
    }
    response.writeHead(204).end();
}

const callback = provider.callback();
http.createServer((request, response) => {
    if (request.url === '/forget' || request.url === '/end') {
        return control(request.url, response).catch(failed(response));
    }
    if (request.url === '/.well-known/oauth-protected-resource/mcp') {
        const said = { resource, authorization_servers: [issuer] };
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(said));
        return undefined;
    }
    if (request.url.startsWith('/mcp')) return gate(request, response).catch(failed(response));
    if (request.url.startsWith('/interaction/')) return interaction(request, response).catch(failed(response));
    return callback(request, response);
}).listen(Number(port), '127.0.0.1', () => say('listening'));
