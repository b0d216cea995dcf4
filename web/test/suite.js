// The tests of the package that run both in a browser and in Node. Each test is a function that throws. web_test.go is
// the server; it knows what the native program generates with the same models.

import { load } from 'llama-webgpu';
import { gpuDevice } from 'llama-webgpu/device';
import { cachedModels, deleteCached, loadModel } from 'llama-webgpu/loader';
import { sample, Transformer } from 'llama-webgpu/transformer';

const base = new URL('/', globalThis.location.href);
const at = (path) => new URL(path, base).href;
const node = globalThis.process?.versions?.node !== undefined;

function check(ok, message) {
  if (!ok) throw new Error(message);
}

function equal(got, want, what) {
  const [g, w] = [got, want].map((v) => JSON.stringify(v));
  check(g === w, `${what}: got ${g}, want ${w}`);
}

/** Runs f, which must fail with this code; returns the error. */
async function fails(code, f) {
  try {
    await f();
  } catch (e) {
    check(e.code === code, `want an error with code ${code}, got ${e.code}: ${e.message}`);
    return e;
  }
  throw new Error(`want an error with code ${code}, got none`);
}

async function all(pieces) {
  let text = '';
  for await (const piece of pieces) text += piece;
  return text;
}

async function expected() {
  return (await fetch(at('/test/expected.json'))).json();
}

let shared;
/** The device that most tests share: kernels are compiled once. */
const device = () => (shared ??= gpuDevice());

/** Loads without a cache, on the shared device. */
const open = async (path, options = {}) =>
  load(at(path), { device: await device(), cache: false, maxSeqLen: 256, ...options });

function empty(memory) {
  const left = Object.entries(memory).filter(([purpose]) => purpose !== 'staging');
  check(left.length === 0, `after dispose the GPU still holds ${JSON.stringify(left)}`);
}

/** The RMS of the differences, relative to that of the reference. */
function relRMS(got, want) {
  let d = 0;
  let p = 0;
  for (let i = 0; i < want.length; i++) {
    d += (got[i] - want[i]) ** 2;
    p += want[i] ** 2;
  }
  return Math.sqrt(d / p);
}

/** Runs code as a module. */
async function importText(code) {
  if (!node) return import(URL.createObjectURL(new Blob([code], { type: 'text/javascript' })));
  const { rm, writeFile } = await import('node:fs/promises');
  const file = new URL(`./article-${process.pid}.mjs`, import.meta.url); // in this directory, where Node finds the package
  await writeFile(file, code);
  return import(file).finally(() => rm(file));
}

export const tests = {};

for (const format of ['int8', 'int4', 'int2']) {
  tests[`${format}: greedy tokens as native, logits as the reference`] = async () => {
    const want = (await expected()).models[format];
    const seen = [];
    const model = await open(`/models/${format}/`, { onProgress: (p) => seen.push(p) });
    equal(model.info.format, format, 'format');
    check(seen.length > 0 && seen.at(-1).loaded > 0.98 * seen.at(-1).total, 'progress does not come to an end');
    const tokens = [];
    const text = await all(
      model.generate(want.prompt, { maxTokens: want.tokens.length, temperature: 0, onToken: (t) => tokens.push(t.id) }),
    );
    equal(tokens, want.tokens, 'greedy tokens');
    equal(text, want.text, 'text');

    const ids = want.promptTokens;
    equal(Array.from(await model.encode(want.prompt)), ids, 'tokens of the prompt');
    const reference = await fetch(at(`/reference/${format}`), { method: 'POST', body: JSON.stringify(ids) });
    const r = relRMS(await model.logits(ids, 0), new Float32Array(await reference.arrayBuffer()));
    check(r <= 1e-3, `logits are off by a relative RMS of ${r}`);

    const stats = await model.stats();
    equal([stats.generatedTokens, stats.end, stats.promptTokens], [tokens.length, 'length', ids.length], 'stats');
    check(
      stats.memory.weights > 1e6 && stats.memory['kv cache'] > 0 && stats.firstTokenSeconds > 0,
      `stats: ${JSON.stringify(stats)}`,
    );
    await model.dispose();
    empty((await model.stats()).memory);
    await fails('disposed', () => all(model.generate('x')));
  };
}

/** Whether a kernel was right in its trial, and was chosen if it was the fastest of the two for its packing. */
function wellTried(trial, rivals) {
  const fastest = trial.speed >= 1.05 && trial.speed === Math.max(...rivals.map((o) => o.speed));
  return rivals.length === 2 && trial.error === '' && trial.relativeRMS < 1e-4 && trial.chosen === fastest;
}

