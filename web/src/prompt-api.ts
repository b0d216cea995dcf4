import { abortSignal, checked, invalid, messages as messagesOf, options as optionsOf } from './arguments.js';
import { forCaller } from './callback.js';
import type { ChatMessage } from './chat.js';
import { asError, LlamaError, throwIfAborted } from './errors.js';
import type { GenerateOptions, TextModel } from './text.js';
import { turn, usual } from './turn.js';
import { load, type WorkerLoadModelOptions } from './worker.js';

export type PromptInput = string | readonly PromptMessage[];

export interface PromptMessage {
  role: 'system' | 'user' | 'assistant';
  content: string | readonly { type: 'text'; value: string }[];
  prefix?: boolean;
}

export interface PromptOptions {
  /** A JSON schema that the answer is to have. */
  responseConstraint?: object;
  signal?: AbortSignal;
}

export interface CreateOptions {
  initialPrompts?: readonly PromptMessage[];
  temperature?: number;
  topK?: number;
  signal?: AbortSignal;
  /** Gets an event target that has `downloadprogress` events while the model loads, with `loaded` from 0 to 1. */
  monitor?: (m: EventTarget) => void;
}

/** The interface of the browser's own LanguageModel. */
export interface LanguageModelShape {
  availability(): Promise<'unavailable' | 'downloadable' | 'available'>;
  create(options?: CreateOptions): Promise<LanguageModelSession>;
}

export interface LanguageModelOptions extends Omit<WorkerLoadModelOptions, 'signal' | 'onProgress'> {
  /** How the bundle is loaded, if not in a Worker of the package. */
  load?: (url: string, options: WorkerLoadModelOptions) => Promise<TextModel>;
}

/**
 * A bundle, or a model that is loaded, with the interface of the browser's own model:
 * globalThis.LanguageModel ??= languageModel('/models/mine').
 */
export function languageModel(of: string | URL | TextModel, options: LanguageModelOptions = {}): LanguageModelShape {
  const { load: loader = load, ...rest } = options;
  let loading: Promise<TextModel> | undefined;
  const begin = (onProgress?: (share: number) => void) =>
    loader(String(of), {
      ...rest,
      onProgress: ({ loaded, total }) => onProgress?.(total > 0 ? loaded / total : 0),
    });
  return {
    async availability() {
      if (typeof of === 'object' && 'chat' in of) return 'available';
      if (!globalThis.navigator?.gpu) return 'unavailable';
      return loading ? 'available' : 'downloadable';
    },
    async create(o = {}) {
      try {
        const { signal, given } = checked(() => {
          const given = optionsOf(o) as CreateOptions;
          return { given, signal: abortSignal(given.signal) };
        });
        throwIfAborted(signal);
        const target = new EventTarget();
        given.monitor?.(target);
        const told = (share: number) => target.dispatchEvent(new Progress(share));
        if (!(typeof of === 'object' && 'chat' in of)) {
          loading ??= begin(told).catch((e) => {
            loading = undefined; // the next one tries again
            throw e;
          });
        }
        const model = typeof of === 'object' && 'chat' in of ? of : await (loading as Promise<TextModel>);
        told(1);
        throwIfAborted(signal);
        const initial = checked(() => read(given.initialPrompts ?? []));
        const sampling: GenerateOptions = {
          ...usual,
          temperature: given.temperature ?? usual.temperature,
          topK: given.topK ?? usual.topK,
        };
        const session = new LanguageModelSession(model, initial, sampling);
        await session.measure();
        return session;
      } catch (e) {
        throw forCaller(e);
      }
    },
  };
}

/** A ProgressEvent, which Node has not. */
class Progress extends Event {
  readonly lengthComputable = true;
  readonly total = 1;
  constructor(readonly loaded: number) {
    super('downloadprogress');
  }
}

/** The messages of a prompt. */
function read(input: PromptInput): ChatMessage[] {
  if (typeof input === 'string') return [{ role: 'user', content: input }];
  const list = Array.from(input, (m) => {
    if (m?.prefix) throw invalid('prefix: the beginning of an answer cannot be given');
    const { role, content } = m ?? {};
    const text = typeof content === 'string' ? content : Array.from(content ?? [], part).join('');
    return { role, content: text };
  });
  return list.length === 0 ? [] : messagesOf(list);
}

function part(p: { type: string; value: string }): string {
  if (p?.type !== 'text') throw invalid(`content: want text, got ${p?.type}: models here read nothing else`);
  return p.value;
}

/** A conversation. It fires `contextoverflow` when the oldest messages, after the first ones, are dropped. */
export class LanguageModelSession extends EventTarget {
  oncontextoverflow: ((e: Event) => void) | null = null;
  private said: ChatMessage[] = [];
  private used = 0;
  private destroyed = new AbortController();

  /** @internal */
  constructor(
    private readonly model: TextModel,
    private readonly initial: readonly ChatMessage[],
    private readonly sampling: GenerateOptions,
  ) {
    super();
  }

