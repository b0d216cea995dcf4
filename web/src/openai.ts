import { checked, invalid, messages as messagesOf, options as optionsOf, text as textOf } from './arguments.js';
import { forCaller } from './callback.js';
import { type AnswerPart, answerOptions } from './conversation.js';
import type {
  CallOptions,
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletions,
  ChatRequest,
  Completion,
  CompletionOptions,
  CompletionRequest,
  Completions,
  OpenAIShape,
  ResponseFormat,
  Usage,
} from './openai-types.js';
import type { GenerateOptions, TextModel } from './text.js';
import { Answer, type Turn, turn, usual } from './turn.js';

export type * from './openai-types.js';

/** How many texts a request may ask for. */
const most = 16;

/** What OpenAI's API has and a model in the page does not: refused by name, so that nobody believes it had an effect. */
const unsupported = ['functions', 'logprobs', 'top_logprobs', 'modalities', 'audio', 'suffix', 'best_of'];

/** What goes beyond the model itself. */
export interface OpenAIOptions {
  /** The name of the model in answers. Default: the bundle's id. */
  model?: string;
  /** Ends the running texts when it aborts. */
  interrupt?: () => AbortSignal | undefined;
}

/** A model as OpenAI's client shows one: openai(model).chat.completions.create({messages, stream: true}). */
export function openai(model: TextModel, options: OpenAIOptions = {}): OpenAIShape {
  const server = new InPage(model, options);
  return {
    chat: {
      completions: { create: guarded((q: ChatRequest, o?: CallOptions) => server.chat(q, o)) } as ChatCompletions,
    },
    completions: { create: guarded((q: CompletionRequest, o?: CallOptions) => server.complete(q, o)) } as Completions,
  };
}

/** Only LlamaErrors come out. */
function guarded<Q, R>(f: (q: Q, o?: CallOptions) => Promise<R>): (q: Q, o?: CallOptions) => Promise<R> {
  return async (q, o) => {
    try {
      return await f(q, o);
    } catch (e) {
      throw forCaller(e);
    }
  };
}

/** A request, read. */
interface Job<T> {
  id: string;
  created: number;
  n: number;
  streamed: boolean;
  withUsage: boolean;
  options: GenerateOptions;
  start: (options: GenerateOptions) => AsyncGenerator<T, void, undefined>;
}

/** A piece of the text or answer with an index, or its end. */
type Part<T> = { index: number; piece: T } | { index: number; end: Turn };

class InPage {
  constructor(
    private readonly model: TextModel,
    private readonly o: OpenAIOptions,
  ) {}

  async chat(q: ChatRequest, o?: CallOptions): Promise<ChatCompletion | AsyncIterable<ChatCompletionChunk>> {
    const job = checked(() => {
      const request = optionsOf(q) as ChatRequest;
      const messages = messagesOf(request.messages);
      const given = answerOptions(conversationOf(request));
      const job = this.read(request, o, 'chatcmpl', (options) => this.model.answer(messages, { ...options, ...given }));
      return { ...job, options: { ...job.options, ...form(request.response_format, job.options) } };
    });
    const head = { ...this.head(job), object: 'chat.completion.chunk' as const };
    if (job.streamed) return this.chunks(job, head);
    const answers: { answer: Answer; end: Turn }[] = [];
    let answer = new Answer();
    for await (const part of this.parts(job)) {
      if ('piece' in part) answer.add(part.piece);
      else {
        answers.push({ answer, end: part.end });
        answer = new Answer();
      }
    }
    return {
      ...head,
      object: 'chat.completion',
      choices: answers.map(({ answer, end }, index) => ({
        index,
        message: messageOf(answer),
        finish_reason: answer.finish(end),
        logprobs: null,
      })),
      usage: usageOf(answers.map(({ end }) => end)),
    };
  }

  async complete(q: CompletionRequest, o?: CallOptions): Promise<Completion | AsyncIterable<Completion>> {
    const [job, echo] = checked(() => {
      const request = optionsOf(q) as CompletionRequest;
      const prompt = textOf('prompt', request.prompt);
      const job = this.read(request, o, 'cmpl', (options) => this.model.generate(prompt, options));
      return [job, request.echo ? prompt : ''] as const;
    });
    const head = { ...this.head(job), object: 'text_completion' as const };
    if (job.streamed) return this.pieces(job, head, echo);
    const choices: Completion['choices'] = [];
    const turns: Turn[] = [];
    let text = echo;
    for await (const part of this.parts(job)) {
      if ('piece' in part) text += part.piece;
      else {
        choices.push({ index: part.index, text, finish_reason: finish(part.end), logprobs: null });
        turns.push(part.end);
        text = echo;
      }
    }
    return { ...head, choices, usage: usageOf(turns) };
  }

