// Conversations out of files: those that this page has exported, and those of llama-server's web UI.
import { number, string } from '../lib/values.js';
import { fromJSON } from './export.js';
import { type Conversation, type Message, newConversation, type ToolCall } from './tree.js';

/** A message as llama-server's web UI exports it. What is absent or of another type is left out. */
interface Foreign {
  id?: unknown;
  type?: unknown;
  role?: unknown;
  content?: unknown;
  parent?: unknown;
  timestamp?: unknown;
  thinking?: unknown;
  reasoningContent?: unknown;
  toolCalls?: unknown;
  toolCallId?: unknown;
  extra?: unknown;
  model?: unknown;
  timings?: unknown;
}

interface Session {
  conv?: { name?: unknown; lastModified?: unknown; currNode?: unknown; pinned?: unknown };
  messages?: Foreign[];
}

/** Reads an exported file, whichever of the two has written it. An error says what is wrong with it. */
export function read(text: string): Conversation[] {
  if (text.startsWith('PK'))
    throw new Error('This is an archive: unpack it, and import the files ending in .jsonl that are in it.');
  const sessions = sessionsOf(text);
  return sessions ? sessions.map(conversationOf) : fromJSON(text);
}

/** The conversations of a file of llama-server's web UI, which is JSON lines now and was JSON; undefined: it is none. */
function sessionsOf(text: string): Session[] | undefined {
  const [first = ''] = text.trimStart().split('\n', 1);
  if ((parsed(first) as { type?: unknown } | undefined)?.type === 'session') return fromLines(text);
  const whole = parsed(text);
  const list = Array.isArray(whole) ? whole : [whole];
  const are = list.length > 0 && list.every((s: Session | undefined) => s?.conv && Array.isArray(s.messages));
  return are ? (list as Session[]) : undefined;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function fromLines(text: string): Session[] {
  const sessions: (Session & { messages: Foreign[] })[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const record = parsed(line) as { type?: unknown; message?: Foreign } | undefined;
    if (!record) throw new Error(`Line ${i + 1} is not JSON.`);
    if (record.type === 'session') sessions.push({ conv: record as NonNullable<Session['conv']>, messages: [] });
    else if (record.type === 'message' && record.message) sessions.at(-1)?.messages.push(record.message);
  }
  return sessions;
}

function conversationOf(s: Session, index: number): Conversation {
  const c = newConversation();
  const all = new Map((s.messages ?? []).map((m) => [string(m.id), m]));
  const kept = (m: Foreign) => m.type !== 'root' && ['user', 'assistant', 'tool'].includes(string(m.role));
  /** The nearest message above that is kept. */
  const above = (m: Foreign): string | undefined => {
    let at = all.get(string(m.parent));
    for (let n = 0; at && !kept(at) && n < all.size; n++) at = all.get(string(at.parent));
    return at && kept(at) ? string(at.id) : undefined;
  };
  const waiting = [...all.values()].filter(kept).map((m) => message(m, above(m)));
  const placed = new Set<string | undefined>([undefined]);
  while (waiting.length > 0) {
    const i = waiting.findIndex((m) => placed.has(m.parent)); // parents come first
    if (i < 0) throw new Error(`Conversation ${index + 1}: its messages follow each other in a circle.`);
    const [next] = waiting.splice(i, 1);
    placed.add(next!.id);
    c.messages.push(next!);
  }
  c.title = string(s.conv?.name) || c.title;
  c.named = true;
  c.system = string([...all.values()].find((m) => m.role === 'system' && m.type !== 'root')?.content);
  c.updated = number(s.conv?.lastModified) ?? c.updated;
  if (s.conv?.pinned === true) c.pinned = true;
  const leaf = string(s.conv?.currNode);
  c.leaf = placed.has(leaf) ? leaf : c.messages.at(-1)?.id;
  return c;
}

function message(m: Foreign, parent: string | undefined): Message {
  const role = m.role as Message['role'];
  const made: Message = { id: string(m.id), parent, role, text: string(m.content), created: number(m.timestamp) ?? 0 };
  const reasoning = string(m.reasoningContent) || string(m.thinking);
  const calls = callsOf(m.toolCalls);
  const attachments = attachmentsOf(m.extra);
  if (reasoning) made.reasoning = reasoning;
  if (calls.length > 0) made.calls = calls;
  if (attachments.length > 0) made.attachments = attachments;
  if (role === 'tool') made.call = string(m.toolCallId);
  if (role === 'assistant') {
    const t = (m.timings ?? {}) as { predicted_n?: unknown; predicted_ms?: unknown };
    const [tokens, ms] = [number(t.predicted_n), number(t.predicted_ms)];
    made.record = { model: string(m.model), where: 'server', end: calls.length > 0 ? 'tools' : 'stop' };
    if (tokens) made.record.tokens = tokens;
    if (tokens && ms) made.record.tokensPerSecond = (1000 * tokens) / ms;
  }
  return made;
}

/** Calls, which are JSON in a string or as they are. */
function callsOf(v: unknown): ToolCall[] {
  const list = typeof v === 'string' ? parsed(v) : v;
  if (!Array.isArray(list)) return [];
  return list.map((c: { id?: unknown; function?: { name?: unknown; arguments?: unknown } } | null) => ({
    id: string(c?.id),
    name: string(c?.function?.name),
    arguments: string(c?.function?.arguments),
  }));
}

/** What was attached, if it was text or has become some: models here read nothing else. */
function attachmentsOf(v: unknown): { name: string; text: string }[] {
  if (!Array.isArray(v)) return [];
  return v
    .map((x: { name?: unknown; content?: unknown } | null) => ({ name: string(x?.name), text: string(x?.content) }))
    .filter((a) => a.text !== '');
}
