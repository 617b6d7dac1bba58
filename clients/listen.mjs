// npm's MCP client of 2026-07-28 with a subscription that stays open.
// Usage: listen.mjs URL
import { setTimeout as pause } from 'node:timers/promises';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

import { check, must, refused, say } from './suite.mjs';

const [url] = process.argv.slice(2);
const client = new Client(
    { name: 'listen', version: '1.0.0' },
    { versionNegotiation: { mode: { pin: '2026-07-28' } } },
);
await client.connect(new StreamableHTTPClientTransport(new URL(url)));

const told = [];
for (const what of ['tools', 'prompts']) {
    client.setNotificationHandler(`notifications/${what}/list_changed`, () => void told.push(what));
}
const until = async (holds) => {
    for (let i = 0; i < 100 && !holds(); i++) await pause(50);
    return holds();
};

const watched = 'test://watched-resource';
const subscription = await check('a subscription is acknowledged', async () => {
    const opened = await client.listen({ toolsListChanged: true, resourceSubscriptions: [watched] });
    must(opened.honoredFilter.toolsListChanged === true, JSON.stringify(opened.honoredFilter));
    return opened;
});
await check('what changes is told on it, and nothing else', async () => {
    await client.callTool({ name: 'test_trigger_prompt_change', arguments: {} });
    await client.callTool({ name: 'test_trigger_tool_change', arguments: {} });
    must(await until(() => told.includes('tools')), 'it is told');
    must(!told.includes('prompts'), `it is told of: ${told}`);
});
await refused(
    'a resource that the delegation does not permit to read is not subscribed to',
    (error) => error.message.includes('delegat'),
    () => client.listen({ resourceSubscriptions: ['test://another'] }),
);
await check('it is closed by its client', async () => {
    await subscription.close();
    must((await subscription.closed) === 'local', 'by its client');
});
const second = await client.listen({ toolsListChanged: true });
say('listening');
say('closed', { by: await second.closed });
process.exit(0);
