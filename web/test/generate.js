// What the package generates and computes, and how it is stopped.
import { gpuDevice } from 'llama-webgpu/device';
import { loadModel } from 'llama-webgpu/loader';
import { openai } from 'llama-webgpu/openai';
import { languageModel } from 'llama-webgpu/prompt-api';
import { sample, Transformer } from 'llama-webgpu/transformer';
import { all, at, check, device, empty, equal, expected, fails, importText, node, open, relRMS } from './lib.js';

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

/** Whether a kernel was right in its trial, and was chosen if it was the fastest of those for its packing. */
function wellTried(trial, rivals) {
  const fastest = trial.speed >= 1.05 && trial.speed === Math.max(...rivals.map((o) => o.speed));
  return rivals.length >= 2 && trial.error === '' && trial.relativeRMS < 1e-4 && trial.chosen === fastest;
}

tests['kernels for the features of the device: right, and chosen by a trial'] = async () => {
  const d = await device();
  const has = {
    subgroups: d.features.has('subgroups'),
    dot4: Boolean(navigator.gpu.wgslLanguageFeatures?.has('packed_4x8_integer_dot_product')),
    f16: d.features.has('shader-f16'),
  };
  const firefox = navigator.userAgent?.includes('Firefox') ?? false; // which has no subgroups so far
  check(
    (has.subgroups || firefox) && has.dot4,
    `this test is for a device with subgroups and dot4I8Packed; it has ${JSON.stringify(has)}`,
  );
  for (const format of ['int8', 'int4', 'int2']) {
    const want = (await expected()).models[format];
    const ids = want.promptTokens.slice(0, 8);
    const reference = new Float32Array(
      await (await fetch(at(`/reference/${format}`), { method: 'POST', body: JSON.stringify(ids) })).arrayBuffer(),
    );
    const some = has.subgroups ? ['baseline', 'auto', 'subgroups', 'dot4'] : ['baseline', 'dot4'];
    for (const kernels of format === 'int4' ? some : ['dot4']) {
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
  if (!has.subgroups) await fails('invalid-argument', () => open('/models/int4/', { kernels: 'subgroups' }));
  if (!has.f16) await fails('invalid-argument', () => open('/models/int4/', { kernels: 'f16' }));
  await fails('invalid-argument', () => open('/models/int4/', { kernels: 'fast' }));
};

tests['the article’s code'] = async () => {
  const want = (await expected()).models.plain;
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

  // Appended tokens follow those of their own sequence, and from counts what is given.
  const two = new Transformer(model.device, model, { maxBatch: 2, maxSeqLen: 32 });
  await two.forward(tokens, { sequence: 0 });
  await two.forward(longer.toReversed(), { sequence: 1 });
  const appended = await two.forward([want.tokens[0]], { sequence: 0, append: true, from: 0 });
  check(relRMS(appended, cached) < 1e-3, 'logits of an appended token differ from those of the whole sequence');
  equal(
    (await two.forward([1, 2, 3], { sequence: 1, append: true, from: 1 })).length,
    2 * logits.length,
    'logits from 1 on',
  );

  // What is no number, or too long, is refused by name.
  for (const bad of [Number.NaN, 1.5, -1, '3', 10n]) {
    await fails('invalid-argument', () => two.forward([bad]));
    await fails('invalid-argument', () => two.generate(longer, { maxTokens: bad }));
    await fails('invalid-argument', () => two.generate(longer, { topK: bad }));
  }
  await fails('invalid-argument', () => two.forward(new Array(33).fill(5)));
  const text = async (options) => {
    const generation = await two.generate(new Array(40).fill(5), options);
    try {
      for (;;) {
        const piece = await generation.next();
        if (piece.end) return piece;
      }
    } finally {
      await generation.stop();
    }
  };
  await fails('invalid-argument', () => text({ maxTokens: 4 }));

  // Text that is held to a form: the model was never shown any JSON.
  const written = async (options) => {
    const generation = await transformer.generate(tokens, { temperature: 0, maxTokens: 60, ...options });
    let all = '';
    for (;;) {
      const piece = await generation.next();
      all += piece.text;
      if (piece.end) {
        await generation.stop();
        return { text: all, end: piece.end };
      }
    }
  };
  const age = { type: 'integer', minimum: 7, maximum: 99 };
  const schema = { type: 'object', properties: { age }, required: ['age'], additionalProperties: false };
  const person = await written({ jsonSchema: schema });
  equal(person.end, 'eos', `the end of ${person.text}`);
  check(JSON.parse(person.text).age >= 7, person.text);
  equal((await written({ grammar: 'root ::= " yes" | " no"' })).end, 'eos', 'the end of an answer');
  const unsupported = await fails('invalid-argument', () => written({ jsonSchema: { not: {} } }));
  check(unsupported.message.includes('#/not'), unsupported.message);
  equal(
    (await text({ maxTokens: 4, temperature: 1, topP: 0, onOverflow: 'truncate' })).stats.droppedTokens,
    11,
    'dropped tokens',
  );
  const shifted = (await text({ maxTokens: 40, stopTokens: [], seed: -1, onOverflow: 'shift', keep: 2 })).stats;
  check(shifted.droppedTokens > 23, `shift dropped ${shifted.droppedTokens}`);
  await two.dispose();
  await transformer.dispose();
  await model.dispose();
  empty(model.memory());
  model.device.destroy();
};

tests['what was disposed of meanwhile says so'] = async () => {
  const model = await loadModel(await device(), { manifestUrl: at('/models/int4/'), cache: false });
  const transformer = new Transformer(model.device, model);
  const go = await transformer.prepare();
  const raw = model.go;
  const text = await transformer.generate('It', {});
  const said = async (call) => (await call())?.failure?.code ?? 'nothing';
  const step = text.next(); // which closing waits for
  const over = model.dispose();
  equal(await said(() => go.generate('It', {})), 'disposed', 'a text that begins while its model is being disposed of');
  await over;
  await step.catch(() => {});
  equal(await said(() => go.generate('It', {})), 'disposed', 'a text that begins too late');
  equal(await said(() => raw.encode('It', true)), 'disposed', 'a text that is encoded too late');
  for (const late of [() => go.forward(Int32Array.of(1), {}), () => text.next()])
    equal(await late().then(String, (e) => e.code), 'disposed', 'a promise');
  await text.stop();
  await go.close();
};

tests['a panic is an error, and the next load works'] = async () => {
  const d = await gpuDevice();
  const model = await loadModel(d, { manifestUrl: at('/models/plain/'), cache: false, kernels: 'baseline' });
  const { failure } = model.go.encode(); // without its arguments
  equal(failure.code, 'runtime', 'code');
  check(/internal error/.test(failure.message), failure.message);
  const transformer = new Transformer(d, model);
  await fails('runtime', () => transformer.forward([1, 2, 3]));
  const late = performance.now() + 120_000;
  for (;;) {
    try {
      const again = await loadModel(d, { manifestUrl: at('/models/plain/'), cache: false, kernels: 'baseline' });
      check((await new Transformer(d, again).forward([1, 2, 3])).length > 0, 'no logits');
      await again.dispose();
      break;
    } catch (e) {
      if (performance.now() > late) throw e;
      await new Promise((resolve) => setTimeout(resolve, 50)); // the old one is on its way out
    }
  }
  d.destroy();
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
  const mine = new TypeError('mine');
  const thrower = () => {
    throw mine;
  };
  check((await all(model.generate('x', { onToken: thrower })).catch((e) => e)) === mine, 'not the error of onToken');
  check((await open('/models/int4/', { onProgress: thrower }).catch((e) => e)) === mine, 'not the error of onProgress');
  await fails('too-large', () => model.logits(new Int32Array(2 ** 22), 0)); // more than there can be
  await fails('invalid-argument', () => model.logits([1], 1));
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
  const messages = [{ role: 'user', content: want.prompt }];
  const { choices, usage } = await openai(chatty).chat.completions.create({ messages, max_tokens: 4, temperature: 0 });
  equal(choices[0].message.content, await chatty.decode(answers), "the answer by OpenAI's names");
  equal(usage.prompt_tokens, (await chatty.encodeChat(messages)).length, 'tokens of the conversation');
  const session = await languageModel(chatty).create({ temperature: 0 });
  const properties = { a: { type: 'boolean' } };
  const schema = { type: 'object', properties, required: ['a'], additionalProperties: false };
  equal(typeof JSON.parse(await session.prompt(want.prompt, { responseConstraint: schema })).a, 'boolean', 'an object');
  await chatty.dispose();
};

tests['a text that is drawn: with the same seed, as native and as the server’s'] = async () => {
  const want = (await expected()).models.int4;
  const o = { seed: 7, temperature: 0.9, topK: 50, topP: 0.9, minP: 0.01, repeatPenalty: 1.1 };
  const model = await open('/models/int4/');
  equal(await all(model.generate(want.prompt, { ...o, maxTokens: 16 })), want.drawn, 'the native program’s text');
  equal(await all(model.generate(want.prompt, { ...o, maxTokens: 16 })), want.drawn, 'with a warm cache');
  const body = { model: 'int4', prompt: want.prompt, max_tokens: 16, seed: 7, temperature: 0.9, top_k: 50, top_p: 0.9 };
  const response = await fetch(at('/v1/completions'), {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ ...body, min_p: 0.01, repeat_penalty: 1.1 }),
  });
  equal((await response.json()).choices[0].text, want.drawn, 'the server’s text');
  await model.dispose();
};

