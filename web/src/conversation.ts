// Conversations in which models call functions and think: the options, checked and copied plainly, and what Go gets of them. Like
// options.ts, this loads nothing of the runtime.
import { flag, oneOf, plainCopy, wants } from './arguments.js';
import type { ChatMessage, renderer, ToolCall } from './chat.js';
import { LlamaError } from './errors.js';

/** How much a model is to think, for chat templates that know reasoning_effort or enable_thinking. */
export type ReasoningEffort = (typeof efforts)[number];

const efforts = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh'] as const;

/** Options of a conversation beside those of its text. */
export interface TemplateOptions {
  /** Functions that the model may call, as OpenAI describes them. chat() shows calls as text, answer() takes them apart. */
  tools?: readonly object[];
  /** How much the model is to think, if its chat template knows that; `none`: not at all. */
  reasoningEffort?: ReasoningEffort;
  /** The last message is the beginning of an answer, and what comes is the rest of it. Default: false. */
  continueLast?: boolean;
  /** Further variables of the chat template. */
  templateVariables?: Record<string, unknown>;
}

/** Options of an answer that is taken apart. */
export interface CallOptions {
  /** Whether functions may, must not or must be called, or the one that must be. Default: auto. Calls that must come have the form
   *  that the function's `parameters` describe. */
  toolChoice?: 'auto' | 'none' | 'required' | { name: string };
  /** Whether one answer may have several calls. Default: true. */
  parallelToolCalls?: boolean;
  /** Whether thoughts come apart from the text. Default: true. */
  thoughts?: boolean;
}

/** What comes of an answer: text, thoughts, or a part of a call. */
export type AnswerPart = { content: string } | { reasoning: string } | CallPart;

/** A part of a call of a function: more of its arguments. The first one has `id` and `name`. */
export interface CallPart {
  /** Which of the answer's calls. */
  index: number;
  id?: string;
  name?: string;
  arguments: string;
}

/** The options of a conversation, copied plainly. */
export function templateOptions(o: Partial<TemplateOptions>): TemplateOptions {
  const { tools, templateVariables } = o;
  const copy: TemplateOptions = {};
  if (tools !== undefined && tools !== null) {
    if (!Array.isArray(tools)) throw wants('tools', 'a list of functions', tools);
    copy.tools = plainCopy('tools', tools) as object[];
  }
  if (templateVariables !== undefined && templateVariables !== null) {
    if (typeof templateVariables !== 'object') throw wants('templateVariables', 'an object', templateVariables);
    copy.templateVariables = plainCopy('templateVariables', templateVariables) as Record<string, unknown>;
  }
  const effort = oneOf('reasoningEffort', o.reasoningEffort, efforts);
  if (effort) copy.reasoningEffort = effort;
  if (flag('continueLast', o.continueLast)) copy.continueLast = true;
  return copy;
}

/** The options of an answer, copied plainly. */
export function answerOptions(o: Partial<TemplateOptions & CallOptions>): TemplateOptions & CallOptions {
  const copy: TemplateOptions & CallOptions = templateOptions(o);
  copy.toolChoice = choiceOf(o.toolChoice);
  copy.parallelToolCalls = flag('parallelToolCalls', o.parallelToolCalls) ?? true;
  copy.thoughts = flag('thoughts', o.thoughts) ?? true;
  return copy;
}

function choiceOf(v: unknown): NonNullable<CallOptions['toolChoice']> {
  const name = (v as { name?: unknown } | null | undefined)?.name;
  if (typeof name === 'string' && name !== '') return { name };
  if (typeof v === 'object' && v !== null) throw wants('toolChoice', 'auto, none, required or {name}', v);
  return oneOf('toolChoice', v, ['auto', 'none', 'required'] as const) ?? 'auto';
}

/** What a chat template gets of the options. */
export function variablesOf(o: TemplateOptions): Record<string, unknown> {
  const { reasoningEffort: effort } = o;
  const thinking = effort === 'none' ? { enable_thinking: false } : {};
  return { ...(effort && { reasoning_effort: effort, ...thinking }), ...o.templateVariables };
}

interface GoTool {
  name: string;
  description: string;
  parameters: string | null;
  strict: boolean;
}

function goTool(t: object, i: number): GoTool {
  const { type, function: f } = t as { type?: unknown; function?: Record<string, unknown> };
  if (type !== 'function' || typeof f !== 'object' || f === null)
    throw wants(`tools[${i}]`, '{type: "function", function: {name, …}}', t);
  const { name, description, parameters, strict } = f;
  const given = parameters !== undefined && parameters !== null;
  return {
    name: typeof name === 'string' ? name : '',
    description: typeof description === 'string' ? description : '',
    parameters: given ? JSON.stringify(parameters) : null,
    strict: strict === true,
  };
}

