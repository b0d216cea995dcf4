export {
  type BenchmarkOptions,
  type BenchmarkProgress,
  type BenchmarkReport,
  type BenchmarkResult,
  benchmark,
  forgetTuning,
} from './benchmark.js';
export type { ChatMessage, ToolCall } from './chat.js';
export type { AnswerPart, CallOptions, CallPart, ReasoningEffort, TemplateOptions } from './conversation.js';
export { type DeviceOptions, gpuDevice } from './device.js';
export { type ErrorCode, LlamaError } from './errors.js';
export type { Source } from './files.js';
export {
  type CachedModel,
  type CacheReport,
  cachedModels,
  deleteCached,
  type LoadModelOptions,
  type LoadProgress,
  loadModel,
  type Manifest,
  Model,
  Tokenizer,
} from './loader.js';
export type { DeviceInfo, KernelTrial } from './runtime.js';
export {
  type AnswerOptions,
  type ChatOptions,
  type GenerateOptions,
  type LoadOptions,
  load,
  type ModelInfo,
  type Stats,
  type TextModel,
} from './text.js';
export {
  type ForwardOptions,
  type SampleOptions,
  sample,
  Transformer,
  type TransformerOptions,
} from './transformer.js';
export type { WasmSource } from './wasm.js';
