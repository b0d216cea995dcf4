// What answers a conversation: a model on the visitor's GPU, or one that the server runs.
import type { ToolCall } from '../chat/tree.js';
import type { Settings } from '../settings/settings.js';

/** A message as an engine reads it. */
export interface Turn {
  role: 'system' | 'user' | 'assistant' | 'tool';
  content: string;
  tool_calls?: { id: string; type: 'function'; function: { name: string; arguments: string } }[];
  tool_call_id?: string;
  /** Of an answer that is to be continued: its thoughts so far. */
  reasoning_content?: string;
}

/** What an engine tells while it answers. */
export interface Listener {
  /** More text, or thoughts where the engine keeps them apart. */
  text(piece: string): void;
  reasoning(piece: string): void;
  /** How many tokens of the prompt have been read. */
  prompt(done: number, total: number): void;
  /** A token took so long. */
  token(ms: number): void;
}

export interface Outcome {
  end: 'stop' | 'length' | 'tools';
  promptTokens: number;
  cachedTokens: number;
  promptSeconds: number;
  droppedTokens: number;
  tokens: number;
  tokensPerSecond: number;
  calls: ToolCall[];
}

export interface Engine {
  readonly where: 'gpu' | 'server';
  readonly name: string;
  /** Tokens that prompt and answer may have together; undefined: unknown. */
  readonly context: number | undefined;
  /** Whether it was trained to chat. If not, it continues the text of the conversation. */
  readonly chats: boolean;
  /** Answers the last turn. With `goOn`, that is an answer that has been begun, and what comes is the rest of it. */
  answer(turns: readonly Turn[], s: Settings, signal: AbortSignal, on: Listener, goOn: boolean): Promise<Outcome>;
  /** How many tokens a text has; undefined: the engine does not say. */
  count(text: string): Promise<number | undefined>;
}

/** The text that a model which was not trained to chat continues. */
export function asText(turns: readonly Turn[]): string {
  return turns.map((t) => t.content).join('');
}

/** Counts tokens that come one by one, and how many come in a second after the first one. */
export class Speed {
  tokens = 0;
  private first = 0;
  private last = 0;

  /** Notes n tokens, and returns the milliseconds since the ones before. */
  note(n = 1, now = performance.now()): number {
    const ms = now - (this.last || now);
    if (this.tokens === 0) this.first = now;
    this.tokens += n;
    this.last = now;
    return ms;
  }

  get perSecond(): number {
    return this.last > this.first ? (1000 * (this.tokens - 1)) / (this.last - this.first) : 0;
  }
}