/** A conversation as Go takes it. */
export function goConversation(
  messages: readonly ChatMessage[],
  o: TemplateOptions & CallOptions,
  write: ReturnType<typeof renderer>,
  template: string,
): object {
  const tools = (o.tools ?? []).map(goTool);
  const choice = o.toolChoice ?? 'auto';
  const name = typeof choice === 'object' ? choice.name : '';
  if (name && !tools.some((t) => t.name === name)) throw wants('toolChoice', 'a function of tools', name);
  if (choice === 'required' && tools.length === 0) throw wants('tools', 'a function, since one is required', o.tools);
  const variables = variablesOf(o);
  const { parallelToolCalls: multi = true, thoughts = true } = o;
  const mode = name ? 'required' : choice;
  const { before, goOn } = begun(messages, o.continueLast ?? false, template);
  return {
    messages: goMessages(before),
    tools,
    mode,
    name,
    multi,
    thoughts,
    key: JSON.stringify([tools, mode, name, multi, thoughts]),
    render: (said: string, offered: string, probing: boolean) => {
      try {
        const given = offered ? (JSON.parse(offered) as object[]) : undefined;
        if (probing) return write(JSON.parse(said) as object[], true, { tools: given });
        return goOn(write(JSON.parse(said) as object[], true, { tools: given, variables }));
      } catch (e) {
        return { failure: e };
      }
    },
  };
}

/** What opens and closes thoughts, as package llm/tools has it. */
const thoughts: [open: string, close: string][] = [
  ['<think>', '</think>'],
  ['[THINK]', '[/THINK]'],
  ['<|channel>thought', '<channel|>'],
  ['<seed:think>', '</seed:think>'],
];

/**
 * With `continueLast`, takes the last message off, an answer that the model is to go on with: `goOn` adds it to what the others are
 * rendered to. A thought that the template has begun is closed before; so is that of an answer that has come no further.
 */
export function begun(
  messages: readonly ChatMessage[],
  continueLast: boolean,
  template: string,
): { before: readonly ChatMessage[]; goOn: (prompt: string) => string } {
  if (!continueLast) return { before: messages, goOn: (prompt) => prompt };
  const last = messages.at(-1);
  if (last?.role !== 'assistant' || !(last.content || last.reasoning_content) || last.tool_calls?.length)
    throw new LlamaError(
      'invalid-argument',
      'continueLast: the last message has to be text or thoughts of the assistant',
    );
  const goOn = (prompt: string) => {
    if (prompt.endsWith('<|start|>assistant'))
      throw new LlamaError('invalid-argument', 'continueLast: the answers of this model cannot be continued');
    const tags = thoughts.find(([, close]) => template.includes(close));
    const opened = tags !== undefined && prompt.trimEnd().endsWith(tags[0]);
    if (!tags || (!opened && last.content !== '')) return prompt + last.content;
    return `${prompt}${opened ? '' : `${tags[0]}\n`}${last.reasoning_content ?? ''}\n${tags[1]}\n\n${last.content}`;
  };
  return { before: messages.slice(0, -1), goOn };
}

/** Messages in which `developer`, as newer clients call it, has the name that chat templates know: `system`. */
export function withSystem(messages: readonly ChatMessage[]): ChatMessage[] {
  return messages.map((m) => (m.role === 'developer' ? { ...m, role: 'system' } : m));
}

function goMessages(messages: readonly ChatMessage[]): object[] {
  const names = new Map<string, string>(); // of functions, by the ids of their calls
  return messages.map((m) => {
    const calls = (m.tool_calls ?? []).map((c) => goCall(c));
    for (const c of calls) names.set(c.id, c.name);
    const callId = m.tool_call_id ?? '';
    return {
      role: m.role,
      content: m.content,
      reasoning: m.reasoning_content ?? '',
      callId,
      name: m.name ?? (m.role === 'tool' ? (names.get(callId) ?? '') : ''),
      calls,
    };
  });
}

function goCall(c: ToolCall): { id: string; name: string; arguments: string } {
  const name = c?.function?.name;
  if (typeof name !== 'string') throw wants('tool_calls', '{id, function: {name, arguments}}', c);
  return { id: c.id ?? '', name, arguments: json(c.function.arguments) };
}

/** Arguments as JSON, which what a model wrote may not be: that is a text then. */
function json(v: string | object): string {
  if (typeof v !== 'string') return JSON.stringify(v ?? {});
  if (v === '') return '{}';
  try {
    JSON.parse(v);
    return v;
  } catch {
    return JSON.stringify(v);
  }
}