tests['kernels for the features of the device: right, and chosen by a trial'] = async () => {
  const d = await device();
  const has = {
    subgroups: d.features.has('subgroups'),
    dot4: Boolean(navigator.gpu.wgslLanguageFeatures?.has('packed_4x8_integer_dot_product')),
    f16: d.features.has('shader-f16'),
  };
  check(
    has.subgroups && has.dot4,
    `this test is for a device with subgroups and dot4I8Packed; it has ${JSON.stringify(has)}`,
  );
  for (const format of ['int8', 'int4', 'int2']) {
    const want = (await expected()).models[format];
    const ids = want.promptTokens.slice(0, 8);
    const reference = new Float32Array(
      await (await fetch(at(`/reference/${format}`), { method: 'POST', body: JSON.stringify(ids) })).arrayBuffer(),
    );
    for (const kernels of format === 'int4' ? ['baseline', 'auto', 'subgroups', 'dot4'] : ['dot4']) {
      const model = await open(`/models/${format}/`, { kernels, chunk: 1 }); // so that these kernels process the prompt, too
      const trials = (await model.stats()).kernels.filter((t) => t.packing.startsWith(`${format}/`));
      const chosen = trials.filter((t) => t.chosen).map((t) => t.kernel);
      if (kernels === 'baseline') equal(trials, [], 'trials');
      else if (kernels !== 'auto')
        check(
          chosen.length > 0 && chosen.every((k) => k === `matvec_${kernels}`),
          `${format}: chosen kernels are ${chosen}`,
        );
      else
        check(
          trials.length >= 2 &&
            trials.every((t) =>
              wellTried(
                t,
                trials.filter((o) => o.packing === t.packing),
              ),
            ),
          JSON.stringify(trials),
        );
      const r = relRMS(await model.logits(ids, 0), reference);
      check(r <= 1e-3, `${format} with ${kernels}: logits are off by a relative RMS of ${r}`);
      await model.dispose();
    }
  }
  if (!has.f16) await fails('invalid-argument', () => open('/models/int4/', { kernels: 'f16' }));
  await fails('invalid-argument', () => open('/models/int4/', { kernels: 'fast' }));
};

tests['the article’s code'] = async () => {
  const want = (await expected()).models.int4;
  // What the code takes from elsewhere: the tokenizer, the prompt, and sample.
  const other = await loadModel(await device(), { manifestUrl: at('/models/m/'), cache: false });
  Object.assign(globalThis, { tokenizer: other.tokenizer, prompt: want.prompt, sample });
  const code = await (await fetch(at('/test/article.js'))).text();
  const { model, transformer, tokens, logits, nextId } = await importText(
    `${code}\nexport { model, transformer, tokens, logits, nextId };\n`,
  );
  await other.dispose();
  equal(Array.from(tokens), want.promptTokens, 'tokens');
  equal(sample(logits, { temperature: 0 }), want.tokens[0], 'greedy token');
  check(Number.isInteger(nextId) && nextId >= 0 && nextId < logits.length, `sampled token ${nextId}`);

  // Only new tokens are computed, which does not change the result.
  const longer = [...tokens, want.tokens[0]];
  const cached = await transformer.forward(longer);
  equal(sample(cached, { temperature: 0 }), want.tokens[1], 'second greedy token');
  await transformer.reset();
  check(relRMS(await transformer.forward(longer), cached) < 1e-3, 'logits from the cache differ from those without it');
  const back = await transformer.forward(tokens);
  check(relRMS(back, logits) < 1e-3, 'logits after going back differ');
  await fails('invalid-argument', async () => new Transformer(model.device, model, { kernelSet: 'int8' }));
  await fails('invalid-argument', () => transformer.forward([]));
  await transformer.dispose();
  await model.dispose();
  empty(model.memory());
  model.device.destroy();
};

