// A model that the server runs, by OpenAI's interface.
import type { ToolCall } from '../chat/tree.js';
import { recall, remember } from '../lib/storage.js';
import { serverOptions } from '../settings/options.js';
import type { Settings } from '../settings/settings.js';
import { asText, type Engine, type Listener, type Outcome, Speed, type Turn } from './engine.js';
import { events } from './sse.js';

const keyName = 'llama-webgpu-key';
let given = recall(keyName, 'sessionStorage');

/** The server requires a key, or another one. */
export class KeyError extends Error {
  readonly code = 'key';
}

export function setKey(key: string): void {
  remember(keyName, key, 'sessionStorage');
  given = key;
}

export function hasKey(): boolean {
  return Boolean(given);
}

async function call(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = { 'Content-Type': 'application/json', ...(given ? { Authorization: `Bearer ${given}` } : {}) };
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers });
  } catch (e) {
    if ((e as Error).name === 'AbortError') throw e;
    throw unreachable();
  }
  if (response.ok) return response;
  const text = await response.text();
  if (response.status === 401) throw new KeyError(messageOf(text) ?? 'The server requires a key.');
  if (response.status === 429) throw problem('busy', 'The server has too much to do: try again in a moment.');
  throw problem(
    response.status < 500 ? 'invalid-argument' : 'network',
    messageOf(text) ?? `${response.status} ${response.statusText}`,
  );
}

export function unreachable(): Error {
  return problem('network', 'The server does not answer: is llama-webgpu serve still running?');
}

function problem(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

function messageOf(body: string): string | undefined {
  try {
    const { error } = JSON.parse(body) as { error?: { message?: string } };
    return error?.message;
  } catch {
    return undefined;
  }
}

/** The models that the server runs; undefined: it runs none (--no-api, or some other server). */
export async function serverModels(): Promise<string[] | undefined> {
  try {
    const list = (await (await call('v1/models')).json()) as { data?: { id: string }[] };
    return list.data?.map((m) => m.id);
  } catch (e) {
    if (e instanceof KeyError) throw e;
    return undefined;
  }
}

/** Has the server load a model. */
export async function openServer(name: string, signal: AbortSignal): Promise<ServerEngine> {
  const response = await call(`props?model=${encodeURIComponent(name)}`, { signal });
  const props = (await response.json()) as {
    device?: string;
    chat?: boolean;
    default_generation_settings?: { n_ctx?: number };
  };
  return new ServerEngine(name, props.default_generation_settings?.n_ctx, props.chat === true, props.device ?? '');
}

interface Delta {
  content?: string | null;
  reasoning_content?: string | null;
  tool_calls?: { index?: number; id?: string; function?: { name?: string; arguments?: string } }[];
}

interface Chunk {
  error?: { message?: string };
  choices?: { delta?: Delta; text?: string; finish_reason?: string | null }[];
  usage?: { prompt_tokens: number; completion_tokens: number } | null;
  timings?: { predicted_per_second?: number; prompt_ms?: number; cache_n?: number };
  prompt_progress?: { processed: number; total: number };
}

export class ServerEngine implements Engine {
  readonly where = 'server';

  constructor(
    readonly name: string,
    readonly context: number | undefined,
    readonly chats: boolean,
    readonly device: string,
  ) {}

  async answer(
    turns: readonly Turn[],
    s: Settings,
    signal: AbortSignal,
    on: Listener,
    goOn: boolean,
  ): Promise<Outcome> {
    const body = {
      model: this.name,
      ...(this.chats ? { messages: turns } : { prompt: asText(turns) }),
      ...serverOptions(s, this.chats),
      ...(goOn && this.chats ? { continue_final_message: true } : {}),
      stream: true,
      stream_options: { include_usage: true },
      return_progress: true,
    };
    const response = await call(this.chats ? 'v1/chat/completions' : 'v1/completions', {
      method: 'POST',
      body: JSON.stringify(body),
      signal,
    });
    const answer = new Answer(on);
    for await (const data of unbroken(events(response.body!))) {
      if (data === '[DONE]') return answer.outcome();
      answer.take(parsed(data));
    }
    throw broken();
  }

  async count(text: string): Promise<number | undefined> {
    const response = await call('tokenize', {
      method: 'POST',
      body: JSON.stringify({ model: this.name, content: text }),
    });
    return ((await response.json()) as { tokens?: unknown[] }).tokens?.length;
  }
}

function parsed(data: string): Chunk {
  try {
    return (JSON.parse(data) as Chunk | null) ?? {};
  } catch {
    throw problem('network', `The server sent something that is not an answer: ${data.slice(0, 80)}`);
  }
}

const broken = () => problem('network', 'The connection to the server broke off: the answer is not complete.');

/** Says in words what browsers call a network error. */
async function* unbroken(list: AsyncIterable<string>): AsyncGenerator<string, void, undefined> {
  try {
    yield* list;
  } catch (e) {
    throw (e as Error).name === 'AbortError' ? e : broken();
  }
}

/** An answer as it comes. */
class Answer {
  private readonly speed = new Speed();
  private readonly calls: ToolCall[] = [];
  private finish: string | undefined;
  private usage = { prompt_tokens: 0, completion_tokens: 0 };
  private timings: NonNullable<Chunk['timings']> = {};

  constructor(private readonly on: Listener) {}

  take(c: Chunk): void {
    if (c.error) throw problem('network', c.error.message ?? 'The server failed.');
    if (c.prompt_progress) this.on.prompt(c.prompt_progress.processed, c.prompt_progress.total);
    if (c.usage) this.usage = c.usage;
    if (c.timings) this.timings = c.timings;
    const choice = c.choices?.[0];
    if (!choice) return;
    if (choice.finish_reason) this.finish = choice.finish_reason;
    const { content, reasoning_content, tool_calls } = choice.delta ?? {};
    const text = content ?? choice.text;
    if (reasoning_content) this.on.reasoning(reasoning_content);
    if (text) this.on.text(text);
    if (text || reasoning_content) this.on.token(this.speed.note());
    for (const t of tool_calls ?? []) this.call(t);
  }

  private call(t: NonNullable<Delta['tool_calls']>[number]): void {
    const i = t.index ?? 0;
    this.calls[i] ??= { id: t.id ?? '', name: '', arguments: '' };
    const c = this.calls[i];
    if (t.id) c.id = t.id;
    c.name += t.function?.name ?? '';
    c.arguments += t.function?.arguments ?? '';
  }

  outcome(): Outcome {
    const calls = this.calls.filter(Boolean);
    return {
      end: this.finish === 'length' ? 'length' : calls.length > 0 ? 'tools' : 'stop',
      promptTokens: this.usage.prompt_tokens,
      cachedTokens: this.timings.cache_n ?? 0,
      promptSeconds: (this.timings.prompt_ms ?? 0) / 1000,
      droppedTokens: 0,
      tokens: this.usage.completion_tokens || this.speed.tokens,
      tokensPerSecond: this.timings.predicted_per_second || this.speed.perSecond,
      calls,
    };
  }
}
