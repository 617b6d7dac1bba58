// A server with everything that the Model Context Protocol's conformance suite asks a
// server for, in both eras at one address: 2025-11-25 with sessions, 2026-07-28 without.
// Usage: everything.mjs PORT
import { randomBytes, randomUUID } from 'node:crypto';
import http from 'node:http';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import {
    McpServer,
    ResourceTemplate,
    WebStandardStreamableHTTPServerTransport,
    acceptedContent,
    completable,
    createMcpHandler,
    createRequestStateCodec,
    fromJsonSchema,
    hostHeaderValidationResponse,
    inputRequired,
    isLegacyRequest,
    localhostAllowedHostnames,
    localhostAllowedOrigins,
    originValidationResponse,
} from '@modelcontextprotocol/server';
import { z } from 'zod';

import { say } from './suite.mjs';
import { EXTENSION, offerTasks, refusal } from './tasks.mjs';

// One red pixel, and a wave of no length.
const PNG =
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==';
const WAV = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=';
const STATE = createRequestStateCodec({ key: randomBytes(32) });

const said = (text) => ({ content: [{ type: 'text', text }] });
const image = { type: 'image', data: PNG, mimeType: 'image/png' };
const embedded = (uri, mimeType, text) => ({ type: 'resource', resource: { uri, mimeType, text } });
const form = (properties) => ({ type: 'object', properties, required: Object.keys(properties) });
const user = (content) => ({ role: 'user', content });
const question = (text, maxTokens) =>
    inputRequired.createMessage({ messages: [user({ type: 'text', text })], maxTokens });
const elicit = (message, name, type = 'string') =>
    inputRequired.elicit({ message, requestedSchema: form({ [name]: { type } }) });
const declared = (ctx) => ctx.mcpReq.envelope?.['io.modelcontextprotocol/clientCapabilities'] ?? {};

function contents(server) {
    const tool = (name, description, work, properties) =>
        server.registerTool(
            name,
            { description, inputSchema: properties && z.object(properties) },
            properties ? work : (ctx) => work({}, ctx),
        );
    tool('test_simple_text', 'A text', () => said('This is a simple text response for testing.'));
    tool('test_image_content', 'An image', () => ({ content: [image] }));
    tool('test_audio_content', 'A sound', () => ({
        content: [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }],
    }));
    tool('test_embedded_resource', 'A resource within the answer', () => ({
        content: [
            embedded('test://embedded-resource', 'text/plain', 'This is an embedded resource content.'),
        ],
    }));
    tool('test_multiple_content_types', 'Three kinds at once', () => ({
        content: [
            { type: 'text', text: 'Multiple content types test:' },
            image,
            embedded('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}'),
        ],
    }));
    tool('test_tool_with_logging', 'Logs while it works', async (_, ctx) => {
        await ctx.mcpReq.log('info', 'Tool execution started');
        await pause(50);
        await ctx.mcpReq.log('info', 'Tool processing data');
        await pause(50);
        await ctx.mcpReq.log('info', 'Tool execution completed');
        return said('done, with three lines in the log');
    });
    tool('test_logging_tool', 'Logs if it is asked to', async (_, ctx) => {
        await ctx.mcpReq.log('info', 'logged');
        return said('done');
    });
    tool('test_error_handling', 'Fails', () => {
        throw new Error('This tool intentionally returns an error for testing');
    });
    tool('test_tool_with_progress', 'Says how far it is', async (_, ctx) => {
        const progressToken = ctx.mcpReq._meta?.progressToken;
        for (const progress of [0, 50, 100]) {
            if (progressToken !== undefined) {
                const params = { progressToken, progress, total: 100 };
                await ctx.mcpReq.notify({ method: 'notifications/progress', params });
            }
            if (progress < 100) await pause(50);
        }
        return said('done, step by step');
    });
    tool('test_reconnection', 'Closes its stream before it answers', async (_, ctx) => {
        ctx.http?.closeSSE?.();
        await pause(100);
        return said('answered after the stream was closed');
    });
    questions(tool);
    rounds(tool);
    server.registerTool(
        'json_schema_2020_12_tool',
        { description: 'Tool with JSON Schema 2020-12 features', inputSchema: fromJsonSchema(SCHEMA) },
        () => said('ok'),
    );
    const region = { type: 'string', 'x-mcp-header': 'Region' };
    const inputSchema = fromJsonSchema({ type: 'object', properties: { region }, required: ['region'] });
    server.registerTool('test_headers', { description: 'Repeats an argument in a header', inputSchema }, (given) =>
        said(given.region),
    );
    resources(server);
    prompts(server);
}