tests['sample: top-k, top-p, min-p, temperature, seed'] = async () => {
  const logits = Float32Array.from([0, 3, 1, 2.5, -1]);
  equal(sample(logits, { temperature: 0 }), 1, 'greedy');
  for (let seed = 0; seed < 200; seed++) {
    check([1, 3].includes(sample(logits, { topK: 2, seed })), 'top-k lets another token through');
    check([1, 3].includes(sample(logits, { topP: 0.8, seed })), 'top-p lets another token through');
    check([1, 3].includes(sample(logits, { minP: 0.5, seed })), 'min-p lets another token through');
    equal(sample(logits, { seed }), sample(logits, { seed }), 'the same seed');
  }
  const seen = new Set(Array.from({ length: 500 }, (_, seed) => sample(logits, { seed, temperature: 2 })));
  equal(seen.size, 5, 'kinds of tokens at temperature 2');
  await fails('invalid-argument', async () => sample(logits, { topP: 2 }));
  await fails('invalid-argument', async () => sample(Float32Array.of(NaN), 0.9));
};

tests['sample draws as the sampler in Go does'] = async () => {
  for (const { logits, options, counts } of (await expected()).samples) {
    const n = counts.reduce((a, b) => a + b, 0);
    const here = counts.map(() => 0);
    for (let seed = 0; seed < n; seed++) here[sample(Float32Array.from(logits), { ...options, seed })]++;
    for (const [id, count] of counts.entries()) {
      const what = `token ${id} of ${logits} with ${JSON.stringify(options)}: drawn ${here[id]} of ${n} times, in Go ${count} times`;
      check(here[id] > 0 === count > 0, what);
      check(Math.abs(here[id] - count) <= 5 * Math.sqrt(2 * count * (1 - count / n)), what); // five standard deviations
    }
  }
};

tests['stop, abort, break, one at a time, chat'] = async () => {
  const want = (await expected()).models.int4;
  const model = await open('/models/int4/');
  const whole = want.text;
  const stop = whole.slice(6, 10);
  equal(
    await all(model.generate(want.prompt, { maxTokens: want.tokens.length, temperature: 0, stop })),
    whole.slice(0, whole.indexOf(stop)),
    'text before the stop string',
  );
  equal((await model.stats()).end, 'stop', 'why it ended');

  const ender = new AbortController();
  await fails('aborted', async () => {
    for await (const _ of model.generate(want.prompt, { maxTokens: 50, temperature: 0, signal: ender.signal }))
      ender.abort();
  });
  for await (const _ of model.generate(want.prompt, { maxTokens: 50 })) break;
  const first = model.generate(want.prompt, { maxTokens: 3 });
  await first.next();
  await fails('busy', () => all(model.generate(want.prompt, { maxTokens: 3 })));
  await first.return();
  const again = [];
  await all(model.generate(want.prompt, { maxTokens: 4, temperature: 0, onToken: (t) => again.push(t.id) }));
  equal(again, want.tokens.slice(0, 4), 'greedy tokens after all that');

  await fails('invalid-argument', () => all(model.chat([{ role: 'user', content: 'x' }])));
  await fails('invalid-argument', () => all(model.generate('x', { temperature: -1 })));
  await fails('invalid-argument', () => all(model.generate('x', { stop: '' })));
  await model.dispose();

  const chatty = await open('/bad/chat/int4/manifest.json');
  check(chatty.info.hasChat, 'the chat template is not seen');
  const answers = [];
  await all(
    chatty.chat([{ role: 'user', content: want.prompt }], {
      maxTokens: 4,
      temperature: 0,
      onToken: (t) => answers.push(t.id),
    }),
  );
  equal(answers, want.tokens.slice(0, 4), 'the answer to a template that is just BOS and the text');
  await chatty.dispose();
};

tests['errors say what is wrong'] = async () => {
  const damaged = await fails('corrupt', () => open('/bad/flip/int4/'));
  check(
    /tensor "model\.layers\.\d+\.[\w.]+": .*sha256/.test(damaged.message),
    `the message names no tensor: ${damaged.message}`,
  );
  await fails('not-found', () => open('/models/nothing/'));
  await fails('corrupt', () => open('/bad/short/int4/'));
  await fails('unsupported-version', () => open('/bad/version/int4/'));
  await fails('corrupt', () => open('/bad/nojson/int4/'));
  await fails('corrupt', () => open('/bad/vocab/int4/'));
  await fails('aborted', () => open('/models/int4/', { signal: AbortSignal.abort() }));
  const ender = new AbortController();
  await fails('aborted', () => open('/models/int4/', { signal: ender.signal, onProgress: () => ender.abort() }));
  await fails('invalid-argument', () => open('/models/int4/', { maxBatch: 0 }));
  await fails('invalid-argument', () => open('/models/int4/', { maxSeqLen: 2e6 }));
  const d = await device();
  const limited = new Proxy(d, {
    get: (o, k) =>
      k === 'limits'
        ? new Proxy(o.limits, { get: (l, n) => (n === 'maxStorageBufferBindingSize' ? 256 : l[n]) })
        : typeof o[k] === 'function'
          ? o[k].bind(o)
          : o[k],
  });
  const small = await fails('too-large', () => load(at('/models/int4/'), { device: limited, cache: false }));
  check(/binding limit of 256 bytes/.test(small.message), small.message);
  const full = await fails('out-of-memory', () =>
    load(at('/models/int4/'), { device: fullDevice(d, 300e3), cache: false }),
  );
  check(/MiB are needed \(.*weights.*\).*\d+ bytes asked for/.test(full.message), full.message);
};

