export { LlamaError } from './errors.js';
export { gpuDevice } from './device.js';
export { cachedModels, deleteCached, loadModel, Model, Tokenizer, } from './loader.js';
export { sample, Transformer } from './transformer.js';
export { load } from './text.js';
