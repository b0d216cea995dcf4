// One text of a model for the interfaces of others: openai.ts, webllm.ts, prompt-api.ts, ai-sdk.ts.
import { abortSignal, checked, onAbort } from './arguments.js';
import type { AnswerPart } from './conversation.js';
import { asError, throwIfAborted } from './errors.js';
import type { GenerateOptions, Stats, TextModel } from './text.js';

/** What is known of a text that has ended. */
export type Turn = Pick<
  Stats,
  'promptTokens' | 'cachedTokens' | 'generatedTokens' | 'firstTokenSeconds' | 'tokensPerSecond' | 'end'
>;

/** What a text is sampled with where the caller does not say, as on the server. */
export const usual = { temperature: 0.8, topP: 0.95, topK: 40, maxTokens: Infinity };

/** The last call of each model: a model continues one text at a time. */
const last = new WeakMap<TextModel, Promise<void>>();

/** Waits until the model is free, and takes it until the function that is returned is called. */
async function take(model: TextModel, signal: AbortSignal | undefined): Promise<() => void> {
  const before = last.get(model);
  let free = () => {};
  const mine = new Promise<void>((resolve) => {
    free = resolve;
  });
  last.set(model, before ? before.then(() => mine) : mine);
  if (before) {
    let settled = () => {};
    const aborted = new Promise<void>((resolve) => {
      settled = onAbort(signal, resolve);
    });
    await Promise.race([before, aborted]);
    settled();
  }
  if (signal?.aborted) free();
  throwIfAborted(signal);
  return free;
}

/** Has a model continue a text, when it is free, and yields the pieces. When `interrupt` aborts, the text ends where it is. */
export async function* turn<T>(
  model: TextModel,
  start: (options: GenerateOptions) => AsyncGenerator<T, void, undefined>,
  options: GenerateOptions,
  interrupt?: AbortSignal,
): AsyncGenerator<T, Turn, undefined> {
  const signal = checked(() => abortSignal(options.signal));
  const free = await take(model, signal);
  const both = new AbortController();
  const settled = [signal, interrupt].map((s) => onAbort(s, () => both.abort()));
  try {
    if (!interrupt?.aborted) yield* start({ ...options, signal: both.signal });
  } catch (e) {
    if (asError(e).code !== 'aborted' || signal?.aborted || !interrupt?.aborted) throw e;
  } finally {
    for (const off of settled) off();
    free();
  }
  return model.stats();
}

/** A call of a function in an answer. */
export interface Call {
  id: string;
  name: string;
  arguments: string; // JSON
}

/** An answer, as far as it has come. */
export class Answer {
  content = '';
  reasoning = '';
  readonly calls: Call[] = [];

  add(part: AnswerPart): void {
    if ('content' in part) this.content += part.content;
    else if ('reasoning' in part) this.reasoning += part.reasoning;
    else {
      this.calls[part.index] ??= { id: part.id ?? '', name: part.name ?? '', arguments: '' };
      this.calls[part.index]!.arguments += part.arguments;
    }
  }

  /** Why it ended, by OpenAI's names: calls that were cut off are none that anybody could follow. */
  finish(turn: Turn): 'stop' | 'length' | 'tool_calls' {
    if (turn.end === 'length') return 'length';
    return this.calls.length > 0 ? 'tool_calls' : 'stop';
  }
}
