// npm's oidc-provider as somebody's identity provider: an OpenID Connect server
// that knows nothing of us but one client.
//
//   node oidc-provider.mjs PORT REDIRECT_URI CLIENT_SECRET
//
// Everybody may log in under any name. Who is called `support-…` is in the
// group `support`. What happens is printed as one JSON object per line.
import crypto from 'node:crypto';
import http from 'node:http';
import { Provider } from 'oidc-provider';

const [port, redirectUri, clientSecret] = process.argv.slice(2);
const say = (event, more = {}) => console.log(JSON.stringify({ event, ...more }));
const issuer = `http://127.0.0.1:${port}`;

const { privateKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
const jwk = { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: 'k1' };

const provider = new Provider(issuer, {
    clients: [
        {
            client_id: 'bailiwick',
            client_secret: clientSecret,
            redirect_uris: [redirectUri],
            grant_types: ['authorization_code'],
            response_types: ['code'],
            require_auth_time: true,
        },
    ],
    jwks: { keys: [jwk] },
    cookies: { keys: [crypto.randomBytes(32).toString('base64url')] },
    claims: { openid: ['sub'], groups: ['groups'] },
    conformIdTokenClaims: false,
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    async findAccount(_, id) {
        const groups = id.startsWith('support-') ? ['support'] : [];
        return { accountId: id, claims: async () => ({ sub: id, groups }) };
    },
    // The client belongs to the same organisation: nobody is asked about it.
    async loadExistingGrant(context) {
        const { client, session, result } = context.oidc;
        const known = result?.consent?.grantId || session.grantIdFor(client.clientId);
        if (known) return provider.Grant.find(known);
        const ids = { clientId: client.clientId, accountId: session.accountId };
        const grant = new provider.Grant(ids);
        grant.addOIDCScope('openid groups');
        await grant.save();
        return grant;
    },
});

const form = (uid) => `<!doctype html><html lang="en"><title>Log in</title>
<h1>Example identity provider</h1>
<form method="post" action="/interaction/${uid}">
<label for="login">Name</label> <input id="login" name="login" autocomplete="off">
<button>Log in</button></form></html>`;

async function interaction(request, response) {
    const { uid, params } = await provider.interactionDetails(request, response);
    if (request.method !== 'POST') {
        say('asked', { prompt: params.prompt ?? null });
        response.writeHead(200, { 'content-type': 'text/html' }).end(form(uid));
        return;
    }
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const accountId = new URLSearchParams(Buffer.concat(chunks).toString()).get('login');
    const result = accountId
        ? { login: { accountId } }
        : { error: 'access_denied', error_description: 'the person went away' };
    say('answered', { login: accountId });
    await provider.interactionFinished(request, response, result);
}

const callback = provider.callback();
http.createServer((request, response) => {
    if (!request.url.startsWith('/interaction/')) return callback(request, response);
    interaction(request, response).catch((error) => {
        response.writeHead(400, { 'content-type': 'text/plain' }).end(String(error));
    });
}).listen(Number(port), '127.0.0.1', () => say('listening', { issuer }));
