import { gpuDevice } from 'llama-webgpu/device';
import { loadModel } from 'llama-webgpu/loader';
import { Transformer } from 'llama-webgpu/transformer';
const device = await gpuDevice();                       // picks the adapter, asks for what it offers
const model = await loadModel(device, { manifestUrl: '/models/m/manifest.json', weightUrl: '/models/m/model.wgpu' });
const transformer = new Transformer(device, model, { kernelSet: 'int4', maxBatch: 1, maxSeqLen: 2048 });
const tokens = tokenizer.encode(prompt);                // model.tokenizer
const logits = await transformer.forward(tokens);       // KV-cached: only new tokens are computed
const nextId = sample(logits, 0.9);                     // top-p; also temperature, top-k, min-p, seed
