// Tools of the conformance suite's server that go on as tasks (the extension
// io.modelcontextprotocol/tasks of MCP 2026-07-28), and the messages about them.
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { ProtocolError, inputRequired } from '@modelcontextprotocol/server';
import { z } from 'zod';

export const EXTENSION = 'io.modelcontextprotocol/tasks';
const TTL_MS = 300_000;
const ENDS = ['completed', 'failed', 'cancelled'];

const tasks = new Map();

const said = (text, isError) => ({ content: [{ type: 'text', text }], ...(isError && { isError }) });
const declared = (ctx) => ctx.mcpReq.envelope?.['io.modelcontextprotocol/clientCapabilities'] ?? {};
const follows = (ctx) => declared(ctx).extensions?.[EXTENSION] !== undefined;
const elicit = (message, name, type) => ({
    method: 'elicitation/create',
    params: {
        mode: 'form',
        message,
        requestedSchema: { type: 'object', properties: { [name]: { type } }, required: [name] },
    },
});

function demand(ctx) {
    if (follows(ctx)) return;
    const requiredCapabilities = { extensions: { [EXTENSION]: {} } };
    throw new ProtocolError(-32021, 'Missing required client capability', { requiredCapabilities });
}

const now = () => new Date().toISOString();
const common = ({ id, status, createdAt, lastUpdatedAt }) => ({
    taskId: id,
    status,
    createdAt,
    lastUpdatedAt,
    ttlMs: TTL_MS,
    pollIntervalMs: 100,
});

function detailed(task) {
    const more = {};
    if (task.status === 'input_required') more.inputRequests = Object.fromEntries(task.asked);
    if (task.status === 'completed') more.result = task.result;
    if (task.status === 'failed') more.error = task.error;
    return { ...common(task), ...more };
}

class Task {
    id = randomUUID();
    status = 'working';
    createdAt = now();
    lastUpdatedAt = this.createdAt;
    asked = new Map();
    waiting = new Map();

    move(status, more = {}) {
        if (ENDS.includes(this.status)) return;
        Object.assign(this, more, { status, lastUpdatedAt: now() });
    }

    // Waits for the answer to one question; others may wait beside it.
    ask(request) {
        const key = randomUUID();
        this.asked.set(key, request);
        this.move('input_required');
        return new Promise((resolve) => this.waiting.set(key, resolve));
    }

    answer(key, response) {
        const waiting = this.waiting.get(key);
        if (!waiting) return;
        this.waiting.delete(key);
        this.asked.delete(key);
        if (this.asked.size === 0) this.move('working');
        waiting(response);
    }
}

function begin(work) {
    const task = new Task();
    tasks.set(task.id, task);
    setTimeout(() => tasks.delete(task.id), TTL_MS).unref();
    work(task).then(
        (result) => task.move('completed', { result }),
        (error) => task.move('failed', { error: { code: -32603, message: error.message } }),
    );
    return { resultType: 'task', ...common(task) };
}

// Without somebody who can follow a task there is nobody to ask either.
const alone = { ask: async () => ({ action: 'decline' }) };

function jobs(server) {
    const job = (name, description, properties, work, taskSupport = 'optional') =>
        server.registerTool(
            name,
            { description, inputSchema: z.object(properties), execution: { taskSupport } },
            async (given, ctx) => {
                return follows(ctx) ? begin((task) => work(given, task)) : work(given, alone);
            },
        );
    server.registerTool('greet', { description: 'Greets', inputSchema: z.object({ name: z.string() }) }, ({ name }) =>
        said(`Hello, ${name}!`),
    );
    const slow = { seconds: z.number(), label: z.string().optional() };
    job('slow_compute', 'Takes its time', slow, async ({ seconds, label }) => {
        await pause(seconds * 1000, undefined, { ref: false });
        return said(`computed ${label ?? ''} in ${seconds} s`);
    });
    const fails = async () => {
        await pause(500);
        return said('the job failed', true);
    };
    job('failing_job', 'Fails', {}, fails, 'required');
    job('protocol_error_job', 'Breaks', {}, async () => {
        await pause(200);
        throw new Error('the job broke');
    });
    job('confirm_delete', 'Asks first', { filename: z.string().optional() }, async ({ filename }, task) => {
        const { action, content } = await task.ask(elicit(`Delete ${filename}?`, 'confirm', 'boolean'));
        return said(action === 'accept' && content?.confirm !== false ? `deleted ${filename}` : 'kept');
    });
    job('multi_input', 'Asks two at once', {}, async (_, task) => {
        const asked = [elicit('First?', 'first', 'string'), elicit('Second?', 'second', 'string')];
        const answers = await Promise.all(asked.map((one) => task.ask(one)));
        return said(`answered: ${answers.map(({ action }) => action)}`);
    });
    const rounds = { description: 'Asks, then goes on as a task', execution: { taskSupport: 'required' } };
    server.registerTool('test_tool_with_task', { ...rounds, inputSchema: z.object({}) }, async (_, ctx) => {
        const answer = ctx.mcpReq.inputResponses?.user_name;
        if (!answer) {
            const requestedSchema = elicit('', 'name', 'string').params.requestedSchema;
            return inputRequired({
                inputRequests: { user_name: inputRequired.elicit({ message: 'Your name?', requestedSchema }) },
            });
        }
        demand(ctx);
        return begin(async () => {
            await pause(100);
            return said(`Hello, ${answer.content?.name}!`);
        });
    });
}

// `tasks/get`, `tasks/update` and `tasks/cancel`.
function messages(server) {
    const about = (method, more, work) =>
        server.server.setRequestHandler(
            method,
            { params: z.looseObject({ taskId: z.string().default(''), ...more }) },
            async (params, ctx) => {
                demand(ctx);
                const named = ctx.http?.req?.headers.get('mcp-name');
                if (named !== params.taskId) throw new ProtocolError(-32020, 'Mcp-Name is not the task');
                const task = tasks.get(params.taskId);
                if (!task) throw new ProtocolError(-32602, 'there is no such task');
                return work(task, ctx.mcpReq.inputResponses ?? params.inputResponses ?? {});
            },
        );
    about('tasks/get', {}, detailed);
    about('tasks/update', { inputResponses: z.record(z.string(), z.any()).optional() }, (task, responses) => {
        for (const [key, response] of Object.entries(responses)) task.answer(key, response);
        return {};
    });
    about('tasks/cancel', {}, (task) => {
        task.move('cancelled');
        return {};
    });
}

// What the library would turn into a tool's own error: a job that needs a client
// who can follow it.
export async function refusal(request) {
    const { id, method, params } = request.method === 'POST' ? await request.clone().json() : {};
    const can = params?._meta?.['io.modelcontextprotocol/clientCapabilities']?.extensions?.[EXTENSION];
    if (method !== 'tools/call' || params?.name !== 'failing_job' || can) return undefined;
    const data = { requiredCapabilities: { extensions: { [EXTENSION]: {} } } };
    const error = { code: -32021, message: 'Missing required client capability', data };
    return Response.json({ jsonrpc: '2.0', id, error }, { status: 400 });
}

export function offerTasks(server) {
    jobs(server);
    messages(server);
}
