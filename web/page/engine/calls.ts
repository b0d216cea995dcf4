// Calls of tools in the text of a model that runs in the page. Only the two forms that most models share are known: JSON
// between <tool_call> tags (Qwen, Hermes), and an answer that is nothing but a JSON object (Llama).
import type { ToolCall } from '../chat/tree.js';
import { newId } from '../chat/tree.js';

interface Tool {
  function?: { name?: unknown };
}

/** The calls in an answer. One of a function that is not among the tools is none. */
export function callsIn(text: string, tools: readonly object[]): ToolCall[] {
  const known = new Set(tools.map((t) => (t as Tool).function?.name));
  const tagged = Array.from(text.matchAll(/<tool_call>([\s\S]*?)<\/tool_call>/g), (m) => m[1]!);
  const found = tagged.length > 0 ? tagged : [text.replace(/^\s*<\|python_tag\|>/, '')];
  return found.flatMap((piece) => {
    const call = read(piece);
    return call && known.has(call.name) ? [call] : [];
  });
}

/** An answer's text without the calls that callsIn finds in it. */
export function withoutCalls(text: string): string {
  return text.includes('<tool_call>') ? text.replace(/<tool_call>[\s\S]*?<\/tool_call>/g, '').trim() : '';
}

function read(piece: string): ToolCall | undefined {
  try {
    const v = JSON.parse(piece) as { name?: unknown; arguments?: unknown; parameters?: unknown } | null;
    const given = v?.arguments ?? v?.parameters ?? {};
    if (typeof v?.name !== 'string' || typeof given !== 'object') return undefined;
    return { id: `call_${newId()}`, name: v.name, arguments: JSON.stringify(given) };
  } catch {
    return undefined;
  }
}