tests['tools: a call has its form; thoughts come apart'] = async () => {
  const parameters = {
    type: 'object',
    properties: { a: { type: 'boolean' } },
    required: ['a'],
    additionalProperties: false,
  };
  const tools = ['f', 'g'].map((name) => ({ type: 'function', function: { name, parameters } }));
  const model = await open('/bad/tools/int4/');
  const messages = [{ role: 'user', content: 'It was' }];
  const { chat } = openai(model);
  const q = { messages, tools, tool_choice: 'required', parallel_tool_calls: false, temperature: 0, stream: true };
  const choices = [];
  for await (const chunk of await chat.completions.create(q)) choices.push(chunk.choices[0]);
  const calls = choices.flatMap((c) => c.delta.tool_calls ?? []);
  const [{ id, index, function: first }] = calls;
  check(['f', 'g'].includes(first.name) && index === 0 && id.length > 0, JSON.stringify(calls));
  equal(typeof JSON.parse(calls.map((c) => c.function.arguments).join('')).a, 'boolean', 'the argument');
  equal(
    [choices.at(-1).finish_reason, choices.map((c) => c.delta.content ?? '').join('')],
    ['tool_calls', ''],
    'the end',
  );
  for (const [name, f] of Object.entries({
    'tools[0].function': { name: 'a b' },
    '#/not': { name: 'f', parameters: { not: {} } },
  })) {
    const wrong = { ...q, tools: [{ type: 'function', function: f }] };
    const e = await fails('invalid-argument', async () => all(await chat.completions.create(wrong)));
    check(e.message.includes(name), e.message);
  }
  await model.dispose();

  const thinker = await open('/bad/think/int4/');
  const said = async (o) => {
    const parts = [];
    for await (const part of thinker.answer(messages, { maxTokens: 2, temperature: 0, ...o }))
      parts.push(...Object.keys(part));
    return [...new Set(parts)];
  };
  equal(await said({}), ['reasoning'], 'parts of a thought');
  equal(await said({ thoughts: false }), ['content'], 'parts of a thought that stays in the text');
  equal(await said({ reasoningEffort: 'none' }), ['content'], 'parts without a thought');
  await thinker.dispose();
};

