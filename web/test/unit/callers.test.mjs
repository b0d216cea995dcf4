// What careless callers pass in, and what comes back. No GPU is needed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { messages, onAbort, tokenIds } from '../../dist/arguments.js';
import { withSystem } from '../../dist/conversation.js';
import { LlamaError, load as loadHere, sample } from '../../dist/index.js';
import { loadModel } from '../../dist/loader.js';
import { installWebGPU, load as loadNode } from '../../dist/node.js';
import { loadOptions, textOptions, transformerOptions } from '../../dist/options.js';
import { benchmark, load } from '../../dist/worker.js';

/** What Vue, Svelte and MobX make of objects. */
const reactive = (o) =>
  new Proxy(o, {
    get(target, key) {
      const v = Reflect.get(target, key);
      return typeof v === 'object' && v !== null ? reactive(v) : v;
    },
  });

/** Fails unless f throws a LlamaError with this code, whose message names something. */
async function refused(f, name, code = 'invalid-argument') {
  await assert.rejects(
    async () => f(),
    (e) => {
      assert.ok(e instanceof LlamaError, `not a LlamaError: ${e}`);
      assert.equal(e.code, code, e.message);
      assert.ok(e.message.includes(name), `${e.message} does not name ${name}`);
      return true;
    },
  );
}

test('in Node without WebGPU, the error says what to install and import', async () => {
  await refused(
    () => loadHere('http://127.0.0.1:1/'),
    'npm install webgpu, and import llama-webgpu/node',
    'webgpu-unavailable',
  );
});

test('numbers of a text: taken, or refused by name', async () => {
  const bad = ['1', '', NaN, 1n, -2, {}, [], true, () => 1, Symbol('x')];
  for (const name of [
    'maxTokens',
    'temperature',
    'topK',
    'topP',
    'minP',
    'repeatPenalty',
    'repeatLast',
    'seed',
    'keep',
    'presencePenalty',
    'frequencyPenalty',
    'typicalP',
    'xtcProbability',
    'xtcThreshold',
    'dynamicTemperatureRange',
    'dynamicTemperatureExponent',
    'dryMultiplier',
    'dryBase',
    'dryAllowedLength',
    'dryLast',
  ])
    for (const v of bad)
      if (!(v === -2 && /seed|(presence|frequency)Penalty/.test(name)))
        await refused(() => textOptions({ [name]: v }), name);
  for (const name of ['maxTokens', 'topK', 'repeatLast', 'seed', 'keep'])
    await refused(() => textOptions({ [name]: 1.5 }), name);
  for (const name of ['topP', 'minP']) await refused(() => textOptions({ [name]: 1.5 }), name);
  for (const name of ['temperature', 'repeatPenalty', 'topK', 'seed'])
    await refused(() => textOptions({ [name]: Infinity }), name);
  for (const v of [3, { x: 1 }, { 1: '2' }, { 1: NaN }, [[1.5, 2]], [[-1, 2]], [1]])
    await refused(() => textOptions({ logitBias: v }), 'logitBias');
  for (const v of [
    { 5: 1, 7: -Infinity },
    new Map([
      [5, 1],
      [7, -Infinity],
    ]),
  ])
    assert.deepEqual(textOptions({ logitBias: v }).logitBias, [
      [5, 1],
      [7, -Infinity],
    ]);
  await refused(() => textOptions({ dryBreakers: [1] }), 'dryBreakers');
  await refused(() => textOptions({ onOverflow: 'drop' }), 'onOverflow');
  await refused(() => textOptions({ jsonSchema: '{}' }), 'jsonSchema');
  const endless = {};
  endless.endless = endless;
  await refused(() => textOptions({ jsonSchema: endless }), 'jsonSchema');
  await refused(() => textOptions({ grammar: 3 }), 'grammar');
  await refused(() => textOptions({ grammar: 'root ::= "a"', jsonSchema: true }), 'grammar');
  const formed = textOptions({ jsonSchema: new Proxy({ type: 'null' }, {}) });
  assert.equal(formed.schema, '{"type":"null"}');
  assert.deepEqual(textOptions(formed), formed);
  assert.deepEqual(
    textOptions({ maxTokens: null, temperature: undefined, topK: 0, minP: 0.5, repeatLast: -1, unknown: () => 1 }),
    { topK: 0, minP: 0.5, repeatLast: -1, stop: [] },
  );
  assert.equal(textOptions({ maxTokens: Infinity }).maxTokens, 2 ** 31 - 1);
});

