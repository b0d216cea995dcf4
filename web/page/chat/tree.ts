// A conversation as a tree: editing a message, or generating an answer again, adds a branch beside the old one, which stays.

export type Role = 'user' | 'assistant' | 'tool';

export interface Attachment {
  name: string;
  text: string;
}

export interface ToolCall {
  id: string;
  name: string;
  arguments: string; // JSON
}

/** How an answer was made. */
export interface Record {
  model: string;
  where: 'gpu' | 'server';
  /** 'open': it is still being written, or the page was closed meanwhile. */
  end: 'stop' | 'length' | 'aborted' | 'error' | 'tools' | 'open';
  error?: string;
  promptTokens?: number;
  /** Of the prompt, those that the prefix cache had. */
  cachedTokens?: number;
  promptSeconds?: number;
  droppedTokens?: number;
  tokens?: number;
  tokensPerSecond?: number;
  thinkingSeconds?: number;
}

export interface Message {
  id: string;
  parent: string | undefined;
  role: Role;
  text: string;
  created: number; // ms
  attachments?: Attachment[];
  reasoning?: string;
  calls?: ToolCall[];
  /** Of a tool's result: the call that it answers. */
  call?: string;
  record?: Record;
}

export interface Conversation {
  id: string;
  title: string;
  /** Whether the visitor chose the title. */
  named: boolean;
  /** Listed before the others. */
  pinned?: boolean;
  created: number;
  updated: number;
  system: string;
  messages: Message[];
  /** The last message of the branch that is shown; undefined: there is none. */
  leaf: string | undefined;
}

let last = 0;

/** An id that nothing else has. Ids that are made later sort later. */
export function newId(): string {
  last = Math.max(last + 1, Date.now());
  return `${last.toString(36)}-${crypto.getRandomValues(new Uint32Array(1))[0]!.toString(36)}`;
}

export function newConversation(system = ''): Conversation {
  const now = Date.now();
  return {
    id: newId(),
    title: 'New chat',
    named: false,
    created: now,
    updated: now,
    system,
    messages: [],
    leaf: undefined,
  };
}

function byId(c: Conversation, id: string | undefined): Message | undefined {
  return id === undefined ? undefined : c.messages.find((m) => m.id === id);
}

/** The messages of the branch that is shown, the first one first. */
export function branch(c: Conversation, leaf = c.leaf): Message[] {
  const all = new Map<string | undefined, Message>(c.messages.map((m) => [m.id, m]));
  const path: Message[] = [];
  for (let m = all.get(leaf); m && path.length < all.size; m = all.get(m.parent)) path.push(m);
  return path.reverse();
}

/** The messages that stand in the same place, m among them. */
export function siblings(c: Conversation, m: Message): Message[] {
  return c.messages.filter((o) => o.parent === m.parent && (o.role === 'user') === (m.role === 'user'));
}

/** Adds a message after `parent`, and shows it. */
export function add(
  c: Conversation,
  parent: string | undefined,
  m: Omit<Message, 'id' | 'parent' | 'created'>,
): Message {
  const made: Message = { ...m, id: newId(), parent, created: Date.now() };
  c.messages.push(made);
  c.leaf = made.id;
  c.updated = made.created;
  if (!c.named && c.title === 'New chat' && m.role === 'user') c.title = titleOf(m.text, m.attachments);
  return made;
}

/** Shows the branch through m that was written to last. */
export function show(c: Conversation, m: Message): void {
  let at = m;
  for (;;) {
    const next = c.messages.filter((o) => o.parent === at.id);
    if (next.length === 0) break;
    at = next.reduce((a, b) => (b.id > a.id ? b : a));
  }
  c.leaf = at.id;
}

/** Removes m and what follows it. A branch beside it is shown, or else what comes before. */
export function remove(c: Conversation, m: Message): void {
  const others = siblings(c, m).filter((o) => o !== m);
  const gone = new Set([m.id]);
  for (const o of c.messages) if (o.parent !== undefined && gone.has(o.parent)) gone.add(o.id); // parents come first
  c.messages = c.messages.filter((o) => !gone.has(o.id));
  const next = others.at(-1);
  if (next) show(c, next);
  else c.leaf = m.parent;
}

/** Remembers a conversation's messages; the function that it returns restores those that have been removed since. */
export function snapshot(c: Conversation): () => void {
  const { messages, leaf } = c;
  return () => {
    const known = new Set(messages);
    c.messages = [...messages, ...c.messages.filter((m) => !known.has(m))];
    c.leaf = leaf;
  };
}

/** Conversations as they are listed: those that are pinned come first. */
export function listed(list: readonly Conversation[]): Conversation[] {
  return [...list.filter((c) => c.pinned), ...list.filter((c) => !c.pinned)];
}

/** A conversation of its own that begins as the branch up to m. */
export function forked(c: Conversation, m: Message): Conversation {
  const messages = structuredClone(branch(c, m.id));
  return { ...newConversation(c.system), title: `${c.title} (copy)`, named: true, messages, leaf: m.id };
}

/** The messages that one side has added, which neither the other side has nor `known`, and those that they follow, even removed ones. */
function added(list: readonly Message[], others: ReadonlySet<string>, known: ReadonlySet<string>): Set<string> {
  const ids = new Set<string>();
  for (const m of [...list].reverse()) {
    if (others.has(m.id) || (known.has(m.id) && !ids.has(m.id))) continue;
    ids.add(m.id);
    if (m.parent !== undefined) ids.add(m.parent);
  }
  return ids;
}

/**
 * Takes over what another tab has saved of a conversation. `known` are the messages that were there when this tab looked last: one
 * that is not among them was added by the side that has it, and one that is was removed by the side that lacks it. Messages keep
 * their objects.
 */
export function merge(c: Conversation, theirs: Conversation, known: ReadonlySet<string>): void {
  const mine = new Set(c.messages.map((m) => m.id));
  const there = new Set(theirs.messages.map((m) => m.id));
  const [here, fresh] = [added(c.messages, there, known), added(theirs.messages, mine, known)];
  c.messages = c.messages.filter((m) => there.has(m.id) || here.has(m.id));
  c.messages.push(...theirs.messages.filter((m) => !mine.has(m.id) && fresh.has(m.id)));
  if (!byId(c, c.leaf)) c.leaf = byId(c, theirs.leaf)?.id ?? c.messages.at(-1)?.id;
}

/** A title for a conversation: how its first message begins. */
export function titleOf(text: string, attachments: readonly Attachment[] = []): string {
  const line = text.trim().split('\n')[0]!.replace(/\s+/g, ' ').trim() || attachments[0]?.name || 'New chat';
  return line.length > 60 ? `${line.slice(0, 59).trimEnd()}…` : line;
}

/** A message's text as the model reads it: attached files come first. */
export function written(m: Message): string {
  const files = (m.attachments ?? []).map((a) => `File ${a.name}:\n${fenced(a.text)}`);
  return [...files, m.text].filter(Boolean).join('\n\n');
}

/** A text in a fence that nothing in it closes. */
export function fenced(text: string): string {
  const longest = Math.max(2, ...Array.from(text.matchAll(/`+/g), (run) => run[0].length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}\n${text}${text.endsWith('\n') ? '' : '\n'}${fence}`;
}