const SCHEMA = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    $defs: {
        address: {
            $anchor: 'addressDef',
            type: 'object',
            properties: { street: { type: 'string' }, city: { type: 'string' } },
        },
    },
    properties: {
        name: { type: 'string' },
        address: { $ref: '#/$defs/address' },
        contactMethod: { type: 'string', enum: ['phone', 'email'] },
        phone: { type: 'string' },
        email: { type: 'string' },
    },
    allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
    if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
    then: { required: ['phone'] },
    else: { required: ['email'] },
    additionalProperties: false,
};

// Questions of 2025-11-25: the server asks while the call runs.
function questions(tool) {
    // On the stream of the call, where the SDK's own methods use the common one.
    const asks = async (ctx, params, begin) => {
        const { action, content } = await ctx.mcpReq.send({ method: 'elicitation/create', params });
        return said(`${begin}: action=${action}, content=${JSON.stringify(content ?? {})}`);
    };
    tool(
        'test_sampling',
        "Asks the client's model",
        async ({ prompt }, ctx) => {
            const messages = [user({ type: 'text', text: prompt })];
            const params = { messages, maxTokens: 100 };
            const { content } = await ctx.mcpReq.send({ method: 'sampling/createMessage', params });
            return said(`LLM response: ${content.text}`);
        },
        { prompt: z.string() },
    );
    tool(
        'test_elicitation',
        "Asks the client's user",
        ({ message }, ctx) => {
            const requestedSchema = form({
                username: { type: 'string', description: "User's response" },
                email: { type: 'string', description: "User's email address" },
            });
            return asks(ctx, { message, requestedSchema }, 'User response');
        },
        { message: z.string() },
    );
    tool('test_elicitation_sep1034_defaults', 'Asks with defaults', (_, ctx) => {
        const properties = {
            name: { type: 'string', default: 'John Doe' },
            age: { type: 'integer', default: 30 },
            score: { type: 'number', default: 95.5 },
            status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
            verified: { type: 'boolean', default: true },
        };
        const requestedSchema = { type: 'object', properties };
        return asks(ctx, { message: 'Please check', requestedSchema }, 'Elicitation completed');
    });
    tool('test_elicitation_sep1330_enums', 'Asks for choices', (_, ctx) => {
        const values = ['option1', 'option2', 'option3'];
        const choices = (names) => names.map((title, i) => ({ const: `value${i + 1}`, title }));
        const properties = {
            untitledSingle: { type: 'string', enum: values },
            titledSingle: {
                type: 'string',
                oneOf: choices(['First Option', 'Second Option', 'Third Option']),
            },
            legacyEnum: {
                type: 'string',
                enum: ['opt1', 'opt2', 'opt3'],
                enumNames: ['Option One', 'Option Two', 'Option Three'],
            },
            untitledMulti: { type: 'array', items: { type: 'string', enum: values } },
            titledMulti: {
                type: 'array',
                items: { anyOf: choices(['First Choice', 'Second Choice', 'Third Choice']) },
            },
        };
        const requestedSchema = { type: 'object', properties };
        return asks(ctx, { message: 'Please choose', requestedSchema }, 'Elicitation completed');
    });
}

