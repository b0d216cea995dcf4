import type { BenchmarkOptions, BenchmarkProgress } from './benchmark.js';
import type { ChatMessage } from './chat.js';
import type { AnswerPart } from './conversation.js';
import type { LlamaError } from './errors.js';
import type { LoadProgress } from './loader.js';
import type { DeviceInfo } from './runtime.js';
import type { AnswerOptions, LoadOptions, ModelInfo } from './text.js';

/** The options of load that can be sent to a Worker. */
export type WorkerLoadOptions = Omit<LoadOptions, 'signal' | 'onProgress' | 'onWarning' | 'device' | 'fetch'>;
export type WorkerGenerateOptions = Omit<AnswerOptions, 'signal' | 'onToken' | 'onPrompt'>;

export type WorkerBenchmarkOptions = Omit<BenchmarkOptions, 'signal' | 'onProgress' | 'device' | 'fetch'>;

/** To the Worker. Each call has an id, and one answer. */
export type Call =
  | { op: 'hello' } // answered as soon as the Worker runs
  | { op: 'load'; url: string; files?: File[]; options: WorkerLoadOptions; wasmPlaces: string[] }
  | { op: 'generate'; prompt: string; options: WorkerGenerateOptions }
  | { op: 'chat' | 'answer'; messages: ChatMessage[]; options: WorkerGenerateOptions }
  | { op: 'encode'; text: string }
  | { op: 'encodeChat'; messages: ChatMessage[] }
  | { op: 'decode'; ids: Int32Array }
  | { op: 'logits'; tokens: Int32Array; from: number }
  | { op: 'benchmark'; url: string | null; files?: File[]; options: WorkerBenchmarkOptions; wasmPlaces: string[] }
  | { op: 'stats' }
  | { op: 'dispose' };
/** A Worker answers an abort at once with `alive`, whatever it is computing. */
export type Request = { id: number; call: Call } | { id: number; abort: true };

export interface Loaded {
  info: ModelInfo;
  device: DeviceInfo;
}

/** From the Worker: intermediate results, then the answer. */
export type Reply =
  | { id: number; alive: true }
  | { id: number; progress: LoadProgress }
  | { id: number; tuning: BenchmarkProgress }
  | { id: number; warning: string }
  | { id: number; token: { id: number; ms: number } }
  | { id: number; prompt: { done: number; total: number } }
  | { id: number; text: string | AnswerPart }
  | { id: number; value: unknown }
  | { id: number; error: Pick<LlamaError, 'code' | 'message' | 'kept' | 'reason'> };
