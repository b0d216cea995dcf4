// Conversations as files, and back.
import { number, string } from '../lib/values.js';
import {
  branch,
  type Conversation,
  fenced,
  type Message,
  newId,
  type Record,
  type Role,
  type ToolCall,
} from './tree.js';

const format = 'llama-webgpu-conversations';

/** Conversations with all their branches. */
export function toJSON(list: readonly Conversation[]): string {
  return `${JSON.stringify({ format, version: 1, conversations: list }, null, 2)}\n`;
}

/** The branch that is shown, for people. */
export function toMarkdown(c: Conversation): string {
  const parts = [`# ${c.title}`];
  if (c.system) parts.push(`**System**\n\n${c.system}`);
  for (const m of branch(c)) parts.push(section(m));
  return `${parts.join('\n\n')}\n`;
}

function section(m: Message): string {
  const names: { [R in Role]: string } = { user: 'You', assistant: m.record?.model || 'Model', tool: 'Tool' };
  const files = (m.attachments ?? []).map((a) => `*${a.name}*\n\n${fenced(a.text)}`);
  const calls = (m.calls ?? []).map((c) => `Calls \`${c.name}\`:\n\n${fenced(c.arguments)}`);
  const thought = m.reasoning ? [`<details><summary>Thinking</summary>\n\n${m.reasoning}\n\n</details>`] : [];
  return [`**${names[m.role]}**`, ...thought, ...files, m.text, ...calls].filter(Boolean).join('\n\n');
}

/** A name for a file that every file system takes. */
export function fileName(c: Conversation, ending: string): string {
  const stem = c.title
    .normalize('NFKD')
    .replace(/[^\w-]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 60);
  return `${stem || 'conversation'}.${ending}`;
}

/** Reads what toJSON wrote. The conversations get new ids, so that none that is there is replaced. */
export function fromJSON(text: string): Conversation[] {
  let file: { format?: unknown; version?: unknown; conversations?: unknown };
  try {
    file = JSON.parse(text);
  } catch (e) {
    throw new Error(`This is not JSON: ${(e as Error).message}`);
  }
  if (file?.format !== format || !Array.isArray(file.conversations))
    throw new Error(
      'This file holds no conversations: want one that was exported here as JSON, or by llama-server’s web UI.',
    );
  if (file.version !== 1) throw new Error(`This file has version ${String(file.version)}; this page reads version 1.`);
  return file.conversations.map((c, i) => conversation(c as Partial<Conversation>, `conversation ${i + 1}`));
}

function conversation(c: Partial<Conversation> | null, name: string): Conversation {
  if (typeof c !== 'object' || c === null || !Array.isArray(c.messages)) throw new Error(`${name}: it has no messages`);
  const known = new Set<string>();
  const messages = c.messages.map((m, i) => message(m, `${name}, message ${i + 1}`, known));
  const leaf = typeof c.leaf === 'string' && known.has(c.leaf) ? c.leaf : messages.at(-1)?.id;
  const now = Date.now();
  return {
    id: newId(),
    title: string(c.title) || 'New chat',
    named: c.named === true,
    ...(c.pinned === true && { pinned: true }),
    created: number(c.created) ?? now,
    updated: number(c.updated) ?? now,
    system: string(c.system),
    messages,
    leaf,
  };
}

/** A message of which nothing but what is known is kept. It must come after the one that it follows. */
function message(m: Partial<Message> | null, name: string, known: Set<string>): Message {
  if (
    typeof m?.id !== 'string' ||
    typeof m.text !== 'string' ||
    !['user', 'assistant', 'tool'].includes(m.role as string)
  )
    throw new Error(`${name}: want id, role and text`);
  if (known.has(m.id)) throw new Error(`${name}: its id is that of another message`);
  if (m.parent !== undefined && !known.has(m.parent))
    throw new Error(`${name}: it follows a message that is not before it`);
  known.add(m.id);
  const made: Message = {
    id: m.id,
    parent: m.parent,
    role: m.role as Role,
    text: m.text,
    created: number(m.created) ?? 0,
  };
  if (typeof m.reasoning === 'string') made.reasoning = m.reasoning;
  if (typeof m.call === 'string') made.call = m.call;
  if (Array.isArray(m.attachments))
    made.attachments = m.attachments.map((a) => ({ name: string(a?.name), text: string(a?.text) }));
  if (Array.isArray(m.calls))
    made.calls = m.calls.map((c: Partial<ToolCall> | null) => ({
      id: string(c?.id),
      name: string(c?.name),
      arguments: string(c?.arguments),
    }));
  if (typeof m.record === 'object' && m.record !== null) made.record = record(m.record);
  return made;
}

/** How an answer was made, as far as it makes sense: the page counts on numbers being numbers. */
function record(r: Partial<Record>): Record {
  const made: Record = { model: string(r.model), where: r.where === 'gpu' ? 'gpu' : 'server', end: 'stop' };
  if (['stop', 'length', 'aborted', 'error', 'tools', 'open'].includes(r.end as string)) made.end = r.end!;
  if (typeof r.error === 'string') made.error = r.error;
  for (const name of figures) {
    const n = number(r[name]);
    if (n !== undefined) made[name] = n;
  }
  return made;
}

const figures = [
  'promptTokens',
  'cachedTokens',
  'promptSeconds',
  'droppedTokens',
  'tokens',
  'tokensPerSecond',
  'thinkingSeconds',
] as const satisfies (keyof Record)[];