// Questions of 2026-07-28: the call ends with them and is made again with the answers.
function rounds(tool) {
    const again = (inputRequests, requestState) => inputRequired({ inputRequests, requestState });
    const answers = (ctx) => ctx.mcpReq.inputResponses ?? {};
    const has = (ctx, ...keys) => keys.every((key) => answers(ctx)[key]);
    tool('test_missing_capability', "Needs the client's model", (_, ctx) =>
        has(ctx, 'sample') ? said('sampled') : again({ sample: question('Say something', 50) }),
    );
    tool('test_streaming_elicitation', 'Asks over a stream', async (_, ctx) => {
        if (has(ctx, 'answer')) return said('answered');
        const params = { progressToken: ctx.mcpReq._meta?.progressToken, progress: 1 };
        if (params.progressToken !== undefined) {
            await ctx.mcpReq.notify({ method: 'notifications/progress', params });
        }
        return again({ answer: elicit('What is the answer?', 'answer') });
    });
    tool('test_input_required_result_elicitation', 'Asks for a name', (_, ctx) => {
        const name = acceptedContent(answers(ctx), 'user_name', z.object({ name: z.string() }))?.name;
        return name ? said(`Hello, ${name}!`) : again({ user_name: elicit('What is your name?', 'name') });
    });
    tool('test_input_required_result_sampling', 'Asks the model', (_, ctx) => {
        const answer = answers(ctx).capital_question;
        if (answer) return said(`The model says: ${answer.content?.text}`);
        return again({ capital_question: question('What is the capital of France?', 100) });
    });
    tool('test_input_required_result_list_roots', 'Asks for roots', (_, ctx) => {
        const roots = answers(ctx).client_roots?.roots;
        if (Array.isArray(roots)) return said(`Roots: ${roots.map((root) => root.uri).join(', ')}`);
        return again({ client_roots: inputRequired.listRoots() });
    });
    const confirmed = async (_, ctx) => {
        if (ctx.mcpReq.requestState() && has(ctx, 'confirm')) return said('state-ok');
        return again(
            { confirm: elicit('Please confirm', 'ok', 'boolean') },
            await STATE.mint({ confirming: true }),
        );
    };
    tool('test_input_required_result_request_state', 'Keeps its state with the client', confirmed);
    tool('test_input_required_result_tampered_state', 'Notices a changed state', confirmed);
    tool('test_input_required_result_multiple_inputs', 'Asks three at once', async (_, ctx) => {
        if (has(ctx, 'user_name', 'greeting', 'client_roots')) return said('all answered');
        const asked = {
            user_name: elicit('What is your name?', 'name'),
            greeting: question('Generate a greeting', 50),
            client_roots: inputRequired.listRoots(),
        };
        return again(asked, await STATE.mint({ asked: Object.keys(asked) }));
    });
    tool('test_input_required_result_multi_round', 'Asks twice', async (_, ctx) => {
        const { round, name } = ctx.mcpReq.requestState() ?? {};
        if (round === 2 && has(ctx, 'step2')) {
            return said(`${name} likes ${acceptedContent(answers(ctx), 'step2')?.color}`);
        }
        if (round === 1 && has(ctx, 'step1')) {
            const name = acceptedContent(answers(ctx), 'step1')?.name;
            const next = elicit('Step 2: What is your favorite color?', 'color');
            return again({ step2: next }, await STATE.mint({ round: 2, name }));
        }
        const first = elicit('Step 1: What is your name?', 'name');
        return again({ step1: first }, await STATE.mint({ round: 1 }));
    });
    tool('test_input_required_result_capabilities', 'Asks what the client can do', (_, ctx) => {
        const offers = declared(ctx);
        const asked = {};
        if (offers.sampling) asked.sample = question('Say something', 50);
        if (offers.elicitation) asked.ask = elicit('Say something', 'text');
        if (offers.roots) asked.roots = inputRequired.listRoots();
        if (Object.keys(asked).length === 0 || has(ctx, ...Object.keys(asked))) return said('done');
        return again(asked);
    });
    tool('test_trigger_tool_change', 'Says that the tools changed', () => {
        stateless.notify.toolsChanged();
        return said('said');
    });
    tool('test_trigger_prompt_change', 'Says that the prompts changed', () => {
        stateless.notify.promptsChanged();
        return said('said');
    });
}

function resources(server) {
    const fixed = (name, uri, mimeType, member, value) =>
        server.registerResource(name, uri, { description: name, mimeType }, () => ({
            contents: [{ uri, mimeType, [member]: value }],
        }));
    const text = 'This is the content of the static text resource.';
    fixed('static-text', 'test://static-text', 'text/plain', 'text', text);
    fixed('static-binary', 'test://static-binary', 'image/png', 'blob', PNG);
    fixed('watched', 'test://watched-resource', 'text/plain', 'text', 'It does not change.');
    const template = new ResourceTemplate('test://template/{id}/data', { list: undefined });
    const mimeType = 'application/json';
    server.registerResource('template', template, { description: 'by id', mimeType }, (uri, { id }) => {
        const data = { id, templateTest: true, data: `Data for ID: ${id}` };
        return { contents: [{ uri: uri.href, mimeType, text: JSON.stringify(data) }] };
    });
    const watched = new Set();
    for (const [method, change] of [['resources/subscribe', 'add'], ['resources/unsubscribe', 'delete']]) {
        server.server.setRequestHandler(method, ({ params }) => {
            watched[change](params.uri);
            return {};
        });
    }
}