  private head({ id, created }: Job<unknown>) {
    const print = this.model.info.id;
    return { id, created, model: this.o.model ?? print, system_fingerprint: print };
  }

  private read<T>(q: CompletionOptions, o: CallOptions | undefined, kind: string, start: Job<T>['start']): Job<T> {
    refuse(q);
    const n = q.n ?? 1;
    if (!Number.isInteger(n) || n < 1 || n > most) throw invalid(`n: want 1 to ${most}, got ${n}`);
    return {
      id: `${kind}-${crypto.randomUUID()}`,
      created: Math.floor(Date.now() / 1000),
      n,
      streamed: q.stream === true,
      withUsage: q.stream_options?.include_usage === true,
      options: { ...samplingOf(q), ...(o?.signal && { signal: o.signal }) },
      start,
    };
  }

  /** The texts of a job, one after the other. With a seed, each has its own. */
  private async *parts<T>(job: Job<T>): AsyncGenerator<Part<T>, void, undefined> {
    const { seed } = job.options;
    for (let index = 0; index < job.n; index++) {
      const options = { ...job.options, ...(seed !== undefined && { seed: seed + index }) };
      const pieces = turn(this.model, job.start, options, this.o.interrupt?.());
      try {
        for (;;) {
          const next = await pieces.next();
          if (next.done) {
            yield { index, end: next.value };
            break;
          }
          yield { index, piece: next.value };
        }
      } catch (e) {
        throw forCaller(e);
      } finally {
        await pieces.return(undefined as never);
      }
    }
  }

  private async *chunks(
    job: Job<AnswerPart>,
    head: Omit<ChatCompletionChunk, 'choices'>,
  ): AsyncGenerator<ChatCompletionChunk, void, undefined> {
    const turns: Turn[] = [];
    let answer: Answer | undefined;
    for await (const part of this.parts(job)) {
      const { index } = part;
      if (!answer)
        yield { ...head, choices: [{ index, delta: { role: 'assistant', content: '' }, finish_reason: null }] };
      answer ??= new Answer();
      if ('piece' in part) {
        answer.add(part.piece);
        yield { ...head, choices: [{ index, delta: deltaOf(part.piece), finish_reason: null }] };
      } else {
        turns.push(part.end);
        yield { ...head, choices: [{ index, delta: {}, finish_reason: answer.finish(part.end) }] };
        answer = undefined;
      }
    }
    if (job.withUsage) yield { ...head, choices: [], usage: usageOf(turns) };
  }

  private async *pieces(
    job: Job<string>,
    head: Omit<Completion, 'choices'>,
    echo: string,
  ): AsyncGenerator<Completion, void, undefined> {
    const turns: Turn[] = [];
    const choice = (index: number, text: string, finish_reason: 'stop' | 'length' | null) => ({
      ...head,
      choices: [{ index, text, finish_reason: finish_reason as 'stop', logprobs: null }], // null until the end, as OpenAI has it
    });
    let begun = -1;
    for await (const part of this.parts(job)) {
      if (part.index !== begun && echo) yield choice(part.index, echo, null);
      begun = part.index;
      if ('piece' in part) yield choice(part.index, part.piece, null);
      else {
        turns.push(part.end);
        yield choice(part.index, '', finish(part.end));
      }
    }
    if (job.withUsage) yield { ...head, choices: [], usage: usageOf(turns) };
  }
}

/** What of a request says what the model may call, and how it thinks. */
function conversationOf(q: ChatRequest): Record<string, unknown> {
  const { tool_choice: choice, reasoning_format: format } = q;
  if (![undefined, null, 'auto', 'deepseek', 'none'].includes(format))
    throw invalid('reasoning_format: want auto, deepseek or none');
  return {
    tools: q.tools,
    toolChoice: typeof choice === 'object' && choice !== null ? choice.function : choice,
    parallelToolCalls: q.parallel_tool_calls,
    thoughts: format !== 'none',
    reasoningEffort: q.reasoning_effort,
    continueLast: q.continue_final_message,
    templateVariables: q.chat_template_kwargs,
  };
}

