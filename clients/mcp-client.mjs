// The stock MCP client of npm, as a user writes it: it knows one URL, registers
// itself, sends the user to the browser and calls tools.
//
//   node mcp-client.mjs URL CALLS [--dpop] [--era=ERA] [--visits=FILE]
//
// CALLS is JSON: [{"tool": NAME, "arguments": {…}}]. What happens is printed as
// one JSON object per line; `authorize` names the URL for the user's browser. With
// `--visits` the client opens pages for its user: `visit` names them, and the user is
// back when FILE is there. ERA is `sessions`, unless it is `stateless`.
import { existsSync } from 'node:fs';
import http from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import {
    Client,
    DpopSession,
    ProtocolErrorCode,
    StreamableHTTPClientTransport,
    UnauthorizedError,
    generateDpopKeyPair,
} from '@modelcontextprotocol/client';

const [url, calls, ...options] = process.argv.slice(2);
const say = (event, more = {}) => console.log(JSON.stringify({ event, ...more }));

// What the browser brings back, in order.
const arrived = [];
let waiting;
const callback = () =>
    new Promise((resolve) => (arrived.length ? resolve(arrived.shift()) : (waiting = resolve)));
const bring = (parameters) => {
    if (!waiting) return arrived.push(parameters);
    waiting(parameters);
    waiting = undefined;
};
const listener = http.createServer((request, response) => {
    const at = new URL(request.url, 'http://127.0.0.1');
    if (at.pathname !== '/callback') {
        response.writeHead(404).end();
        return;
    }
    response.writeHead(200, { 'content-type': 'text/plain' }).end('You may close this page.');
    bring(at.searchParams);
});
await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
const redirectUrl = `http://127.0.0.1:${listener.address().port}/callback`;

const kept = {};
const session = options.includes('--dpop')
    ? new DpopSession(await generateDpopKeyPair())
    : undefined;
const provider = {
    redirectUrl,
    clientMetadata: {
        client_name: 'desk assistant',
        redirect_uris: [redirectUrl],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        token_endpoint_auth_method: 'none',
    },
    state: () => 'a-state-of-this-client',
    clientInformation: () => kept.client,
    saveClientInformation: (client) => {
        kept.client = client;
        say('registered', { client_id: client.client_id });
    },
    tokens: () => kept.tokens,
    saveTokens: (tokens) => {
        kept.tokens = tokens;
        say('tokens', { token_type: tokens.token_type, expires_in: tokens.expires_in });
    },
    redirectToAuthorization: (target) => say('authorize', { url: target.href }),
    saveCodeVerifier: (verifier) => (kept.verifier = verifier),
    codeVerifier: () => kept.verifier,
    saveDiscoveryState: (state) => (kept.discovery = state),
    discoveryState: () => kept.discovery,
    ...(session ? { dpop: () => session } : {}),
};

// Looks on; what is done about it is the client's own.
const watched = async (...request) => {
    const response = await fetch(...request);
    if (response.status === 403) say('challenged', { challenge: response.headers.get('www-authenticate') });
    return response;
};

const option = (name) => options.find((o) => o.startsWith(`--${name}=`))?.split('=')[1];
const back = option('visits');
const visit = async ({ mode, url, message }) => {
    say('visit', { mode, url, message });
    while (!existsSync(back)) await pause(50);
    return { action: 'accept' };
};

const connect = async () => {
    const mode = option('era') === 'stateless' ? { pin: '2026-07-28' } : 'legacy';
    const client = new Client(
        { name: 'desk-assistant', version: '1.0.0' },
        { versionNegotiation: { mode }, ...(back && { capabilities: { elicitation: { form: {}, url: {} } } }) },
    );
    if (back) client.setRequestHandler('elicitation/create', ({ params }) => visit(params));
    const options = { authProvider: provider, fetch: watched };
    const transport = new StreamableHTTPClientTransport(new URL(url), options);
    try {
        await client.connect(transport);
        return { client, transport };
    } catch (error) {
        if (!(error instanceof UnauthorizedError)) throw error;
        await transport.finishAuth(await callback());
        return undefined;
    }
};

// A call that needs more than was granted: the client itself asks for it and sends
// the user to the browser; whoever calls it waits for them and calls again.
const call = async ({ client, transport }, request) => {
    try {
        return await client.callTool(request);
    } catch (error) {
        // In sessions it is the program's to send its user there and to call again.
        if (back && error.code === ProtocolErrorCode.UrlElicitationRequired) {
            for (const page of error.data.elicitations) await visit(page);
            return client.callTool(request);
        }
        if (!(error instanceof UnauthorizedError)) throw error;
        await transport.finishAuth(await callback());
        return client.callTool(request);
    }
};

try {
    const connected = (await connect()) ?? (await connect());
    const { client } = connected;
    const { tools } = await client.listTools();
    say('tools', { tools: tools.map((tool) => tool.name).sort() });
    for (const { tool, arguments: args } of JSON.parse(calls)) {
        try {
            const result = await call(connected, { name: tool, arguments: args });
            const decision = result._meta?.['io.bailiwick/decision']?.id;
            say('result', { tool, is_error: result.isError === true, decision, content: result.content });
        } catch (error) {
            say('refused', { tool, code: error.code, message: error.message, data: error.data });
        }
    }
    await client.close();
    say('done');
} catch (error) {
    say('failed', { name: error.name, message: String(error.message) });
    process.exitCode = 1;
} finally {
    listener.close();
    listener.closeAllConnections();
}
