// The stock MCP client of npm, as a user configures it: a command whose standard
// streams it speaks to, or a URL, and nothing of who is behind it.
//
//   node stdio_client.mjs ERA CALLS COMMAND [ARGUMENT…]
//   node stdio_client.mjs ERA CALLS URL
//
// ERA is `sessions`, `stateless` or `auto`, with `+visits` for a client that opens pages
// for its user (`visit` names them); CALLS is JSON: [{"tool": NAME,
// "arguments": {…}}], or {"wait": MILLISECONDS} between them. What happens is
// printed as one JSON object per line.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';

const [era, calls, command, ...args] = process.argv.slice(2);
const say = (event, more = {}) => console.log(JSON.stringify({ event, ...more }));
const [version, visits] = era.split('+');
const mode = { sessions: 'legacy', stateless: { pin: '2026-07-28' }, auto: 'auto' }[version];
const client = new Client(
    { name: 'desk-assistant', version: '1.0.0' },
    { versionNegotiation: { mode }, ...(visits && { capabilities: { elicitation: { form: {}, url: {} } } }) },
);
if (visits) {
    client.setRequestHandler('elicitation/create', ({ params }) => {
        say('visit', { url: params.url });
        return { action: 'accept' };
    });
}
try {
    const transport = command.startsWith('http')
        ? new StreamableHTTPClientTransport(new URL(command))
        : new StdioClientTransport({ command, args, stderr: 'inherit' });
    await client.connect(transport);
    say('connected', { server: client.getServerVersion()?.name });
    const { tools } = await client.listTools();
    say('tools', { tools: tools.map((tool) => tool.name).sort() });
    for (const { tool, arguments: args, wait } of JSON.parse(calls)) {
        if (wait) {
            await new Promise((resolve) => setTimeout(resolve, wait));
            continue;
        }
        const seen = [];
        try {
            const result = await client.callTool(
                { name: tool, arguments: args },
                { onprogress: (progress) => seen.push(progress.progress) },
            );
            const decision = result._meta?.['io.bailiwick/decision']?.id;
            const text = result.content?.map((item) => item.text).join('\n');
            say('result', { tool, is_error: result.isError === true, decision, progress: seen.length, text });
        } catch (error) {
            say('refused', { tool, code: error.code, message: error.message, data: error.data });
        }
    }
    await client.close();
    say('done');
} catch (error) {
    say('failed', { message: error.message, code: error.code, data: error.data });
    process.exit(1);
}
