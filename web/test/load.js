// How the package loads and caches models, and what it says when it cannot.
import { benchmark, forgetTuning, load } from 'llama-webgpu';
import { cachedModels, deleteCached, loadModel } from 'llama-webgpu/loader';
import { fakeDevice, fullDevice } from './devices.js';
import { all, at, check, device, empty, equal, expected, fails, node, open } from './lib.js';

export const tests = {};

tests['errors say what is wrong'] = async () => {
  const damaged = await fails('corrupt', () => open('/bad/flip/int4/'));
  check(
    /tensor "model\.layers\.\d+\.[\w.]+": .*sha256/.test(damaged.message),
    `the message names no tensor: ${damaged.message}`,
  );
  await fails('not-found', () => open('/models/nothing/'));
  await fails('corrupt', () => open('/bad/short/int4/'));
  await fails('unsupported-version', () => open('/bad/version/int4/'));
  for (const kind of ['html-manifest', 'html-vocab', 'html-weights']) {
    const page = await fails('not-found', () => open(`/bad/${kind}/int4/`));
    check(/HTML page instead of the file/.test(page.message), page.message);
  }
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
  check(/MiB are needed \(.*weights.*\).*\d+ bytes requested/.test(full.message), full.message);
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

if (!node) {
  // The page is where memory is scarce; fetch and the GPU are made up, so that Node would run the same once more.
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

  tests['another origin that only allows any origin'] = async () => {
    const elsewhere = at('/bad/cors/int4/').replace('127.0.0.1', 'localhost');
    check(new URL(elsewhere).origin !== location.origin, `${elsewhere} is the same origin`);
    const model = await open(elsewhere);
    equal(model.info.format, 'int4', 'format');
    await model.dispose();
  };

  tests['a bundle replaced at the same address'] = async () => {
    const url = at('/bad/replaced/int4/');
    const visit = async (cache) => {
      const model = await open(url, { cache });
      const { fromCache } = await model.stats();
      await model.dispose();
      return [model.info.format, fromCache];
    };
    const replace = (on) => fetch(at(`/test/replaced?on=${on}`), { method: 'POST' });
    try {
      equal(await visit(true), ['int4', false], 'the first visit');
      equal(await visit(false), ['int4', false], 'a visit without a cache');
      await replace(1);
      equal(await visit(false), ['int2', false], 'replaced, without a cache');
      equal(await visit(true), ['int2', false], 'replaced, with a cached copy of the old one');
      equal(await visit(true), ['int2', true], 'the visit after that');
    } finally {
      await replace(0);
      await deleteCached(url);
    }
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

tests['what a benchmark finds is kept until it ends, and the next load uses it'] = async () => {
  await forgetTuning();
  const ender = new AbortController();
  const seen = [];
  const options = { device: await device(), quick: true, tokens: [1], signal: ender.signal };
  const onProgress = ({ done, total, now }) => {
    seen.push(now);
    check(total > 2, `${total} searches`);
    if (done === 1) ender.abort();
  };
  const ended = await fails('aborted', () => benchmark(at('/models/int4/'), { ...options, onProgress }));
  equal([ended.kept, ended.reason], [true, undefined], 'what became of the results');
  check(seen.length === 2 && seen[0].startsWith('matvec int4/'), `searches: ${JSON.stringify(seen)}`);
  const load = (options) => loadModel(options.device, { manifestUrl: at('/models/int4/'), cache: false, ...options });
  for (const [tuning, want] of [
    [undefined, 1],
    [false, 0],
  ]) {
    const model = await load({ device: await device(), tuning });
    equal(model.tuned, want, 'choices in use');
    await model.dispose();
  }
  await forgetTuning();
  const model = await load({ device: await device() });
  equal(model.tuned, 0, 'choices in use after they were forgotten');
  await model.dispose();
  for (const bad of [{ tokens: 1 }, { tokens: [0] }, { tokens: [] }, { quick: 'yes' }, { keep: 1 }])
    await fails('invalid-argument', () => benchmark(null, bad));
  const own = new Error('mine');
  const thrown = await benchmark(null, { ...options, signal: undefined, onProgress: () => { throw own; } }).catch((e) => e); // biome-ignore format: short
  check(thrown === own, `an error of the caller's: ${thrown}`);
};
