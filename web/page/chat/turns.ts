// A branch of a conversation as an engine reads it.
import type { Turn } from '../engine/engine.js';
import { type Message, written } from './tree.js';

/** An answer that failed before it began is left out, unless it is the one to go on with; what the visitor said before and after it is then said at once. */
export function turnsOf(system: string, branch: readonly Message[], begun?: Message): Turn[] {
  const turns: Turn[] = system.trim() ? [{ role: 'system', content: system }] : [];
  for (const m of branch) {
    if (m.role === 'assistant' && m.text === '' && !m.calls?.length && m !== begun) continue;
    const before = turns.at(-1);
    if (m.role === 'user' && before?.role === 'user') {
      before.content += `\n\n${written(m)}`;
      continue;
    }
    const turn: Turn = { role: m.role, content: written(m) };
    if (m.calls?.length)
      turn.tool_calls = m.calls.map((c) => ({
        id: c.id,
        type: 'function',
        function: { name: c.name, arguments: c.arguments },
      }));
    if (m.call !== undefined) turn.tool_call_id = m.call;
    if (m === begun && m.reasoning) turn.reasoning_content = m.reasoning;
    turns.push(turn);
  }
  return turns;
}