function prompts(server) {
    const prompt = (name, description, argsSchema, work) =>
        server.registerPrompt(name, { description, argsSchema }, argsSchema ? work : (ctx) => work({}, ctx));
    const messages = (...contents) => ({ messages: contents.map(user) });
    const text = (text) => ({ type: 'text', text });
    prompt('test_simple_prompt', 'Simple', undefined, () =>
        messages(text('This is a simple prompt for testing.')),
    );
    const city = completable(z.string().describe('First test argument'), (begin) =>
        ['paris', 'park', 'party'].filter((value) => value.startsWith(begin)),
    );
    const arg2 = z.string().describe('Second test argument');
    prompt('test_prompt_with_arguments', 'With arguments', z.object({ arg1: city, arg2 }), (given) =>
        messages(text(`Prompt with arguments: arg1='${given.arg1}', arg2='${given.arg2}'`)),
    );
    const resourceUri = z.string().describe('URI of the resource to embed');
    prompt('test_prompt_with_embedded_resource', 'With a resource', z.object({ resourceUri }), (given) =>
        messages(
            embedded(given.resourceUri, 'text/plain', 'Embedded resource content for testing.'),
            text('Please process the embedded resource above.'),
        ),
    );
    prompt('test_prompt_with_image', 'With an image', undefined, () =>
        messages(image, text('Please analyze the image above.')),
    );
    prompt('test_input_required_result_prompt', 'Asks first', undefined, (_, ctx) => {
        const context = acceptedContent(ctx.mcpReq.inputResponses ?? {}, 'user_context')?.context;
        if (context) return messages(text(`Use this context: ${context}`));
        const user_context = elicit('What context should the prompt use?', 'context');
        return inputRequired({ inputRequests: { user_context } });
    });
}

function everything() {
    const listChanged = true;
    const server = new McpServer(
        { name: 'everything', version: '1.0.0' },
        {
            capabilities: {
                completions: {},
                extensions: { [EXTENSION]: {} },
                logging: {},
                prompts: { listChanged },
                resources: { subscribe: true, listChanged },
                tools: { listChanged },
            },
            requestState: { verify: STATE.verify },
        },
    );
    contents(server);
    offerTasks(server);
    return server;
}

// What was said on the streams of a session, for those who come back for the rest.
class Said {
    #events = [];
    async storeEvent(streamId, message) {
        this.#events.push({ streamId, message });
        return String(this.#events.length);
    }
    async getStreamIdForEventId(id) {
        return this.#events[Number(id) - 1]?.streamId;
    }
    async replayEventsAfter(lastId, { send }) {
        const { streamId } = this.#events[Number(lastId) - 1];
        for (const [i, event] of this.#events.entries()) {
            if (i >= Number(lastId) && event.streamId === streamId && event.message?.jsonrpc) {
                await send(String(i + 1), event.message);
            }
        }
        return streamId;
    }
}

const stateless = createMcpHandler(everything, { legacy: 'reject' });
const open = new Map();

async function inSession(request) {
    const id = request.headers.get('mcp-session-id');
    if (id) {
        const transport = open.get(id);
        return transport ? transport.handleRequest(request) : new Response(null, { status: 404 });
    }
    const transport = new WebStandardStreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        eventStore: new Said(),
        retryInterval: 100,
        onsessioninitialized: (opened) => void open.set(opened, transport),
        onsessionclosed: (closed) => void open.delete(closed),
    });
    await everything().connect(transport);
    return transport.handleRequest(request);
}

async function answer(request) {
    const stranger =
        hostHeaderValidationResponse(request, localhostAllowedHostnames()) ??
        originValidationResponse(request, localhostAllowedOrigins());
    if (stranger) return stranger;
    if (new URL(request.url).pathname !== '/mcp') return new Response(null, { status: 404 });
    if (await isLegacyRequest(request)) return inSession(request);
    return (await refusal(request)) ?? stateless.fetch(request);
}

const port = Number(process.argv[2]);
const server = http.createServer(async (req, res) => {
    const gone = new AbortController();
    res.on('close', () => gone.abort());
    const body = req.method === 'POST' ? await buffer(req) : undefined;
    const url = `http://127.0.0.1:${port}${req.url}`;
    const { method, headers } = req;
    const request = new Request(url, { method, headers, body, signal: gone.signal });
    const response = await answer(request).catch((error) => new Response(String(error), { status: 500 }));
    res.writeHead(response.status, Object.fromEntries(response.headers));
    res.flushHeaders();
    if (!response.body) return res.end();
    Readable.fromWeb(response.body).on('error', () => res.destroy()).pipe(res);
});
server.listen(port, '127.0.0.1', () => say('ready'));
