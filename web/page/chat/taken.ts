// An answer as it comes, and how it ended.
import type { Outcome, Speed } from '../engine/engine.js';
import { aborted } from '../lib/notices.js';
import { split } from './thinking.js';
import type { Message } from './tree.js';

/** Takes an answer piece by piece, and sorts what belongs to the thoughts. What the message had before stays in front. */
export class Taken {
  private all = '';
  private readonly before: string;
  private readonly begun = performance.now();
  private apart = false; // the engine keeps thoughts apart
  private readonly goesOn: boolean;

  constructor(
    private readonly m: Message,
    private readonly thinks: boolean,
    private readonly changed: () => void,
  ) {
    this.before = m.text;
    this.goesOn = m.text !== '' || m.reasoning !== undefined;
  }

  text(piece: string): void {
    this.all += piece;
    const whole = !this.thinks || this.apart || this.goesOn;
    const parts = whole ? { reasoning: '', text: this.all, thinking: false } : split(this.all);
    if (parts.reasoning) this.m.reasoning = parts.reasoning;
    if (!parts.thinking) this.over();
    this.m.text = this.before + parts.text;
    this.changed();
  }

  reasoning(piece: string): void {
    this.apart = true;
    this.m.reasoning = (this.m.reasoning ?? '') + piece;
    this.changed();
  }

  private over(): void {
    if (this.m.reasoning) this.m.record!.thinkingSeconds ??= (performance.now() - this.begun) / 1000;
  }

  end(): void {
    this.over();
  }
}

export function finish(m: Message, o: Outcome): void {
  const { calls, ...counts } = o;
  Object.assign(m.record!, counts);
  if (calls.length > 0) m.calls = calls;
}

export function failed(m: Message, e: unknown, { tokens, perSecond }: Speed): void {
  const r = m.record!;
  if (tokens > 0) Object.assign(r, { tokens, tokensPerSecond: perSecond });
  r.end = aborted(e) ? 'aborted' : 'error';
  if (r.end === 'error') r.error = explained(e instanceof Error ? e.message : String(e), r.where);
}

/** An error as a sentence, with what can be done about a conversation that is too long. */
function explained(message: string, where: 'gpu' | 'server'): string {
  const text = message.charAt(0).toUpperCase() + message.slice(1);
  if (!/too long|context/.test(message)) return text;
  const more = where === 'gpu' ? ', or have the settings leave out its oldest part' : '';
  return `${text.replace(/\.?$/, '.')} Begin a new chat, shorten this one${more}.`;
}
