// npm's oidc-provider as the authorization server of a tool server, and a gate in
// front of that tool server which lets in whoever has a token of it.
//
//   node token_gate.mjs PORT UPSTREAM CLIENT_SECRET   (the upstream's own credential: UPSTREAM_CREDENTIAL)
//
// POST /forget makes every token so far worthless. What happens is printed as one
// JSON object per line.
import crypto from 'node:crypto';
import http from 'node:http';
import { Provider } from 'oidc-provider';

const [port, upstream, clientSecret] = process.argv.slice(2);
const credential = process.env.UPSTREAM_CREDENTIAL;
const say = (event, more = {}) => console.log(JSON.stringify({ event, ...more }));
const issuer = `http://127.0.0.1:${port}`;

const { privateKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
const provider = new Provider(issuer, {
    clients: [
        {
            client_id: 'robot',
            client_secret: clientSecret,
            redirect_uris: [],
            response_types: [],
            grant_types: ['client_credentials'],
            scope: 'tickets',
        },
    ],
    scopes: ['tickets'],
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: 'k1' }] },
    cookies: { keys: [crypto.randomBytes(32).toString('base64url')] },
    features: { devInteractions: { enabled: false }, clientCredentials: { enabled: true } },
    ttl: { ClientCredentials: 600 },
});
// Tokens that were let in, and those that are not any more.
const seen = new Set();
const worthless = new Set();
provider.on('client_credentials.saved', () => say('token'));
provider.on('grant.error', (_, error) => say('refused', { error: error.error }));

async function gate(request, response) {
    const given = (request.headers.authorization ?? '').replace(/^Bearer /, '');
    const token = given ? await provider.ClientCredentials.find(given) : undefined;
    if (token?.scope !== 'tickets' || worthless.has(given)) {
        response.writeHead(401, { 'www-authenticate': 'Bearer' }).end();
        return;
    }
    seen.add(given);
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const headers = { ...request.headers, authorization: `Bearer ${credential}` };
    delete headers.host;
    delete headers.connection;
    const answer = await fetch(upstream, {
        method: request.method,
        headers,
        body: chunks.length ? Buffer.concat(chunks) : undefined,
    });
    const kept = {};
    for (const name of ['content-type', 'mcp-session-id']) {
        if (answer.headers.get(name)) kept[name] = answer.headers.get(name);
    }
    response.writeHead(answer.status, kept).end(Buffer.from(await answer.arrayBuffer()));
}

const callback = provider.callback();
http.createServer((request, response) => {
    if (request.url === '/forget') {
        for (const token of seen) worthless.add(token);
        response.writeHead(204).end();
        return;
    }
    if (!request.url.startsWith('/mcp')) return callback(request, response);
    gate(request, response).catch((error) => {
        response.writeHead(502, { 'content-type': 'text/plain' }).end(String(error));
    });
}).listen(Number(port), '127.0.0.1', () => say('listening'));