/** A device that has no room for buffers of more than `most` bytes. */
function fullDevice(real, most) {
  let full = false;
  const own = {
    createBuffer(o) {
      full ||= o.size > most;
      return real.createBuffer(o.size > most ? { ...o, size: 4 } : o);
    },
    async popErrorScope() {
      const error = await real.popErrorScope();
      const none = full ? { message: 'there is no room' } : error;
      full = false;
      return none;
    },
  };
  return new Proxy(real, { get: (o, k) => own[k] ?? (typeof o[k] === 'function' ? o[k].bind(o) : o[k]) });
}

tests['the device is lost; the model is disposed of while it generates'] = async () => {
  const options = { device: undefined, maxSeqLen: 64, chunk: 16 };
  const own = await gpuDevice();
  const lost = await open('/models/int2/', { ...options, device: own });
  own.destroy();
  await fails('device-lost', () => all(lost.generate('It was', { maxTokens: 2 })));
  await lost.dispose();

  const model = await open('/models/int2/', options);
  const pieces = model.generate('It was', { maxTokens: 50 });
  await pieces.next();
  const over = model.dispose();
  await fails('disposed', async () => {
    for (let i = 0; i < 3; i++) await pieces.next();
  });
  await over;
  await fails('disposed', () => all(model.generate('It was')));
};

tests['a broken connection is resumed; a server without ranges works'] = async () => {
  const want = (await expected()).models.int4;
  for (const path of ['/bad/flaky/int4/', '/bad/norange/int4/']) {
    let received = 0;
    const model = await open(path, {
      onProgress: (p) => {
        received = p.received;
      },
    });
    check(received < 1.2 * model.info.bytes, `${path}: ${received} bytes were received for ${model.info.bytes}`);
    const tokens = [];
    await all(model.generate(want.prompt, { maxTokens: 2, temperature: 0, onToken: (t) => tokens.push(t.id) }));
    equal(tokens, want.tokens.slice(0, 2), `${path}: greedy tokens`);
    await model.dispose();
  }
};

tests['a model in parts'] = async () => {
  const want = (await expected()).models.int4;
  const { files } = await (await fetch(at('/models/parts/manifest.json'))).json();
  check(
    files.length > 2 && files.every((f) => /^model-\d{5}-of-\d{5}\.wgpu$/.test(f.name)),
    `the bundle's files are ${JSON.stringify(files)}`,
  );
  for (const options of [{}, { weightUrl: at('/models/parts/') }]) {
    const model = await open('/models/parts/', options);
    const tokens = [];
    await all(model.generate(want.prompt, { maxTokens: 2, temperature: 0, onToken: (t) => tokens.push(t.id) }));
    equal(tokens, want.tokens.slice(0, 2), 'greedy tokens');
    await model.dispose();
  }
};

tests['fifty times load, generate, dispose'] = async () => {
  let after;
  let first;
  for (let i = 0; i < 50; i++) {
    const model = await open('/models/int2/', { maxSeqLen: 64, chunk: 16 });
    const tokens = [];
    await all(model.generate('It was', { maxTokens: 1, temperature: 0, onToken: (t) => tokens.push(t.id) }));
    first ??= tokens;
    equal(tokens, first, `tokens in round ${i}`);
    await model.dispose();
    const stats = await model.stats();
    empty(stats.memory);
    if (i === 9) after = stats;
    if (i > 9) {
      // The bytes in use are exact, except for a few JavaScript objects that wait for their own collector; those reserved are not.
      check(
        stats.heapBytes <= after.heapBytes + 100e3,
        `the heap grew from ${after.heapBytes} to ${stats.heapBytes} by round ${i}`,
      );
      check(
        stats.wasmBytes <= after.wasmBytes + (2 << 20),
        `WebAssembly memory grew from ${after.wasmBytes} to ${stats.wasmBytes} by round ${i}`,
      );
      equal(stats.pipelines, after.pipelines, 'kernels compiled');
    }
  }
};