test('seed -1 is random, topP 0 is greedy', () => {
  assert.deepEqual(textOptions({ seed: -1, topP: 0, temperature: 2 }), { temperature: 0, stop: [] });
  const logits = Float32Array.of(0, 0.1, 0, 0);
  const drawn = (o) => new Set(Array.from({ length: 200 }, () => sample(logits, o)));
  assert.equal(drawn({ seed: -1 }).size, 4);
  assert.deepEqual([...drawn({ topP: 0, temperature: 2 })], [1]);
  assert.deepEqual([...drawn(0)], [1]);
});

test('sample refuses what is no number', async () => {
  for (const o of ['0.9', { topP: '0.9' }, { seed: 1.5 }, { seed: 2n }, { temperature: -1 }])
    await refused(() => sample(Float32Array.of(1, 2), o), '');
  await refused(() => sample('logits'), 'logits');
  await refused(() => sample(), 'logits');
});

test('options of a load', async () => {
  for (const name of ['maxBatch', 'maxSeqLen', 'chunk'])
    for (const v of ['8', NaN, 0, -1, 1.5, 2n, 1e9]) await refused(() => transformerOptions({ [name]: v }), name);
  await refused(() => transformerOptions({ kvBits: '16' }), 'kvBits');
  for (const v of ['4', 0, NaN, 2n]) await refused(() => loadOptions({ concurrency: v }), 'concurrency');
  await refused(() => loadOptions({ onProgress: 'x' }), 'onProgress');
  await refused(() => loadOptions({ signal: {} }), 'signal');
  for (const v of [1, '', 'fast']) await refused(() => loadOptions({ kernels: v }), 'kernels');
  for (const v of ['no', 0, () => true, {}]) await refused(() => loadOptions({ cache: v }), 'cache');
  for (const v of [1, {}, () => {}]) await refused(() => loadOptions({ wasm: v }), 'wasm');
  await refused(() => loadOptions({ onWarning: 'x' }), 'onWarning');
  await refused(() => loadNode('http://[/'), 'cannot be read');
  await refused(() => loadNode('x', 'options'), 'options');
  await refused(() => installWebGPU('flags'), 'flags');
  for (const f of [load, loadHere, loadNode])
    for (const url of [undefined, null, 5, '', {}]) await refused(() => f(url, { device: {} }), '');
  await refused(() => loadHere('http://x/', { device: {} }), 'device');
  await refused(() => loadHere('http://x/', 'options'), 'options');
  await refused(() => loadModel({ createBuffer() {} }, {}), 'address');
  for (const f of [load, benchmark]) {
    await refused(() => f('http://x/', { device: {} }), 'device');
    await refused(() => f('http://x/', { fetch: () => {} }), 'fetch');
    await refused(() => f('http://x/', { worker: {} }), 'worker');
    await refused(() => f('', {}), 'address');
  }
});

test('the role developer is system to a chat template', () => {
  const said = ['developer', 'system', 'user'].map((role) => ({ role, content: role }));
  assert.deepEqual(
    withSystem(said).map((m) => [m.role, m.content]),
    [
      ['system', 'developer'],
      ['system', 'system'],
      ['user', 'user'],
    ],
  );
});

test('what getters throw is an invalid argument', async () => {
  for (const thrown of [new Error('mine'), 'mine', Symbol('mine')]) {
    const o = {
      get kernels() {
        throw thrown;
      },
      get device() {
        throw thrown;
      },
    };
    for (const f of [load, loadHere, loadNode]) await refused(() => f('http://x/', o), 'mine');
  }
});

