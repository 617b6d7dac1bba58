// What the gates share that stand in front of a tool server and let in whoever has
// a token of their authorization server.
import crypto from 'node:crypto';

/// A new key for the provider's tokens, and one for its cookies.
export function keys() {
    const { privateKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
    return {
        jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: 'k1' }] },
        cookies: { keys: [crypto.randomBytes(32).toString('base64url')] },
    };
}

/// Prints what happened, one JSON object a line.
export const say = (event, more = {}) => console.log(JSON.stringify({ event, ...more }));

/// What a request shows after `Bearer`.
export const given = (request) => (request.headers.authorization ?? '').replace(/^Bearer /, '');

export async function body(request) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    return Buffer.concat(chunks);
}

export function unknown(response) {
    response.writeHead(401, { 'www-authenticate': 'Bearer' }).end();
}

/// Passes a request on under the upstream's own credential.
export async function pass(request, sent, response, upstream) {
    const headers = { ...request.headers, authorization: `Bearer ${process.env.UPSTREAM_CREDENTIAL}` };
    delete headers.host;
    delete headers.connection;
    const answer = await fetch(upstream, {
        method: request.method,
        headers,
        body: sent.length ? sent : undefined,
    });
    const kept = {};
    for (const name of ['content-type', 'mcp-session-id']) {
        if (answer.headers.get(name)) kept[name] = answer.headers.get(name);
    }
    response.writeHead(answer.status, kept).end(Buffer.from(await answer.arrayBuffer()));
}

/// Answers what went wrong on the way.
export const failed = (response) => (error) => {
    response.writeHead(502, { 'content-type': 'text/plain' }).end(String(error));
};
