// The inside of the Worker that worker.ts starts. It is built into one script that imports nothing and does not know its
// own address, so that it runs from wherever a bundler puts it, as a module or not, and from a blob.
import { benchmark } from './benchmark.js';
import { asError } from './errors.js';
import type { Call, Reply, Request } from './protocol.js';
import { type AnswerOptions, load, type TextModel } from './text.js';
import { setWasmPlaces } from './wasm.js';

const post = (reply: Reply) => (globalThis as unknown as Worker).postMessage(reply);
const running = new Map<number, AbortController>();
let model: TextModel | undefined;

async function answer(id: number, call: Call, signal: AbortSignal): Promise<unknown> {
  if (call.op === 'hello') return undefined;
  if (call.op === 'load') {
    setWasmPlaces(call.wasmPlaces);
    model = await load(call.files ?? call.url, {
      ...call.options,
      signal,
      onProgress: (progress) => post({ id, progress }),
      onWarning: (warning) => post({ id, warning }),
    });
    return { info: model.info, device: model.device };
  }
  if (call.op === 'benchmark') {
    setWasmPlaces(call.wasmPlaces);
    return benchmark(call.files ?? call.url, {
      ...call.options,
      signal,
      onProgress: (tuning) => post({ id, tuning }),
    });
  }
  const m = model!; // load comes before all other calls, and none comes before its answer
  switch (call.op) {
    case 'generate':
    case 'chat':
    case 'answer': {
      const options: AnswerOptions = {
        ...call.options,
        signal,
        onToken: (token) => post({ id, token }),
        onPrompt: (prompt) => post({ id, prompt }),
      };
      const pieces = call.op === 'generate' ? m.generate(call.prompt, options) : m[call.op](call.messages, options);
      for await (const text of pieces) post({ id, text });
      return undefined;
    }
    case 'encode':
      return m.encode(call.text);
    case 'encodeChat':
      return m.encodeChat(call.messages);
    case 'decode':
      return m.decode(call.ids);
    case 'logits':
      return m.logits(call.tokens, call.from);
    case 'stats':
      return m.stats();
    case 'dispose':
      return m.dispose();
  }
}

globalThis.onmessage = async (event: MessageEvent<Request>) => {
  const request = event.data;
  if ('abort' in request) {
    post({ id: request.id, alive: true });
    running.get(request.id)?.abort();
    return;
  }
  const { id, call } = request;
  const ender = new AbortController();
  running.set(id, ender);
  try {
    post({ id, value: await answer(id, call, ender.signal) });
  } catch (e) {
    const { code, message, kept, reason } = asError(e);
    post({ id, error: { code, message, kept, reason } });
  } finally {
    running.delete(id);
  }
};