test('messages are copied plainly', () => {
  const given = [
    { role: 'user', content: 'Hello', name: 'A', el: new (class El {})(), f() {}, n: 1n, tags: ['x', null] },
  ];
  const want = [{ name: 'A', tags: ['x', null], role: 'user', content: 'Hello' }];
  for (const m of [given, reactive(given)]) {
    const got = messages(m);
    assert.deepEqual(got, want);
    structuredClone(got);
  }
  class Message {
    get role() {
      return 'user';
    }
    get content() {
      return 'Hello';
    }
  }
  assert.deepEqual(messages([new Message()]), [{ role: 'user', content: 'Hello' }]);
  const parts = [
    {
      role: 'user',
      content: [
        { type: 'text', text: 'Hel' },
        { type: 'text', text: 'lo' },
      ],
    },
  ];
  assert.equal(messages(reactive(parts))[0].content, 'Hello');
  const calls = [{ role: 'assistant', content: null, tool_calls: [{ function: { name: 'f', arguments: '{}' } }] }];
  assert.deepEqual(messages(calls), [{ ...calls[0], content: '' }]);
});

test('messages that are none are refused', async () => {
  for (const m of ['Hello', undefined, null, {}, 5]) await refused(() => messages(m), 'messages');
  await refused(() => messages([]), 'messages');
  for (const m of ['Hello', null, [], 5]) await refused(() => messages([m]), 'messages[0]');
  for (const role of [undefined, '', 5]) await refused(() => messages([{ role, content: '' }]), 'messages[0].role');
  for (const content of [undefined, null, 5, {}])
    await refused(() => messages([{ role: 'user', content }]), '[0].content');
  await refused(() => messages([{ role: 'user', content: [{ type: 'image_url' }] }]), '[0].content[0]');
  const circle = { role: 'user', content: '' };
  circle.self = circle;
  await refused(() => messages([circle]), 'circle');
});

test('token ids', async () => {
  for (const v of ['abc', 5, null, undefined, {}]) await refused(() => tokenIds('tokens', v), 'tokens');
  for (const v of ['1', NaN, 1n, -1, 1.5, 100, null]) await refused(() => tokenIds('tokens', [1, v], 100), 'tokens[1]');
  for (const v of [[1, 2], Int32Array.of(1, 2), new Set([1, 2]), { length: 2, 0: 1, 1: 2 }, reactive([1, 2])])
    assert.deepEqual([...tokenIds('tokens', v, 100)], [1, 2]);
  function* endless() {
    for (;;) yield 1;
  }
  for (const v of [new Int32Array(2 ** 21), { length: 2 ** 40 }, { length: NaN }, endless()])
    await refused(() => tokenIds('tokens', v), 'tokens', 'too-large');
});

test('a signal that is a proxy', async () => {
  const ender = new AbortController();
  const { signal } = reactive({ signal: ender.signal });
  const aborted = new Promise((resolve) => onAbort(signal, resolve));
  ender.abort();
  await aborted;
});

/** A Worker in this thread: answer(message, post) is called with each message, which is cloned on the way. */
class FakeWorker {
  terminated = false;
  timers = new Set();

  constructor(answer) {
    this.answer = answer;
  }
  postMessage(message) {
    const m = structuredClone(message);
    queueMicrotask(() => this.answer(m, (reply) => this.onmessage({ data: structuredClone(reply) })));
  }
  terminate() {
    this.terminated = true;
    for (const timer of this.timers) clearInterval(timer);
  }
}