tests['five gigabytes pass through'] = async () => {
  // The GPU is a fake that stores nothing, and so is the server, which makes up the bytes; all between them is real.
  const fake = fakeDevice(await device());
  const { manifest, tensors } = await (await fetch(at('/test/large.json'))).json();
  const size = manifest.files[0].size;
  check(size > 5e9, `the model has ${size} bytes`);
  let inFlight = 0;
  let most = 0;
  let largest = 0;
  let read = 0;
  const pattern = new Uint8Array(await (await fetch(at('/test/pattern.bin'))).arrayBuffer());
  const header = new Uint8Array(await (await fetch(at('/test/large.head'))).arrayBuffer());
  const fetchLarge = async (url, init) => {
    if (url.endsWith('manifest.json')) return new Response(JSON.stringify(manifest));
    const [, from, to] = /bytes=(\d+)-(\d+)/.exec(init.headers.Range).map(Number);
    most = Math.max(most, ++inFlight);
    largest = Math.max(largest, to - from + 1);
    await new Promise((resolve) => setTimeout(resolve));
    inFlight--;
    read += to + 1 - from;
    const bytes = new Uint8Array(to + 1 - from);
    for (let n = 0; n < bytes.length; ) {
      // each tensor repeats the pattern from its start
      const offset = from + n;
      if (offset < header.length) {
        bytes.set(header.subarray(offset, offset + bytes.length - n), n);
        n += header.length - offset;
        continue;
      }
      const t = tensors.findLast((x) => x.offset <= offset);
      const begin = (offset - t.offset) % pattern.length;
      const part = pattern.subarray(begin, begin + Math.min(bytes.length - n, t.offset + t.space - offset));
      bytes.set(part, n);
      n += part.length;
    }
    return new Response(bytes, { status: 206, headers: { 'Content-Range': `bytes ${from}-${to}/${size}` } });
  };
  const model = await loadModel(fake, {
    manifestUrl: at('/large/manifest.json'),
    cache: false,
    fetch: fetchLarge,
    kernels: 'baseline',
  });
  check(read >= size - 4096, `${read} of ${size} bytes were read`);
  check(most > 1, 'never more than one request in flight');
  check(largest <= 8 << 20, `one request for ${largest} bytes`);
  check(fake.written > 0.98 * size, `${fake.written} bytes were written to the GPU`);
  check(fake.largestWrite <= 32 << 20, `one write of ${fake.largestWrite} bytes`);
  check(model.runtime.wasmBytes < 128 << 20, `WebAssembly took ${model.runtime.wasmBytes} bytes`);
  await model.dispose();
};

/** A GPUDevice whose buffers have a size, but no content. */
function fakeDevice(real) {
  const nothing = async () => null;
  const device = {
    written: 0,
    largestWrite: 0,
    adapterInfo: real.adapterInfo,
    features: real.features,
    lost: new Promise(() => {}),
    limits: new Proxy(real.limits, {
      get: (l, k) => (k === 'maxBufferSize' || k === 'maxStorageBufferBindingSize' ? 2 ** 31 : l[k]),
    }),
    addEventListener() {},
    removeEventListener() {},
    pushErrorScope() {},
    popErrorScope: nothing,
    createBuffer: ({ size }) => ({ size, destroy() {} }),
    createBindGroupLayout: () => ({}),
    createPipelineLayout: () => ({}),
    createShaderModule: () => ({}),
    createComputePipeline: () => ({}),
    createBindGroup: () => ({}),
    createCommandEncoder: () => ({
      beginComputePass: () => ({ setPipeline() {}, setBindGroup() {}, dispatchWorkgroups() {}, end() {} }),
      copyBufferToBuffer() {},
      finish() {},
    }),
    queue: {
      submit() {},
      onSubmittedWorkDone: nothing,
      writeBuffer(_buffer, _offset, _data, _from, n) {
        device.written += n;
        device.largestWrite = Math.max(device.largestWrite, n);
      },
    },
  };
  return device;
}

