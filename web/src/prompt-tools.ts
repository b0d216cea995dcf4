// Tools of the Prompt API: what a session is given, what its messages hold, and what becomes of both for the model.
import { invalid, wants } from './arguments.js';
import type { ChatMessage } from './chat.js';
import type { Call } from './turn.js';

/** A function that the model may call. */
export interface PromptTool {
  name: string;
  description?: string;
  /** A JSON schema of an object. */
  inputSchema: object;
  /** Answers a call, and so the model goes on by itself. Without it, prompt() returns the call. */
  // biome-ignore lint/suspicious/noExplicitAny: the schema says what arguments are, not the type
  execute?(args: any): unknown;
}

/** A call of a tool. */
export class LanguageModelToolCall {
  readonly callId: string;
  readonly name: string;
  readonly arguments: unknown;

  constructor(of: { callId: string; name: string; arguments: unknown }) {
    this.callId = of.callId;
    this.name = of.name;
    this.arguments = of.arguments;
  }
}

/** What a tool has answered. */
export class LanguageModelToolSuccess {
  readonly callId: string;
  readonly name: string;
  readonly result: readonly { type: 'text' | 'object'; value: unknown }[];

  constructor(of: { callId: string; name: string; result: readonly { type: 'text' | 'object'; value: unknown }[] }) {
    this.callId = of.callId;
    this.name = of.name;
    this.result = of.result;
  }
}

/** Why a tool has not answered. */
export class LanguageModelToolError {
  readonly callId: string;
  readonly name: string;
  readonly errorMessage: string;

  constructor(of: { callId: string; name: string; errorMessage: string }) {
    this.callId = of.callId;
    this.name = of.name;
    this.errorMessage = of.errorMessage;
  }
}

/** A part of a message. The model's own have texts and calls, the user's texts and responses. */
export type PromptContent =
  | { type: 'text'; value: string }
  | { type: 'tool-call'; value: LanguageModelToolCall }
  | { type: 'tool-response'; value: LanguageModelToolSuccess | LanguageModelToolError };

/** Checks the tools of a session. Those that are not executed need an application that expects calls. */
export function toolsOf(
  tools: readonly PromptTool[] | undefined,
  expected: readonly { type: string }[] | undefined,
): readonly PromptTool[] {
  const list = Array.from(tools ?? [], (t, i) => {
    if (typeof t?.name !== 'string' || t.name === '') throw wants(`tools[${i}].name`, 'a text', t?.name);
    if (typeof t.inputSchema !== 'object' || t.inputSchema === null)
      throw wants(`tools[${i}].inputSchema`, 'a JSON schema of an object', t.inputSchema);
    if (t.execute !== undefined && typeof t.execute !== 'function')
      throw wants(`tools[${i}].execute`, 'a function', t.execute);
    return t;
  });
  const open = list.find((t) => !t.execute);
  if (open && !Array.from(expected ?? []).some((o) => o?.type === 'tool-call'))
    throw invalid(`expectedOutputs: want one of type tool-call, since ${open.name} has no execute()`);
  return list;
}

/** Tools as the model takes them. */
export function described(tools: readonly PromptTool[]): object[] {
  return tools.map(({ name, description = '', inputSchema: parameters }) => ({
    type: 'function',
    function: { name, description, parameters },
  }));
}

/** The messages that a message of parts stands for: each response of a tool is one. */
export function messagesOfParts(role: string, parts: readonly PromptContent[]): ChatMessage[] {
  let content = '';
  const calls: LanguageModelToolCall[] = [];
  const responses: ChatMessage[] = [];
  for (const p of parts) {
    if (p?.type === 'text') content += p.value;
    else if (p?.type === 'tool-call' && role === 'assistant') calls.push(p.value);
    else if (p?.type === 'tool-response' && role === 'user') responses.push(response(p.value));
    else
      throw invalid(
        `content: ${p?.type} in a message of role ${role}: want text, tool-call (assistant) or tool-response (user)`,
      );
  }
  if (responses.length > 0 && content === '') return responses;
  return [...responses, { role, content, ...(calls.length > 0 && { tool_calls: calls.map(written) }) }];
}

function written({ callId, name, arguments: args }: LanguageModelToolCall) {
  return { id: callId, type: 'function' as const, function: { name, arguments: JSON.stringify(args ?? {}) } };
}

/** A response as a message of the tool. */
function response(r: LanguageModelToolSuccess | LanguageModelToolError): ChatMessage {
  const { callId, name } = r ?? {};
  if (typeof callId !== 'string') throw wants('tool-response', '{callId, name, result or errorMessage}', r);
  const content = 'errorMessage' in r ? `Error: ${r.errorMessage}` : Array.from(r.result ?? [], resultText).join('\n');
  return { role: 'tool', tool_call_id: callId, name, content };
}

function resultText({ type, value }: { type: string; value: unknown }): string {
  if (type === 'object') return JSON.stringify(value);
  if (type !== 'text') throw invalid(`tool-response: want text or object, got ${type}: models here read nothing else`);
  return String(value);
}

/** What the model has said, for the conversation. */
export function saidBy(content: string, calls: readonly Call[]): ChatMessage {
  const tool_calls = calls.map(({ id, name, arguments: args }) => ({
    id,
    type: 'function' as const,
    function: { name, arguments: args },
  }));
  return { role: 'assistant', content, ...(calls.length > 0 && { tool_calls }) };
}

/** A call as the application gets it. Arguments that are no JSON, as a model may write, are a text. */
export function callContent({ id, name, arguments: args }: Call): PromptContent {
  return { type: 'tool-call', value: new LanguageModelToolCall({ callId: id, name, arguments: parsed(args) }) };
}

function parsed(json: string): unknown {
  try {
    return json === '' ? {} : JSON.parse(json);
  } catch {
    return json;
  }
}

/** Has tools answer calls, all at once. The model is told why a tool fails, and of one that does not exist. Undefined: one is the application's to answer. */
export async function executed(
  tools: readonly PromptTool[],
  calls: readonly Call[],
): Promise<ChatMessage[] | undefined> {
  const called = calls.map((c) => tools.find((t) => t.name === c.name));
  if (calls.length === 0 || called.some((t) => t && !t.execute)) return undefined;
  return Promise.all(
    calls.map(async ({ id: callId, name, arguments: args }, i) => {
      const execute = called[i]?.execute;
      if (!execute) return response({ callId, name, errorMessage: `there is no tool of the name ${name}` });
      try {
        const value = await execute(parsed(args));
        const type = typeof value === 'string' ? 'text' : 'object';
        return response(new LanguageModelToolSuccess({ callId, name, result: [{ type, value: value ?? null }] }));
      } catch (e) {
        return response({ callId, name, errorMessage: e instanceof Error ? e.message : String(e) });
      }
    }),
  );
}

/** A message as one without tools, to count its tokens: the template may not know tools. */
export function countable({ role, content, tool_calls }: ChatMessage): ChatMessage {
  const calls = (tool_calls ?? []).map((c) => JSON.stringify(c.function)).join('\n');
  return { role: role === 'tool' ? 'user' : role, content: content + calls };
}
