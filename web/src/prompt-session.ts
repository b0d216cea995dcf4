// A conversation of the Prompt API.
import { abortSignal, checked, invalid, messages as messagesOf, options as optionsOf } from './arguments.js';
import { forCaller } from './callback.js';
import type { ChatMessage } from './chat.js';
import { asError, LlamaError, throwIfAborted } from './errors.js';
import type { PromptInput, PromptOptions } from './prompt-api.js';
import {
  callContent,
  countable,
  described,
  executed,
  messagesOfParts,
  type PromptContent,
  type PromptTool,
  saidBy,
} from './prompt-tools.js';
import type { GenerateOptions, TextModel } from './text.js';
import { Answer, turn } from './turn.js';

/** The messages of a prompt. */
export function read(input: PromptInput): ChatMessage[] {
  if (typeof input === 'string') return [{ role: 'user', content: input }];
  const list = Array.from(input, (m): ChatMessage[] => {
    if (m?.prefix) throw invalid('prefix: the beginning of an answer cannot be given');
    const { role, content } = m ?? {};
    return typeof content === 'string' ? [{ role, content }] : messagesOfParts(role, Array.from(content ?? []));
  }).flat();
  return list.length === 0 ? [] : messagesOf(list);
}

/** How often tools may be executed before an answer. */
const mostRounds = 16;

/**
 * A conversation. It fires `contextoverflow` when the oldest messages, after the first ones, are dropped. With tools, an answer may
 * also be `Calls`: parts, of which some are calls.
 */
export class LanguageModelSession<Calls = never> extends EventTarget {
  oncontextoverflow: ((e: Event) => void) | null = null;
  private said: ChatMessage[] = [];
  private used = 0;
  private toolTokens = 0; // about what the descriptions of the tools take
  private destroyed = new AbortController();

  /** @internal */
  constructor(
    private readonly model: TextModel,
    private readonly initial: readonly ChatMessage[],
    private readonly sampling: GenerateOptions,
    private readonly tools: readonly PromptTool[] = [],
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
    return (await this.count([...this.said, ...more])) - this.used;
  }

  /** Answers an input, and remembers both. */
  async prompt(input: PromptInput, options: PromptOptions = {}): Promise<string | Calls> {
    let text = '';
    const calls: PromptContent[] = [];
    for await (const piece of this.answer(input, options)) {
      if (typeof piece === 'string') text += piece;
      else calls.push(piece);
    }
    if (calls.length === 0) return text;
    return (text === '' ? calls : [{ type: 'text', value: text }, ...calls]) as Calls;
  }

  /** As prompt(), piece by piece: calls come last. */
  promptStreaming(
    input: PromptInput,
    options: PromptOptions = {},
  ): ReadableStream<[Calls] extends [never] ? string : string | PromptContent> {
    const pieces = this.answer(input, options);
    return new ReadableStream({
      async pull(c) {
        const next = await pieces.next();
        if (next.done) c.close();
        else c.enqueue(next.value as string);
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
  async clone(options: { signal?: AbortSignal } = {}): Promise<LanguageModelSession<Calls>> {
    throwIfAborted(options.signal);
    this.throwIfDestroyed();
    const copy = new LanguageModelSession<Calls>(this.model, this.initial, this.sampling, this.tools);
    copy.said = [...this.said];
    copy.used = this.used;
    copy.toolTokens = this.toolTokens;
    return copy;
  }

  /** Ends the conversation, and an answer that is under way. The model stays loaded. */
  destroy(): void {
    this.destroyed.abort();
  }

  private async *answer(
    input: PromptInput,
    options: PromptOptions,
  ): AsyncGenerator<string | PromptContent, void, undefined> {
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
      const mine = [...more]; // messages of this question
      let complete = false;
      try {
        for (let round = 0; ; round++) {
          if (round > mostRounds)
            throw new LlamaError('runtime', `The model has called tools ${mostRounds} times, and not answered.`);
          const { content, calls } = yield* this.one(o);
          this.follow(mine, [saidBy(content, calls)]);
          const results = await executed(this.tools, calls);
          if (!results) {
            for (const c of calls) yield callContent(c);
            break;
          }
          throwIfAborted(o.signal);
          this.follow(mine, results);
        }
        complete = true;
      } finally {
        if (!complete) this.said = this.said.filter((m) => !mine.includes(m)); // as if it had not been asked
      }
    } catch (e) {
      throw forCaller(e);
    }
  }

  /** Has the model write one message. */
  private async *one(o: GenerateOptions): AsyncGenerator<string, Answer, undefined> {
    const all = () => [...this.initial, ...this.said];
    const answer = new Answer();
    const pieces = turn(
      this.model,
      (with_) =>
        this.tools.length > 0
          ? this.model.answer(all(), { ...with_, tools: described(this.tools) })
          : this.text(all(), with_),
      o,
    );
    try {
      for (;;) {
        const next = await pieces.next();
        if (next.done) {
          this.used = next.value.promptTokens + next.value.generatedTokens;
          return answer;
        }
        answer.add(next.value);
        if ('content' in next.value) yield next.value.content;
      }
    } finally {
      await pieces.return(undefined as never);
    }
  }

  /** An answer of nothing but text. */
  private async *text(all: ChatMessage[], o: GenerateOptions): AsyncGenerator<{ content: string }, void, undefined> {
    for await (const content of this.model.chat(all, o)) yield { content };
  }

  /** Adds messages after those of a question, which other questions may have come after. */
  private follow(mine: ChatMessage[], more: ChatMessage[]): void {
    const before = mine.at(-1);
    const at = before ? this.said.indexOf(before) + 1 : this.said.length;
    this.said.splice(at, 0, ...more);
    mine.push(...more);
  }

  /** Counts the tokens of a conversation after its first messages. */
  private async count(said: readonly ChatMessage[]): Promise<number> {
    const all = [...this.initial, ...said].map(countable);
    return (await this.model.encodeChat(all)).length + this.toolTokens;
  }

  /** Drops the oldest messages until there is room for more and for an answer: question by question, with all that came of it. */
  private async fit(more: ChatMessage[]): Promise<ChatMessage[]> {
    let tokens = await this.count([...this.said, ...more]);
    const room = this.contextWindow;
    if (tokens < room) return more;
    const asked = (from: number) => this.said.findIndex((m, i) => i >= from && m.role === 'user');
    // the call that a response is one to, stays
    const last = () =>
      more[0]?.role === 'tool' ? this.said.findLastIndex((m) => m.role === 'user') : this.said.length;
    while (tokens >= room && last() > 0) {
      const next = asked(1);
      this.said.splice(0, next < 0 ? this.said.length : next);
      tokens = await this.count([...this.said, ...more]);
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
    if (this.tools.length > 0)
      this.toolTokens = (await this.model.encode(JSON.stringify(described(this.tools)))).length;
    try {
      const none = this.initial.length + this.said.length === 0;
      this.used = none ? this.toolTokens : await this.count(this.said);
    } catch (e) {
      if (asError(e).code !== 'invalid-argument') throw e; // a template that writes no system message alone
    }
  }

  private throwIfDestroyed(): void {
    if (this.destroyed.signal.aborted) throw new LlamaError('disposed', 'The session has been destroyed.');
  }
}