if (!node) {
  tests['in a Worker'] = async () => {
    const { load: loadInWorker } = await import('llama-webgpu/worker');
    const want = (await expected()).models.int4;
    let progress = 0;
    const model = await loadInWorker(at('/models/int4/'), {
      cache: false,
      maxSeqLen: 256,
      onProgress: () => {
        progress++;
      },
    });
    check(progress > 0, 'no progress is told');
    const tokens = [];
    const text = await all(
      model.generate(want.prompt, { maxTokens: want.tokens.length, temperature: 0, onToken: (t) => tokens.push(t.id) }),
    );
    equal([tokens, text], [want.tokens, want.text], 'greedy tokens and text');
    const ender = new AbortController();
    await fails('aborted', async () => {
      for await (const _ of model.generate(want.prompt, { maxTokens: 200, temperature: 0, signal: ender.signal }))
        ender.abort();
    });
    for await (const _ of model.generate(want.prompt, { maxTokens: 200 })) break;
    equal(Array.from(await model.encode(want.prompt)), want.promptTokens, 'tokens of the prompt');
    equal((await model.stats()).device.type, 'cpu', 'kind of device');
    await model.dispose();
    await fails('disposed', () => model.stats());
    await fails('not-found', () => loadInWorker(at('/models/nothing/')));
    await fails('corrupt', () => loadInWorker(at('/bad/flip/int4/'), { cache: false }));
  };

  tests['the second load needs no network; cached models can be deleted'] = async () => {
    const want = (await expected()).models.int4;
    await deleteCached();
    const run = async (path) => {
      const model = await open(path, { cache: true });
      const tokens = [];
      await all(model.generate(want.prompt, { maxTokens: 2, temperature: 0, onToken: (t) => tokens.push(t.id) }));
      equal(tokens, want.tokens.slice(0, 2), 'greedy tokens');
      const stats = await model.stats();
      const { cache } = model.info;
      await model.dispose();
      return [cache.where, stats.fromCache];
    };
    equal(await run('/bad/switched/int4/'), ['opfs', false], 'the first load');
    equal(
      (await cachedModels()).map((m) => m.url),
      [at('/bad/switched/int4/manifest.json')],
      'cached models',
    );
    await fetch(at('/test/offline?on=1'), { method: 'POST' });
    try {
      equal(await run('/bad/switched/int4/'), ['opfs', true], 'the second load');
    } finally {
      await fetch(at('/test/offline?on=0'), { method: 'POST' });
    }
    await damageCache();
    equal(await run('/bad/switched/int4/'), ['none', false], 'a load with a damaged cache');
    await deleteCached(at('/bad/switched/int4/'));
    equal(await cachedModels(), [], 'cached models after all are deleted');

    // Where there is no room, the model works nevertheless, and says why it is not cached.
    const { estimate } = navigator.storage;
    navigator.storage.estimate = async () => ({ quota: 2e6, usage: 1e6 });
    try {
      const model = await open('/models/int4/', { cache: true });
      check(
        model.info.cache.where === 'none' && /takes \d\.\d MB.*1\.0 MB more/.test(model.info.cache.reason),
        JSON.stringify(model.info.cache),
      );
      await model.dispose();
    } finally {
      navigator.storage.estimate = estimate;
    }

    // Without a private file system, the Cache API is used.
    const { getDirectory } = navigator.storage;
    navigator.storage.getDirectory = async () => {
      throw new Error('not here');
    };
    try {
      equal(await run('/models/int4/'), ['cache-api', false], 'the first load with the Cache API');
      equal(await run('/models/int4/'), ['cache-api', true], 'the second load with the Cache API');
      await deleteCached(at('/models/int4/'));
      equal(await cachedModels(), [], 'cached models in the Cache API');
    } finally {
      navigator.storage.getDirectory = getDirectory;
    }
  };
}

/** Flips a bit in the middle of the first cached block. */
async function damageCache() {
  const root = await (await navigator.storage.getDirectory()).getDirectoryHandle('llama-webgpu');
  for await (const dir of root.values()) {
    const file = await dir.getFileHandle('block-0-0');
    const bytes = new Uint8Array(await (await file.getFile()).arrayBuffer());
    bytes[bytes.length >> 1] ^= 16;
    const w = await file.createWritable();
    await w.write(bytes);
    await w.close();
  }
}

/** Runs the tests whose names match, and reports each. */
export async function run(tell, match = /./) {
  for (const [name, test] of Object.entries(tests)) {
    if (!match.test(name)) continue;
    const begun = performance.now();
    let error = null;
    try {
      await test();
    } catch (e) {
      error = `${e.message}\n${e.stack}`;
    }
    tell({ name, error, seconds: (performance.now() - begun) / 1000 });
  }
}