/** A Worker with a model that writes one token after the other, unless stuck.now is set. */
function writer(stuck = {}) {
  const running = new Map();
  const worker = new FakeWorker(({ id, call, abort }, post) => {
    if (stuck.now) return;
    if (abort) {
      post({ id, alive: true });
      clearInterval(running.get(id));
      post({ id, error: { code: 'aborted', message: 'aborted' } });
    } else if (call.op === 'load') {
      post({ id, progress: { loaded: 1, total: 2, received: 1, rate: 1 } });
      setTimeout(() => post({ id, value: { info: {}, device: {} } }), 20);
    } else if (call.op === 'generate' || call.op === 'chat') {
      running.set(
        id,
        setInterval(() => {
          if (stuck.now) return;
          post({ id, token: { id: 7, ms: 1 } });
          post({ id, text: 'x' });
        }, 5),
      );
      worker.timers.add(running.get(id));
    } else post({ id, value: call });
  });
  return worker;
}

test('in a Worker: a callback that throws rejects its call with the caller’s own error', async () => {
  const mine = new TypeError('mine');
  const throwers = {
    sync: () => {
      throw mine;
    },
    async: async () => {
      throw mine;
    },
  };
  for (const [how, f] of Object.entries(throwers)) {
    const failing = writer();
    await assert.rejects(load('http://x/', { worker: failing, onProgress: f }), (e) => e === mine, how);
    assert.ok(failing.terminated);
    const model = await load('http://x/', { worker: writer() });
    await assert.rejects(
      async () => {
        for await (const _ of model.generate('x', { onToken: f }));
      },
      (e) => e === mine,
    );
    const seen = [];
    for await (const text of model.generate('x', { onToken: (t) => seen.push(t.id) })) if (text) break;
    assert.deepEqual(seen.slice(0, 1), [7], 'the model does not work any more');
    await model.dispose();
  }
});

test('in a Worker: what is sent can be cloned', async () => {
  const model = await load('http://x/', {
    worker: writer(),
    wasm: new URL('http://x/y.wasm'),
    cache: reactive({}) && true,
  });
  const first = async (pieces) => {
    for await (const text of pieces) return text;
  };
  const options = reactive({ stop: ['y'], foo: () => 1, maxTokens: 4 });
  assert.equal(await first(model.generate('x', options)), 'x');
  assert.equal(await first(model.chat(reactive([{ role: 'user', content: 'x', f() {} }]), options)), 'x');
  assert.equal(await first(model.generate('x', null)), 'x');
  for (const m of ['Hello', [], undefined]) await refused(() => first(model.chat(m)), 'messages');
  for (const p of [5, undefined, ['x']]) await refused(() => first(model.generate(p)), 'prompt');
  await refused(() => first(model.generate('x', { stop: [5] })), 'stop');
  await refused(() => first(model.generate('x', { onToken: 5 })), 'onToken');
  await refused(() => model.encode(5), 'text');
  await refused(() => model.decode('abc'), 'ids');
  await refused(() => model.logits([1, 2]), 'from');
  await refused(() => model.logits([1, 2], '0'), 'from');
  const hostile = new Proxy({}, { get: () => assert.fail('a getter throws') });
  await refused(() => first(model.generate('x', hostile)), 'a getter throws');
  await model.dispose();
});

test('a stuck Worker is terminated, and dispose() ends', { timeout: 30e3 }, async () => {
  const stuck = {};
  const worker = writer(stuck);
  const model = await load('http://x/', { worker });
  const pieces = model.generate('x');
  await pieces.next();
  stuck.now = true;
  const other = writer({});
  const second = await load('http://x/', { worker: other });
  other.answer = () => {};
  const asked = assert.rejects(second.stats(), { code: 'disposed' });
  const ender = new AbortController();
  const third = writer();
  const loading = load('http://x/', { worker: Object.assign(third, { answer: () => {} }), signal: ender.signal });
  ender.abort();
  await Promise.all([pieces.return(), second.dispose(), asked, assert.rejects(loading, { code: 'aborted' })]);
  await refused(() => model.stats(), 'stuck', 'runtime');
  await model.dispose();
  await refused(() => second.stats(), '', 'disposed');
  assert.ok(worker.terminated && other.terminated && third.terminated);
});
