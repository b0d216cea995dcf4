import { abortSignal, checked, options as optionsOf } from './arguments.js';
import { forCaller } from './callback.js';
import { throwIfAborted } from './errors.js';
import { LanguageModelSession, read } from './prompt-session.js';
import { type PromptContent, type PromptTool, toolsOf } from './prompt-tools.js';
import type { GenerateOptions, TextModel } from './text.js';
import { usual } from './turn.js';
import { load, type WorkerLoadModelOptions } from './worker.js';

export { LanguageModelSession } from './prompt-session.js';
export {
  LanguageModelToolCall,
  LanguageModelToolError,
  LanguageModelToolSuccess,
  type PromptContent,
  type PromptTool,
} from './prompt-tools.js';

export type PromptInput = string | readonly PromptMessage[];

export interface PromptMessage {
  role: 'system' | 'user' | 'assistant';
  content: string | readonly PromptContent[];
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
  /** Functions that the model may call. prompt() returns the calls of those without execute(). */
  tools?: readonly PromptTool[];
  expectedInputs?: readonly { type: string; languages?: readonly string[] }[];
  /** Has to have one of type `tool-call`, if there are tools without execute(). */
  expectedOutputs?: readonly { type: string; languages?: readonly string[] }[];
  signal?: AbortSignal;
  /** Gets an event target that has `downloadprogress` events while the model loads, with `loaded` from 0 to 1. */
  monitor?: (m: EventTarget) => void;
}

/** The interface of the browser's own LanguageModel. */
export interface LanguageModelShape {
  availability(): Promise<'unavailable' | 'downloadable' | 'available'>;
  create(options: CreateOptions & { tools: readonly PromptTool[] }): Promise<LanguageModelSession<PromptContent[]>>;
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
    async create(o: CreateOptions = {}) {
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
        const tools = checked(() => toolsOf(given.tools, given.expectedOutputs));
        const session = new LanguageModelSession<never>(model, initial, sampling, tools);
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