tests['an answer that is continued is what it would have been in one go'] = async () => {
  const model = await open('/bad/chat/int4/');
  const o = { temperature: 0, maxTokens: 8 };
  const asked = [{ role: 'user', content: 'It was a cold morning' }];
  const whole = await all(model.chat(asked, o));
  const begun = whole.slice(0, whole.lastIndexOf(' '));
  const messages = [...asked, { role: 'assistant', content: begun }];
  let rest = '';
  for await (const part of model.answer(messages, { ...o, continueLast: true })) rest += part.content;
  equal(await all(model.chat(messages, { ...o, continueLast: true })), rest, 'as text and in parts');
  check((begun + rest).startsWith(whole), `${begun} and ${rest} are not ${whole}`);
  await fails('invalid-argument', () => all(model.chat(asked, { continueLast: true })));
  await model.dispose();
};

tests['where the context ends: the system message stays, and length is why'] = async () => {
  const warnings = [];
  const room = 32;
  const chatty = await open('/bad/chat/int2/manifest.json', { maxSeqLen: room, onWarning: (w) => warnings.push(w) });
  equal(warnings, [], 'warnings');
  const system = 'Once upon a time there was a king.';
  const user = ' The sea was calm, and the boat lay still.'.repeat(20);
  const answer = async (ask, options) => {
    const ids = [];
    await all(ask({ temperature: 0, onToken: (t) => ids.push(t.id), ...options }));
    return ids;
  };
  const messages = [
    { role: 'system', content: system },
    { role: 'user', content: user },
  ];
  await fails('invalid-argument', () => answer((o) => chatty.chat(messages, o)));
  const cut = await answer((o) => chatty.chat(messages, o), { maxTokens: 3, onOverflow: 'truncate' });
  equal((await chatty.stats()).end, 'length', 'why the answer ended');
  const whole = await chatty.encode(system + user);
  const opening = await chatty.encode(system);
  const kept = opening.findIndex((id, i) => id !== whole[i]);
  const begin = kept < 0 ? opening : opening.slice(0, kept);
  equal((await chatty.stats()).droppedTokens, whole.length - room + 2, 'dropped tokens');

  const model = await loadModel(await device(), { manifestUrl: at('/models/int2/'), cache: false });
  const transformer = new Transformer(model.device, model, { maxSeqLen: room });
  const prompt = [...begin, ...whole.slice(whole.length - (room - 2 - begin.length))];
  const generation = await transformer.generate(prompt, { maxTokens: 3 });
  const want = [];
  for (let piece; !piece?.end; ) {
    piece = await generation.next();
    if (piece.token !== undefined) want.push(piece.token);
  }
  await generation.stop();
  equal(cut, want, 'the answer to the prompt that was cut');
  await model.dispose();

  const ids = await answer((o) => chatty.generate('It was', o), { maxTokens: 100 });
  const { end, promptTokens } = await chatty.stats();
  equal([ids.length, end], [room - promptTokens + 1, 'length'], 'tokens until the context is full');
  const options = { maxTokens: 40, onOverflow: 'shift' };
  equal((await answer((o) => chatty.chat(messages.slice(0, 1), o), options)).length, 40, 'tokens with shift');
  check((await chatty.stats()).droppedTokens > 0, 'shift has dropped nothing');
  await chatty.dispose();

  const mine = new TypeError('mine');
  const onWarning = (warning) => {
    warnings.push(warning);
    throw mine;
  };
  check((await open('/models/int2/', { maxSeqLen: 2048, onWarning }).catch((e) => e)) === mine, 'not mine');
  check(warnings.length === 1 && /2048.*1024/.test(warnings[0]), `warnings: ${JSON.stringify(warnings)}`);
};

tests['the device is lost; the model is disposed of while it generates'] = async () => {
  const options = { device: undefined, maxSeqLen: 64, chunk: 16, kernels: 'baseline' };
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

if (!node) {
  tests['in a Worker'] = async () => {
    const { load: loadInWorker } = await import('llama-webgpu/worker');
    const want = (await expected()).models.plain;
    let progress = 0;
    const model = await loadInWorker(at('/models/plain/'), {
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
}
