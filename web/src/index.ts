export { LlamaError, type ErrorCode } from './errors.js';
export { gpuDevice, type DeviceOptions } from './device.js';
export {
  cachedModels, deleteCached, loadModel, Model, Tokenizer,
  type CachedModel, type CacheReport, type LoadModelOptions, type LoadProgress, type Manifest,
} from './loader.js';
export { sample, Transformer, type ForwardOptions, type SampleOptions, type TransformerOptions } from './transformer.js';
export { load, type GenerateOptions, type LoadOptions, type ModelInfo, type Stats, type TextModel } from './text.js';
export type { ChatMessage } from './chat.js';
export type { DeviceInfo, KernelTrial, WasmSource } from './runtime.js';
