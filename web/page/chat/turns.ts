// A branch of a conversation as an engine reads it.
import type { Turn } from '../engine/engine.js';
import { type Message, written } from './tree.js';

export function turnsOf(system: string, branch: readonly Message[]): Turn[] {
  const turns: Turn[] = system.trim() ? [{ role: 'system', content: system }] : [];
  for (const m of branch) {
    const turn: Turn = { role: m.role, content: written(m) };
    if (m.calls?.length)
      turn.tool_calls = m.calls.map((c) => ({
        id: c.id,
        type: 'function',
        function: { name: c.name, arguments: c.arguments },
      }));
    if (m.call !== undefined) turn.tool_call_id = m.call;
    turns.push(turn);
  }
  return turns;
}