function messageOf({ content, reasoning, calls }: Answer): ChatCompletion['choices'][number]['message'] {
  return {
    role: 'assistant',
    content: content === '' && calls.length > 0 ? null : content,
    refusal: null,
    ...(reasoning && { reasoning_content: reasoning }),
    ...(calls.length > 0 && {
      tool_calls: calls.map(({ id, name, arguments: given }) => ({
        id,
        type: 'function' as const,
        function: { name, arguments: given },
      })),
    }),
  };
}

function deltaOf(p: AnswerPart): ChatCompletionChunk['choices'][number]['delta'] {
  if ('content' in p) return { content: p.content };
  if ('reasoning' in p) return { reasoning_content: p.reasoning };
  const { index, id, name, arguments: given } = p;
  const first = id === undefined ? {} : { id, type: 'function' as const };
  return { tool_calls: [{ index, ...first, function: { ...(name !== undefined && { name }), arguments: given } }] };
}

/** Refuses what would have no effect. */
function refuse(q: CompletionOptions): void {
  for (const name of unsupported) {
    const v = (q as Record<string, unknown>)[name];
    const nothing = v === undefined || v === null || v === false || v === 0 || (Array.isArray(v) && v.length === 0);
    if (!nothing) throw invalid(`${name}: a model in the page does not support it`);
  }
}

/** The options of a text, by their names here. */
function samplingOf(q: CompletionOptions): GenerateOptions {
  const o: Record<string, unknown> = {
    maxTokens: q.max_completion_tokens ?? q.max_tokens ?? usual.maxTokens,
    temperature: q.temperature ?? usual.temperature,
    topP: q.top_p ?? usual.topP,
    topK: q.top_k ?? usual.topK,
    minP: q.min_p,
    typicalP: q.typical_p,
    dynamicTemperatureRange: q.dynatemp_range,
    dynamicTemperatureExponent: q.dynatemp_exponent,
    xtcProbability: q.xtc_probability,
    xtcThreshold: q.xtc_threshold,
    dryMultiplier: q.dry_multiplier,
    dryBase: q.dry_base,
    dryAllowedLength: q.dry_allowed_length,
    dryLast: q.dry_penalty_last_n,
    dryBreakers: q.dry_sequence_breakers,
    repeatPenalty: q.repeat_penalty,
    repeatLast: q.repeat_last_n,
    presencePenalty: q.presence_penalty,
    frequencyPenalty: q.frequency_penalty,
    logitBias: q.logit_bias,
    seed: q.seed,
    stop: q.stop,
    grammar: q.grammar,
  };
  return Object.fromEntries(Object.entries(o).filter(([, v]) => v !== undefined && v !== null));
}

/** What the text may look like. */
function form(f: ResponseFormat | null | undefined, o: GenerateOptions): GenerateOptions {
  if (f === undefined || f === null || f.type === 'text') return {};
  if (o.grammar !== undefined) throw invalid('response_format: want no grammar beside it');
  if (f.type === 'json_schema') {
    if (!f.json_schema?.schema) throw invalid('response_format.json_schema.schema: want a JSON schema');
    return { jsonSchema: f.json_schema.schema };
  }
  if (f.type !== 'json_object') throw invalid('response_format: want type text, json_object or json_schema');
  return { jsonSchema: typeof f.schema === 'string' ? JSON.parse(f.schema) : (f.schema ?? true) };
}

function finish(t: Turn): 'stop' | 'length' {
  return t.end === 'length' ? 'length' : 'stop';
}

function usageOf(turns: readonly Turn[]): Usage {
  const sum = (name: 'promptTokens' | 'generatedTokens' | 'cachedTokens') => turns.reduce((n, t) => n + t[name], 0);
  const prompt_tokens = turns[0]?.promptTokens ?? 0;
  const completion_tokens = sum('generatedTokens');
  return {
    prompt_tokens,
    completion_tokens,
    total_tokens: prompt_tokens + completion_tokens,
    prompt_tokens_details: { cached_tokens: turns[0]?.cachedTokens ?? 0 },
  };
}
