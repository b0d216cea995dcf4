import type { LanguageModelV4, LanguageModelV4CallOptions, LanguageModelV4Message } from '@ai-sdk/provider';
import { invalid } from './arguments.js';
import { forCaller } from './callback.js';
import type { ChatMessage } from './chat.js';
import type { GenerateOptions, TextModel } from './text.js';
import { type Turn, turn, usual, whole } from './turn.js';

export interface ProviderOptions {
  /** The name of the model. Default: the bundle's id. */
  modelId?: string;
}

type Warning = { type: 'unsupported'; feature: string; details?: string };

/**
 * A model for the AI SDK (the package ai, version 7): streamText({model: languageModel(model), prompt}). Structured output is held to
 * its schema while it is written.
 */
export function languageModel(model: TextModel, { modelId = model.info.id }: ProviderOptions = {}): LanguageModelV4 {
  return {
    specificationVersion: 'v4',
    provider: 'llama-webgpu',
    modelId,
    supportedUrls: {},
    async doGenerate(options) {
      const { start, o, warnings } = read(model, options);
      try {
        const { text, turn: t } = await whole(turn(model, start, o));
        return { content: text ? [{ type: 'text', text }] : [], finishReason: finish(t), usage: usage(t), warnings };
      } catch (e) {
        throw forCaller(e);
      }
    },
    async doStream(options) {
      const { start, o, warnings } = read(model, options);
      const pieces = turn(model, start, o);
      const id = 'text';
      let begun = false;
      return {
        stream: new ReadableStream({
          start(c) {
            c.enqueue({ type: 'stream-start', warnings });
          },
          async pull(c) {
            try {
              const next = await pieces.next();
              if (!next.done) {
                if (!begun) c.enqueue({ type: 'text-start', id });
                begun = true;
                c.enqueue({ type: 'text-delta', id, delta: next.value });
                return;
              }
              if (begun) c.enqueue({ type: 'text-end', id });
              c.enqueue({ type: 'finish', finishReason: finish(next.value), usage: usage(next.value) });
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
  const warnings: Warning[] = [];
  if (q.tools && q.tools.length > 0 && q.toolChoice?.type !== 'none')
    warnings.push({ type: 'unsupported', feature: 'tools' });
  if (q.reasoning && q.reasoning !== 'provider-default') warnings.push({ type: 'unsupported', feature: 'reasoning' });
  const messages = q.prompt.map(message);
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
  const given = Object.fromEntries(Object.entries(o).filter(([, v]) => v !== undefined)) as GenerateOptions;
  return { start: (options: GenerateOptions) => model.chat(messages, options), o: given, warnings };
}

/** A message of the SDK as a template reads it. */
function message(m: LanguageModelV4Message): ChatMessage {
  if (m.role === 'system') return { role: 'system', content: m.content };
  if (m.role === 'tool') throw invalid('prompt: results of tools: a model in the page does not support tools');
  const texts = m.content.map((p) => {
    if (p.type === 'text') return p.text;
    if (p.type === 'reasoning') return ''; // of an answer before: models are not shown theirs again
    throw invalid(`prompt: a part of type ${p.type}: models here read nothing but text`);
  });
  return { role: m.role, content: texts.join('') };
}

function finish(t: Turn) {
  return { unified: t.end === 'length' ? ('length' as const) : ('stop' as const), raw: t.end };
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