  get temperature(): number {
    return this.sampling.temperature ?? 0;
  }

  get topK(): number {
    return this.sampling.topK ?? 0;
  }

  /** Tokens of the conversation so far. */
  get contextUsage(): number {
    return this.used;
  }

  /** Tokens that a conversation may have. */
  get contextWindow(): number {
    return this.model.info.window;
  }

  /** What the conversation would take with this input. */
  async measureContextUsage(input: PromptInput): Promise<number> {
    const more = checked(() => read(input));
    const all = await this.model.encodeChat([...this.initial, ...this.said, ...more]);
    return all.length - this.used;
  }

  /** Answers an input, and remembers both. */
  async prompt(input: PromptInput, options: PromptOptions = {}): Promise<string> {
    let text = '';
    for await (const piece of this.answer(input, options)) text += piece;
    return text;
  }

  /** As prompt(), piece by piece. */
  promptStreaming(input: PromptInput, options: PromptOptions = {}): ReadableStream<string> {
    const pieces = this.answer(input, options);
    return new ReadableStream<string>({
      async pull(c) {
        const next = await pieces.next();
        if (next.done) c.close();
        else c.enqueue(next.value);
      },
      async cancel() {
        await pieces.return();
      },
    });
  }

  /** Adds to the conversation without an answer. */
  async append(input: PromptInput, options: { signal?: AbortSignal } = {}): Promise<void> {
    throwIfAborted(options.signal);
    this.throwIfDestroyed();
    this.said.push(...checked(() => read(input)));
    await this.measure();
  }

  /** Another conversation that begins as this one. */
  async clone(options: { signal?: AbortSignal } = {}): Promise<LanguageModelSession> {
    throwIfAborted(options.signal);
    this.throwIfDestroyed();
    const copy = new LanguageModelSession(this.model, this.initial, this.sampling);
    copy.said = [...this.said];
    copy.used = this.used;
    return copy;
  }

  /** Ends the conversation, and an answer that is under way. The model stays loaded. */
  destroy(): void {
    this.destroyed.abort();
  }

  private async *answer(input: PromptInput, options: PromptOptions): AsyncGenerator<string, void, undefined> {
    try {
      this.throwIfDestroyed();
      const [more, o] = checked(() => {
        const { signal, responseConstraint } = optionsOf(options) as PromptOptions;
        if (responseConstraint instanceof RegExp) throw invalid('responseConstraint: want a JSON schema');
        const signals = [abortSignal(signal), this.destroyed.signal].filter((s) => s !== undefined);
        const o: GenerateOptions = { ...this.sampling, signal: AbortSignal.any(signals) };
        if (responseConstraint !== undefined) o.jsonSchema = responseConstraint;
        return [read(input), o] as const;
      });
      this.said.push(...(await this.fit(more)));
      const before = this.said.length;
      const pieces = turn(this.model, (with_) => this.model.chat([...this.initial, ...this.said], with_), o);
      let text = '';
      let complete = false;
      try {
        for (;;) {
          const next = await pieces.next();
          if (next.done) {
            this.used = next.value.promptTokens + next.value.generatedTokens;
            break;
          }
          text += next.value;
          yield next.value;
        }
        complete = true;
      } finally {
        await pieces.return(undefined as never);
        if (complete) this.said.splice(before, 0, { role: 'assistant', content: text });
        else this.said.splice(before - more.length, more.length); // as if it had not been asked
      }
    } catch (e) {
      throw forCaller(e);
    }
  }

  /** Drops the oldest messages until there is room for more and for an answer. */
  private async fit(more: ChatMessage[]): Promise<ChatMessage[]> {
    const count = async () => (await this.model.encodeChat([...this.initial, ...this.said, ...more])).length;
    let tokens = await count();
    const room = this.contextWindow;
    if (tokens < room) return more;
    while (tokens >= room && this.said.length > 0) {
      this.said.splice(0, this.said[1]?.role === 'assistant' ? 2 : 1);
      tokens = await count();
    }
    if (tokens >= room)
      throw new LlamaError(
        'too-large',
        `The input is too long: with it, the conversation has ${tokens} tokens of ${room}.`,
      );
    const event = new Event('contextoverflow');
    this.dispatchEvent(event);
    this.oncontextoverflow?.(event);
    return more;
  }

  /** Counts the tokens. @internal */
  async measure(): Promise<void> {
    const all = [...this.initial, ...this.said];
    try {
      this.used = all.length > 0 ? (await this.model.encodeChat(all)).length : 0;
    } catch (e) {
      if (asError(e).code !== 'invalid-argument') throw e; // a template that writes no system message alone
    }
  }

  private throwIfDestroyed(): void {
    if (this.destroyed.signal.aborted) throw new LlamaError('disposed', 'The session has been destroyed.');
  }
}
