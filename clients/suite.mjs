// What the programs beside this one share: events as lines of JSON, checks with a
// name, the client's end of a redirect, and one MCP call as an HTTP request.
import { readFileSync } from 'node:fs';
import http from 'node:http';

export const say = (event, more = {}) => console.log(JSON.stringify({ event, ...more }));

const why = (error) =>
    [error?.name, error?.code, error?.error, error?.message, error?.cause && JSON.stringify(error.cause)]
        .filter(Boolean)
        .join(': ');

// One thing that must hold. What is thrown ends the program with status 1.
export async function check(name, work) {
    try {
        const found = await work();
        say('check', { name, ok: true });
        return found;
    } catch (error) {
        say('check', { name, ok: false, why: why(error) });
        process.exit(1);
    }
}

export function must(holds, what) {
    if (!holds) throw new Error(`not so: ${what}`);
}

// One thing that must be refused, as `fits` says of the error.
export const refused = (name, fits, work) =>
    check(name, async () => {
        let error;
        try {
            await work();
        } catch (found) {
            error = found;
        }
        must(error, 'it is refused');
        must(await fits(error), `refused for that reason, not for: ${why(error)}`);
    });

// Listens where the browser is sent back to.
export async function callback() {
    const arrived = [];
    const waiting = [];
    const listener = http.createServer((request, response) => {
        const at = new URL(request.url, redirect);
        if (at.pathname !== '/callback') {
            response.writeHead(404).end();
            return;
        }
        response.writeHead(200, { 'content-type': 'text/plain' }).end('You may close this page.');
        const next = waiting.shift();
        if (next) next(at);
        else arrived.push(at);
    });
    await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
    const redirect = `http://127.0.0.1:${listener.address().port}/callback`;
    return {
        redirect,
        next: () => (arrived.length ? Promise.resolve(arrived.shift()) : new Promise((resolve) => waiting.push(resolve))),
        close: () => {
            listener.close();
            listener.closeAllConnections();
        },
    };
}

// A call of a tool in MCP 2026-07-28, which has no sessions.
export const toolCall = (tool, args) => ({
    headers: new Headers({
        accept: 'application/json, text/event-stream',
        'content-type': 'application/json',
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': 'tools/call',
        'mcp-name': tool,
    }),
    body: JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/call',
        params: {
            name: tool,
            arguments: args,
            _meta: {
                'io.modelcontextprotocol/protocolVersion': '2026-07-28',
                'io.modelcontextprotocol/clientInfo': { name: 'suite', version: '1.0.0' },
                'io.modelcontextprotocol/clientCapabilities': {},
            },
        },
    }),
});

// The identity key pair of an instance, from the file of `bailiwick instance join`.
export async function identityKeys(file, identityToken) {
    const { identity_pkcs8: pkcs8 } = JSON.parse(readFileSync(file, 'utf8'));
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
    const [, claims] = identityToken.split('.').map((part) => Buffer.from(part, 'base64url').toString());
    const { cnf } = JSON.parse(claims);
    const { kty, crv, x, y } = cnf.jwk;
    return {
        privateKey: await crypto.subtle.importKey('pkcs8', Buffer.from(pkcs8, 'base64url'), algorithm, false, ['sign']),
        publicKey: await crypto.subtle.importKey('jwk', { kty, crv, x, y }, algorithm, true, ['verify']),
    };
}
