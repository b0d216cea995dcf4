import type {
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4Content,
  LanguageModelV4StreamPart,
} from '@ai-sdk/provider';
import { conversation } from './ai-sdk-prompt.js';
import { forCaller } from './callback.js';
import type { AnswerPart, CallPart } from './conversation.js';
import type { GenerateOptions, TextModel } from './text.js';
import { Answer, type Turn, turn, usual } from './turn.js';

export interface ProviderOptions {
  /** The name of the model. Default: the bundle's id. */
  modelId?: string;
}

/**
 * A model for the AI SDK (the package ai, version 7): streamText({model: languageModel(model), prompt, tools}). Structured output
 * is held to its schema while it is written, and so are calls of tools that are required or strict.
 */
export function languageModel(model: TextModel, { modelId = model.info.id }: ProviderOptions = {}): LanguageModelV4 {
  return {
    specificationVersion: 'v4',
    provider: 'llama-webgpu',
    modelId,
    supportedUrls: {},
    async doGenerate(options) {
      const { start, o, warnings } = read(model, options);
      const pieces = turn(model, start, o);
      const answer = new Answer();
      try {
        for (;;) {
          const next = await pieces.next();
          if (!next.done) answer.add(next.value);
          else {
            const finishReason = finish(answer, next.value);
            return { content: contentOf(answer), finishReason, usage: usage(next.value), warnings };
          }
        }
      } catch (e) {
        throw forCaller(e);
      }
    },
    async doStream(options) {
      const { start, o, warnings } = read(model, options);
      const pieces = turn(model, start, o);
      const parts = new Parts();
      return {
        stream: new ReadableStream<LanguageModelV4StreamPart>({
          start(c) {
            c.enqueue({ type: 'stream-start', warnings });
          },
          async pull(c) {
            try {
              const next = await pieces.next();
              const list = next.done ? parts.end(next.value) : parts.add(next.value);
              for (const p of list) c.enqueue(p);
              if (!next.done) return;
            } catch (e) {
              c.enqueue({ type: 'error', error: forCaller(e) });
            }
            c.close();
          },
          async cancel() {
            await pieces.return(undefined as never);
          },
        }),
      };
    },
  };
}

/** What the SDK asks for, by the names here. */
function read(model: TextModel, q: LanguageModelV4CallOptions) {
  const { messages, given, warnings } = conversation(q);
  const o: Record<string, unknown> = {
    maxTokens: q.maxOutputTokens ?? usual.maxTokens,
    temperature: q.temperature ?? usual.temperature,
    topP: q.topP ?? usual.topP,
    topK: q.topK ?? usual.topK,
    presencePenalty: q.presencePenalty,
    frequencyPenalty: q.frequencyPenalty,
    seed: q.seed,
    stop: q.stopSequences,
    jsonSchema: q.responseFormat?.type === 'json' ? (q.responseFormat.schema ?? true) : undefined,
    signal: q.abortSignal,
  };
  const sampling = Object.fromEntries(Object.entries(o).filter(([, v]) => v !== undefined)) as GenerateOptions;
  return { start: (with_: GenerateOptions) => model.answer(messages, { ...with_, ...given }), o: sampling, warnings };
}

/** A whole answer as the SDK has it. */
function contentOf({ content, reasoning, calls }: Answer): LanguageModelV4Content[] {
  const list: LanguageModelV4Content[] = [];
  if (reasoning) list.push({ type: 'reasoning', text: reasoning });
  if (content) list.push({ type: 'text', text: content });
  for (const c of calls) list.push({ type: 'tool-call', toolCallId: c.id, toolName: c.name, input: c.arguments });
  return list;
}

/** Makes the parts of the SDK's streams. Each block of text, thoughts or a call's arguments has a beginning and an end. */
class Parts {
  private readonly answer = new Answer();
  private open: { kind: 'text' | 'reasoning' | 'call'; id: string; index: number } | undefined;
  private blocks = 0;

  add(p: AnswerPart): LanguageModelV4StreamPart[] {
    this.answer.add(p);
    if ('index' in p) return this.call(p);
    const kind = 'content' in p ? 'text' : 'reasoning';
    const list = this.open?.kind === kind ? [] : [...this.close(), this.begin(kind)];
    const { id } = this.open!;
    return [...list, { type: `${kind}-delta`, id, delta: 'content' in p ? p.content : p.reasoning }];
  }

  private begin(kind: 'text' | 'reasoning'): LanguageModelV4StreamPart {
    this.open = { kind, id: `${kind}-${this.blocks++}`, index: -1 };
    return { type: `${kind}-start`, id: this.open.id };
  }

  private call(p: CallPart): LanguageModelV4StreamPart[] {
    const { id, name } = this.answer.calls[p.index]!;
    const list: LanguageModelV4StreamPart[] = [];
    if (this.open?.index !== p.index) {
      list.push(...this.close(), { type: 'tool-input-start', id, toolName: name });
      this.open = { kind: 'call', id, index: p.index };
    }
    if (p.arguments) list.push({ type: 'tool-input-delta', id, delta: p.arguments });
    return list;
  }

  /** Ends the block that is open. */
  private close(): LanguageModelV4StreamPart[] {
    const { open } = this;
    this.open = undefined;
    if (!open) return [];
    if (open.kind !== 'call') return [{ type: `${open.kind}-end`, id: open.id }];
    const { id, name, arguments: input } = this.answer.calls[open.index]!;
    return [
      { type: 'tool-input-end', id },
      { type: 'tool-call', toolCallId: id, toolName: name, input },
    ];
  }

  end(t: Turn): LanguageModelV4StreamPart[] {
    return [...this.close(), { type: 'finish', finishReason: finish(this.answer, t), usage: usage(t) }];
  }
}

function finish(a: Answer, t: Turn) {
  const reason = a.finish(t);
  return { unified: reason === 'tool_calls' ? ('tool-calls' as const) : reason, raw: t.end };
}

function usage(t: Turn) {
  const { promptTokens, cachedTokens, generatedTokens } = t;
  return {
    inputTokens: {
      total: promptTokens,
      noCache: promptTokens - cachedTokens,
      cacheRead: cachedTokens,
      cacheWrite: undefined,
    },
    outputTokens: { total: generatedTokens, text: generatedTokens, reasoning: undefined },
  };
}
