// Conversations as the AI SDK writes them.
import type {
  LanguageModelV4CallOptions,
  LanguageModelV4Message,
  LanguageModelV4ToolResultPart,
} from '@ai-sdk/provider';
import { invalid } from './arguments.js';
import type { ChatMessage } from './chat.js';
import type { CallOptions, ReasoningEffort, TemplateOptions } from './conversation.js';

export interface Warning {
  type: 'unsupported';
  feature: string;
  details?: string;
}

/** What of a call is the conversation, by the names here, and what cannot be done. */
export function conversation(q: LanguageModelV4CallOptions) {
  const warnings: Warning[] = [];
  const given: TemplateOptions & CallOptions = {};
  const tools = (q.tools ?? []).flatMap((t) => {
    if (t.type === 'function') return [t];
    warnings.push({ type: 'unsupported', feature: `tool ${t.id}`, details: 'only functions can be called' });
    return [];
  });
  if (tools.length > 0) {
    given.tools = tools.map(({ name, description, inputSchema, strict }) => ({
      type: 'function',
      function: { name, ...(description && { description }), parameters: inputSchema, ...(strict && { strict }) },
    }));
    const { toolChoice: choice } = q;
    if (choice) given.toolChoice = choice.type === 'tool' ? { name: choice.toolName } : choice.type;
  }
  const effort = q.reasoning ?? 'provider-default';
  if (effort !== 'provider-default') given.reasoningEffort = effortOf(effort, warnings);
  return { messages: q.prompt.flatMap(messages), given, warnings };
}

function effortOf(effort: string, warnings: Warning[]): ReasoningEffort {
  if (effort !== 'max') return effort as ReasoningEffort;
  warnings.push({ type: 'unsupported', feature: 'reasoning max', details: 'taken as xhigh' });
  return 'xhigh';
}

/** A message of the SDK as messages of a chat template: each result of a tool is one. */
function messages(m: LanguageModelV4Message): ChatMessage[] {
  if (m.role === 'system') return [{ role: 'system', content: m.content }];
  if (m.role === 'tool') return m.content.flatMap((p) => (p.type === 'tool-result' ? [result(p)] : []));
  const made: ChatMessage = { role: m.role, content: '' };
  const calls = [];
  for (const p of m.content) {
    if (p.type === 'text') made.content += p.text;
    else if (p.type === 'tool-call')
      calls.push({
        id: p.toolCallId,
        type: 'function' as const,
        function: { name: p.toolName, arguments: JSON.stringify(p.input ?? {}) },
      });
    else if (p.type === 'reasoning') made.reasoning_content = (made.reasoning_content ?? '') + p.text;
    else throw invalid(`prompt: a part of type ${p.type}: models here read nothing but text`);
  }
  if (calls.length > 0) made.tool_calls = calls;
  return [made];
}

function result({ toolCallId, toolName, output }: LanguageModelV4ToolResultPart): ChatMessage {
  return { role: 'tool', tool_call_id: toolCallId, name: toolName, content: textOf(output) };
}

function textOf(o: LanguageModelV4ToolResultPart['output']): string {
  switch (o.type) {
    case 'text':
    case 'error-text':
      return o.value;
    case 'json':
    case 'error-json':
      return JSON.stringify(o.value);
    case 'execution-denied':
      return `The call was not allowed${o.reason ? `: ${o.reason}` : '.'}`;
    case 'content':
      return o.value
        .map((p) => {
          if (p.type !== 'text') throw invalid(`prompt: a result of type ${p.type}: models here read nothing but text`);
          return p.text;
        })
        .join('');
  }
}
