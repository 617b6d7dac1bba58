// A2A's own client from npm, which knows one URL, beside what proves each request of it.
//
//   node a2a_client.mjs URL SERVER CHAIN KEY JWKS BINDING
//   node a2a_client.mjs URL BINDING        (a stand-in on this machine proves)
//
// It finds the agent's card, verifies its signature with the published keys, and plays a task. What happens
// is printed as one JSON object per line.
import { createHash, createPrivateKey, randomUUID, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Role, TaskState, verifyAgentCardSignature } from '@a2a-js/sdk';
import {
    ClientFactory, DefaultAgentCardResolver, JsonRpcTransportFactory, RestTransportFactory,
} from '@a2a-js/sdk/client';
import { createLocalJWKSet } from 'jose';

const args = process.argv.slice(2);
const plain = args.length === 2;
const [url, server, chainFile, keyFile, jwks] = args;
const binding = args.at(-1);
const chain = plain ? {} : JSON.parse(readFileSync(chainFile));
const tokens = chain.aat_chain;
const say = (event, more = {}) => console.log(JSON.stringify({ event, ...more }));
const b64 = (data) => Buffer.from(data).toString('base64url');

const holder = plain ? undefined : createPrivateKey({ key: JSON.parse(readFileSync(keyFile)).holder, format: 'jwk' });

function prove(operation, args) {
    const leaf = tokens.at(-1);
    const signed = leaf.slice(0, leaf.lastIndexOf('.'));
    const claims = JSON.parse(Buffer.from(leaf.split('.')[1], 'base64url'));
    const header = b64(JSON.stringify({ alg: 'Ed25519', typ: 'aat-pop+jwt' }));
    const body = b64(JSON.stringify({
        jti: randomUUID(), iat: Math.floor(Date.now() / 1000), aat_id: claims.jti,
        aat_hash: createHash('sha256').update(signed).digest('base64url'),
        aat_tool: `a2a:${server}:${operation}`, hta: args, aat_aud: chain.audience,
    }));
    return `${header}.${body}.${b64(sign(null, Buffer.from(`${header}.${body}`), holder))}`;
}

function asked(target, init) {
    const body = init?.body ? JSON.parse(init.body) : {};
    const at = new URL(target);
    const path = at.pathname.slice(new URL(url).pathname.length);
    if (!path) return [body.method, body.params ?? {}];
    const named = { '/message:send': 'SendMessage', '/message:stream': 'SendStreamingMessage' };
    if (named[path]) return [named[path], body];
    const query = Object.fromEntries([...at.searchParams].map(([n, v]) => [n, /^\d+$/.test(v) ? Number(v) : v]));
    if (path === '/tasks') return ['ListTasks', query];
    const [task, verb] = path.slice('/tasks/'.length).split(':');
    const verbs = { cancel: 'CancelTask', subscribe: 'SubscribeToTask' };
    return [verbs[verb] ?? 'GetTask', { ...query, ...body, id: task }];
}

async function proving(target, init = {}) {
    const [operation, args] = asked(target, init);
    const headers = new Headers(init.headers);
    headers.set('AAT-Chain', tokens.join(','));
    headers.set('AAT-PoP', prove(operation, args));
    return fetch(target, { ...init, headers });
}

const message = (text, more = {}) => ({
    message: { messageId: randomUUID(), role: Role.ROLE_USER, parts: [{ content: { $case: 'text', value: text } }], extensions: [], referenceTaskIds: [], contextId: '', taskId: '', ...more },
});

const card = await new DefaultAgentCardResolver().resolve(url + '/', '.well-known/agent-card.json');
const published = plain ? undefined : createLocalJWKSet(await (await fetch(jwks)).json());
// As it was published: of a card that the resolver read, version 1.3.0 leaves the security schemes out of
// what is verified.
const text = await (await fetch(`${url}/.well-known/agent-card.json`)).json();
if (!plain) await verifyAgentCardSignature((kid) => published({ alg: 'ES256', kid }))(text);
say('card', { name: card.name });

const Transport = binding === 'JSONRPC' ? JsonRpcTransportFactory : RestTransportFactory;
const factory = new ClientFactory({ transports: [new Transport({ fetchImpl: plain ? fetch : proving })], preferredTransports: [binding] });
const client = await factory.createFromAgentCard(card);

say('message', { result: await client.sendMessage(message('hello')) });
const sent = await client.sendMessage(message('wait'));
const waiting = sent.payload?.value ?? sent.task ?? sent;
say('waiting', { task: waiting.id });
const got = await client.getTask({ id: waiting.id, tenant: '' });
say('got', { task: got.id, input: got.status.state === TaskState.TASK_STATE_INPUT_REQUIRED });
const events = [];
for await (const event of client.sendMessageStream(message('refund?'))) events.push(event);
say('streamed', { events });
const cancelled = await client.cancelTask({ id: waiting.id, tenant: '', metadata: undefined });
say('cancelled', { state: cancelled.status.state === TaskState.TASK_STATE_CANCELED });
try {
    await client.getTask({ id: 'no-such-task', tenant: '' });
    say('unknown', { error: '' });
} catch (error) {
    say('unknown', { error: error.name ?? error.constructor.name, text: String(error.message) });
}
say('done');
