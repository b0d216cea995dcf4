import { callback, checked, invalid } from './arguments.js';
import { forCaller } from './callback.js';
import type { AnswerPart } from './conversation.js';
import { LlamaError } from './errors.js';
import type { LoadProgress } from './loader.js';
import { openai } from './openai.js';
import type { ChatCompletions, Completions } from './openai-types.js';
import type { TextModel } from './text.js';
import { load as loadInWorker, type WorkerLoadModelOptions } from './worker.js';

export type * from './openai-types.js';

export interface InitProgressReport {
  /** From 0 to 1. */
  progress: number;
  /** In seconds. */
  timeElapsed: number;
  text: string;
}

export type InitProgressCallback = (report: InitProgressReport) => void;

export interface MLCEngineConfig {
  initProgressCallback?: InitProgressCallback;
  /** Names of bundles: {model_list: [{model_id: 'mine', model: 'https://…/bundle/'}]}. */
  appConfig?: { model_list: readonly { model_id: string; model: string }[] };
  /** How a bundle is loaded, if not in a Worker of the package: load of llama-webgpu, or of llama-webgpu/node. */
  load?: (url: string, options: WorkerLoadModelOptions) => Promise<TextModel>;
}

export interface ChatOptions extends WorkerLoadModelOptions {
  /** The length of the context. */
  context_window_size?: number;
}

/** Loads a bundle, as WebLLM's function of this name does its models: modelId is the URL of a bundle, or a name of appConfig. */
export async function CreateMLCEngine(
  modelId: string | readonly string[],
  engineConfig: MLCEngineConfig = {},
  chatOpts: ChatOptions = {},
): Promise<MLCEngine> {
  const engine = new MLCEngine(engineConfig);
  await engine.reload(modelId, chatOpts);
  return engine;
}

/** A model with the methods of WebLLM's engine, for programs that were written for that. */
export class MLCEngine {
  readonly chat: { completions: ChatCompletions };
  readonly completions: Completions;
  private model: TextModel | undefined;
  private loading: AbortController | undefined;
  private running = new AbortController();
  private progress: InitProgressCallback | undefined;
  private message = '';

  constructor(private config: MLCEngineConfig = {}) {
    this.progress = callback('initProgressCallback', config?.initProgressCallback);
    this.chat = { completions: { create: (q, o) => this.api().chat.completions.create(q, o) } as ChatCompletions };
    this.completions = { create: (q, o) => this.api().completions.create(q, o) } as Completions;
  }

  setInitProgressCallback(f: InitProgressCallback | undefined): void {
    this.progress = checked(() => callback('initProgressCallback', f));
  }

  getInitProgressCallback(): InitProgressCallback | undefined {
    return this.progress;
  }

  setAppConfig(appConfig: NonNullable<MLCEngineConfig['appConfig']>): void {
    this.config = { ...this.config, appConfig };
  }

  /** Loads another bundle, and releases the one before. */
  async reload(modelId: string | readonly string[], chatOpts: ChatOptions = {}): Promise<void> {
    const [id, more] = typeof modelId === 'string' ? [modelId] : Array.from(modelId ?? []);
    if (typeof id !== 'string' || more !== undefined) throw invalid('modelId: want one bundle');
    const { context_window_size, ...options } = chatOpts;
    await this.unload();
    const loading = new AbortController();
    this.loading = loading;
    const begun = performance.now();
    const url = this.config.appConfig?.model_list.find((m) => m.model_id === id)?.model ?? id;
    try {
      const model = await (this.config.load ?? loadInWorker)(url, {
        ...(context_window_size !== undefined && { maxSeqLen: context_window_size }),
        signal: loading.signal,
        ...options,
        onProgress: (p) => {
          options.onProgress?.(p);
          this.progress?.(report(p, begun));
        },
      });
      this.model = this.heard(model);
      this.progress?.({ progress: 1, timeElapsed: since(begun), text: 'Finished loading' });
    } catch (e) {
      throw forCaller(e);
    } finally {
      if (this.loading === loading) this.loading = undefined;
    }
  }

  /** Ends what runs, and releases the model. */
  async unload(): Promise<void> {
    this.loading?.abort();
    this.interruptGenerate();
    const { model } = this;
    this.model = undefined;
    await model?.dispose();
  }

  /** Ends the running texts. */
  interruptGenerate(): void {
    this.running.abort();
    this.running = new AbortController();
  }

  /** A model here only remembers what a next prompt may begin with, so there is nothing to reset. */
  async resetChat(): Promise<void> {
    this.interruptGenerate();
    this.message = '';
  }

  /** The last answer. */
  async getMessage(): Promise<string> {
    return this.message;
  }

  async runtimeStatsText(): Promise<string> {
    const s = await this.loaded().stats();
    const prefill = s.firstTokenSeconds > 0 ? (s.promptTokens - s.cachedTokens) / s.firstTokenSeconds : 0;
    return `prefill: ${prefill.toFixed(4)} tokens/sec, decoding: ${s.tokensPerSecond.toFixed(4)} tokens/sec`;
  }

  async getGPUVendor(): Promise<string> {
    return this.loaded().device.adapter;
  }

  private loaded(): TextModel {
    if (!this.model) throw new LlamaError('disposed', 'No model is loaded: await reload() first.');
    return this.model;
  }

  private api() {
    return openai(this.loaded(), { interrupt: () => this.running.signal });
  }

  /** The model, whose last answer is remembered. */
  private heard(model: TextModel): TextModel {
    const listen = async function* <T extends string | AnswerPart>(
      engine: MLCEngine,
      pieces: AsyncGenerator<T, void, undefined>,
    ): AsyncGenerator<T, void, undefined> {
      engine.message = '';
      for await (const piece of pieces) {
        engine.message += textOf(piece);
        yield piece;
      }
    };
    return Object.assign(Object.create(model) as TextModel, {
      answer: (...a: Parameters<TextModel['answer']>) => listen(this, model.answer(...a)),
      generate: (...a: Parameters<TextModel['generate']>) => listen(this, model.generate(...a)),
    });
  }
}

/** What of a piece is text. */
function textOf(piece: string | AnswerPart): string {
  if (typeof piece === 'string') return piece;
  return 'content' in piece ? piece.content : '';
}

const since = (begun: number) => (performance.now() - begun) / 1000;

function report(p: LoadProgress, begun: number): InitProgressReport {
  const progress = p.total > 0 ? p.loaded / p.total : 0;
  const from = p.received > 0 ? 'Fetching' : 'Loading';
  const text = `${from} the model: ${(p.loaded / 2 ** 20).toFixed(0)} of ${(p.total / 2 ** 20).toFixed(0)} MB`;
  return { progress, timeElapsed: since(begun), text };
}
