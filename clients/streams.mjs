// npm's MCP client in a session with a real server, over connections that break.
// Usage: streams.mjs URL
import { setTimeout as pause } from 'node:timers/promises';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { createTaskSessionFromClient, resultFromTaskOutcome } from '@modelcontextprotocol/ext-tasks/client';

import { check, must, say } from './suite.mjs';

const [url] = process.argv.slice(2);

// Cuts the stream of a POST after its second event, once it is told to.
let cut = false;
const back = [];
async function breaking(input, init) {
    const response = await fetch(input, init);
    const last = new Headers(init?.headers).get('last-event-id');
    if (last) back.push(last);
    const isStream = response.headers.get('content-type')?.startsWith('text/event-stream');
    if (!cut || init?.method !== 'POST' || !isStream) return response;
    cut = false;
    const reader = response.body.getReader();
    let read = 0;
    const body = new ReadableStream({
        async pull(to) {
            const { value, done } = await reader.read();
            if (done || ++read > 2) {
                await reader.cancel().catch(() => {});
                return done ? to.close() : to.error(new Error('the connection broke'));
            }
            to.enqueue(value);
        },
    });
    return new Response(body, { status: response.status, headers: response.headers });
}

const client = new Client({ name: 'streams', version: '1.0.0' });
const reconnectionOptions = {
    initialReconnectionDelay: 100,
    maxReconnectionDelay: 1000,
    reconnectionDelayGrowFactor: 1.5,
    maxRetries: 5,
};
const transport = new StreamableHTTPClientTransport(new URL(url), { fetch: breaking, reconnectionOptions });
await client.connect(transport);
const long = (duration, steps) => ({ name: 'trigger-long-running-operation', arguments: { duration, steps } });

await check('a call whose connection breaks is answered on another', async () => {
    cut = true;
    const steps = [];
    const onprogress = ({ progress }) => steps.push(progress);
    const { content } = await client.callTool(long(2, 4), { onprogress });
    must(content[0].text.startsWith('Long running operation completed'), 'the answer is the tool\'s');
    must(back.length >= 1, 'it came back with the id of an event');
    must(new Set(steps).size === steps.length, `no event twice: ${steps}`);
});
await check('a call that is cancelled is over for its client', async () => {
    const giving = new AbortController();
    const call = client.callTool(long(20, 4), { signal: giving.signal }).then(
        () => 'answered',
        () => 'cancelled',
    );
    await pause(300);
    giving.abort();
    must((await call) === 'cancelled', 'it is cancelled');
});
await check('the level of the log can be set', () => client.setLoggingLevel('debug'));
await check('an argument is completed', async () => {
    const ref = { type: 'ref/prompt', name: 'completable-prompt' };
    const { completion } = await client.complete({ ref, argument: { name: 'department', value: 'E' } });
    must(completion.values.includes('Engineering'), `it is: ${completion.values}`);
});
await check('a resource that is subscribed to reports its changes', async () => {
    const uri = 'demo://resource/dynamic/text/1';
    const changed = new Promise((resolve) => {
        client.setNotificationHandler('notifications/resources/updated', ({ params }) => resolve(params.uri));
    });
    await client.subscribeResource({ uri });
    await client.callTool({ name: 'toggle-subscriber-updates', arguments: {} });
    const first = await Promise.race([changed, pause(15_000).then(() => 'nothing')]);
    must(first === uri, `it is told: ${first}`);
    await client.unsubscribeResource({ uri });
});
await check('a call goes on as a task, and its result is fetched', async () => {
    const session = await createTaskSessionFromClient(client, { endpointId: 'everything' });
    const execution = await session.callTool('simulate-research-query', { topic: 'ants' });
    const { outcome } = await execution.settle();
    const { content } = resultFromTaskOutcome(outcome);
    must(content[0].text.includes('Research Report: ants'), 'it is the report');
    await session.close();
});
await client.close();
say('done');
process.exit(0);
