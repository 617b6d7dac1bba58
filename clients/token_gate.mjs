// npm's oidc-provider as the authorization server of a tool server, and a gate in
// front of that tool server which lets in whoever has a token of it.
//
//   node token_gate.mjs PORT UPSTREAM CLIENT_SECRET   (the upstream's own credential: UPSTREAM_CREDENTIAL)
//
// POST /forget makes every token so far worthless. What happens is printed as one
// JSON object per line.
import http from 'node:http';
import { Provider } from 'oidc-provider';
import { body, failed, given, keys, pass, say, unknown } from './gate.mjs';

const [port, upstream, clientSecret] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;

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
    ...keys(),
    features: { devInteractions: { enabled: false }, clientCredentials: { enabled: true } },
    ttl: { ClientCredentials: 600 },
});
// Tokens that were let in, and those that are not any more.
const seen = new Set();
const worthless = new Set();
provider.on('client_credentials.saved', () => say('token'));
provider.on('grant.error', (_, error) => say('refused', { error: error.error }));

async function gate(request, response) {
    const shown = given(request);
    const token = shown ? await provider.ClientCredentials.find(shown) : undefined;
    if (token?.scope !== 'tickets' || worthless.has(shown)) return unknown(response);
    seen.add(shown);
    return pass(request, await body(request), response, upstream);
}

const callback = provider.callback();
http.createServer((request, response) => {
    if (request.url === '/forget') {
        for (const token of seen) worthless.add(token);
        response.writeHead(204).end();
        return;
    }
    if (!request.url.startsWith('/mcp')) return callback(request, response);
    gate(request, response).catch(failed(response));
}).listen(Number(port), '127.0.0.1', () => say('listening'));
