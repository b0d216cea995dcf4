// The interfaces of others, on a model that is made up: what it writes follows from what it is asked.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generateText, isStepCount, jsonSchema, Output, streamText, tool } from 'ai';
import { convertArrayToReadableStream, MockLanguageModelV4 } from 'ai/test';
import { languageModel as aiModel } from '../../dist/ai-sdk.js';
import { LlamaError } from '../../dist/errors.js';
import { openai } from '../../dist/openai.js';
import {
  LanguageModelToolCall,
  LanguageModelToolError,
  LanguageModelToolSuccess,
  languageModel,
} from '../../dist/prompt-api.js';
import { CreateMLCEngine } from '../../dist/webllm.js';

/** Writes its words one after the other, or those that a function makes of what it is asked. Words that are objects are parts of answers. */
function fake({ words = ['It ', 'was ', 'cold.'], window = 100, delay = 0 } = {}) {
  const calls = [];
  const m = {
    info: { id: 'fake-id', window },
    device: { adapter: 'paper' },
    calls,
    running: 0,
    disposed: false,
    run: undefined,
    async *generate(prompt, o = {}) {
      assert.equal(m.running++, 0, 'two texts at once');
      calls.push({ prompt, o });
      m.run = {
        promptTokens: 7,
        cachedTokens: 2,
        generatedTokens: 0,
        firstTokenSeconds: 0.1,
        tokensPerSecond: 50,
        end: undefined,
      };
      try {
        const all = typeof words === 'function' ? words(prompt) : words;
        for (const w of o.jsonSchema ? ['{"city":', '"Oslo"}'] : all.slice(0, o.maxTokens)) {
          if (delay) await new Promise((r) => setTimeout(r, delay));
          if (o.signal?.aborted) throw new LlamaError('aborted', 'Aborted by the caller.');
          m.run.generatedTokens++;
          yield w;
        }
        m.run.end = o.maxTokens < all.length ? 'length' : 'eos';
      } finally {
        m.running--;
      }
    },
    chat: (messages, o) => m.generate(messages, o),
    async *answer(messages, o) {
      for await (const w of m.generate(messages, o)) yield typeof w === 'string' ? { content: w } : w;
    },
    encodeChat: async (messages) => Int32Array.from(messages.flatMap((x) => Array.from(x.content, () => 1))),
    encode: async (text) => new Int32Array(text.length),
    stats: async () => m.run,
    dispose: async () => {
      m.disposed = true;
    },
  };
  return m;
}

const ask = [{ role: 'user', content: 'How was it?' }];

async function all(stream) {
  const list = [];
  for await (const x of stream) list.push(x);
  return list;
}

const invalid = (name) => (e) => {
  assert.ok(e instanceof LlamaError, String(e));
  assert.equal(e.code, 'invalid-argument');
  assert.ok(e.message.includes(name), `${e.message} does not name ${name}`);
  return true;
};

test('openai: a chat, whole and streamed', async () => {
  const m = fake();
  const client = openai(m, { model: 'mine' });
  const r = await client.chat.completions.create({
    messages: ask,
    max_tokens: 2,
    stop: 'x',
    logit_bias: { 5: -1 },
    top_p: 0.5,
  });
  assert.equal(r.choices[0].message.content, 'It was ');
  assert.equal(r.choices[0].finish_reason, 'length');
  assert.deepEqual([r.object, r.model, r.system_fingerprint], ['chat.completion', 'mine', 'fake-id']);
  assert.deepEqual(r.usage, {
    prompt_tokens: 7,
    completion_tokens: 2,
    total_tokens: 9,
    prompt_tokens_details: { cached_tokens: 2 },
  });
  const { o } = m.calls[0];
  assert.deepEqual(
    [o.maxTokens, o.temperature, o.topP, o.topK, o.stop, o.logitBias],
    [2, 0.8, 0.5, 40, 'x', { 5: -1 }],
  );
  const chunks = await all(
    await client.chat.completions.create({
      messages: ask,
      stream: true,
      stream_options: { include_usage: true },
      n: 2,
      seed: 3,
    }),
  );
  assert.equal(new Set(chunks.map((c) => c.id)).size, 1);
  for (const index of [0, 1]) {
    const own = chunks.filter((c) => c.choices[0]?.index === index);
    assert.equal(own[0].choices[0].delta.role, 'assistant');
    assert.equal(own.map((c) => c.choices[0].delta.content ?? '').join(''), 'It was cold.');
    assert.equal(own.at(-1).choices[0].finish_reason, 'stop');
  }
  assert.deepEqual(chunks.at(-1).choices, []);
  assert.equal(chunks.at(-1).usage.completion_tokens, 6);
  assert.deepEqual(
    m.calls.slice(1).map((c) => c.o.seed),
    [3, 4],
  );
});

test('openai: JSON, texts, mistakes', async () => {
  const m = fake();
  const { chat, completions } = openai(m);
  const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
  const formats = [
    [{ type: 'json_schema', json_schema: { name: 'x', schema } }, schema],
    [{ type: 'json_object' }, true],
    [{ type: 'json_object', schema: JSON.stringify(schema) }, schema],
  ];
  for (const [response_format, want] of formats) {
    const r = await chat.completions.create({ messages: ask, response_format });
    assert.deepEqual(JSON.parse(r.choices[0].message.content), { city: 'Oslo' });
    assert.deepEqual(m.calls.at(-1).o.jsonSchema, want);
  }
  const text = await completions.create({ prompt: 'Then ', echo: true });
  assert.equal(text.choices[0].text, 'Then It was cold.');
  const pieces = await all(await completions.create({ prompt: 'Then ', stream: true }));
  assert.equal(pieces.map((p) => p.choices[0].text).join(''), 'It was cold.');
  for (const [name, q] of Object.entries({
    tools: { messages: ask, tools: {} },
    toolChoice: { messages: ask, tool_choice: 'sometimes' },
    reasoningEffort: { messages: ask, reasoning_effort: 'much' },
    reasoning_format: { messages: ask, reasoning_format: 'loud' },
    continueLast: { messages: ask, continue_final_message: 'please' },
    logprobs: { messages: ask, logprobs: true },
    n: { messages: ask, n: 0 },
    messages: {},
    response_format: { messages: ask, response_format: { type: 'xml' } },
    'json_schema.schema': { messages: ask, response_format: { type: 'json_schema', json_schema: {} } },
  }))
    await assert.rejects(() => chat.completions.create(q), invalid(name));
  await chat.completions.create({ messages: ask, tools: [], logprobs: false, user: 'x', store: true }); // no effect asked for
});

/** An answer with thoughts and two calls. */
const calling = [
  { reasoning: 'Two ' },
  { reasoning: 'cities.' },
  { index: 0, id: 'a', name: 'weather', arguments: '' },
  { index: 0, arguments: '{"city": ' },
  { index: 0, arguments: '"Oslo"}' },
  { index: 1, id: 'b', name: 'weather', arguments: '{"city": "Graz"}' },
];

const weather = {
  name: 'weather',
  description: 'Tells it',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};

test('openai: tools and thoughts', async () => {
  const m = fake({ words: calling });
  const { chat } = openai(m);
  const q = {
    messages: ask,
    tools: [{ type: 'function', function: weather }],
    tool_choice: { type: 'function', function: { name: 'weather' } },
    parallel_tool_calls: false,
    reasoning_effort: 'low',
    chat_template_kwargs: { a: 1 },
    continue_final_message: false,
  };
  const [choice] = (await chat.completions.create(q)).choices;
  assert.deepEqual(choice.message, {
    role: 'assistant',
    content: null,
    refusal: null,
    reasoning_content: 'Two cities.',
    tool_calls: [
      { id: 'a', type: 'function', function: { name: 'weather', arguments: '{"city": "Oslo"}' } },
      { id: 'b', type: 'function', function: { name: 'weather', arguments: '{"city": "Graz"}' } },
    ],
  });
  assert.equal(choice.finish_reason, 'tool_calls');
  const { o } = m.calls[0];
  assert.deepEqual(
    [o.tools, o.toolChoice, o.parallelToolCalls, o.thoughts, o.reasoningEffort, o.templateVariables, o.continueLast],
    [q.tools, { name: 'weather' }, false, true, 'low', { a: 1 }, undefined],
  );
  const chunks = await all(await chat.completions.create({ ...q, stream: true }));
  const deltas = chunks.map((c) => c.choices[0].delta);
  assert.equal(deltas.map((d) => d.reasoning_content ?? '').join(''), 'Two cities.');
  const calls = deltas.flatMap((d) => d.tool_calls ?? []);
  assert.deepEqual(calls[0], { index: 0, id: 'a', type: 'function', function: { name: 'weather', arguments: '' } });
  const text = (index) => calls.map((c) => (c.index === index ? c.function.arguments : '')).join('');
  assert.deepEqual([text(0), text(1)], ['{"city": "Oslo"}', '{"city": "Graz"}']);
  assert.equal(chunks.at(-1).choices[0].finish_reason, 'tool_calls');
  // the next turn: calls and results reach the model as they are
  await chat.completions.create({
    messages: [...ask, choice.message, { role: 'tool', tool_call_id: 'a', content: 'wet' }],
  });
  const said = m.calls.at(-1).prompt;
  assert.deepEqual([said[1].content, said[1].tool_calls[1].id, said[2].tool_call_id], ['', 'b', 'a']);
});

test('openai: the samplers of the server, by its names', async () => {
  const m = fake();
  const q = { min_p: 0.01, typical_p: 0.02, dynatemp_range: 0.03, dynatemp_exponent: 0.04, xtc_probability: 0.05 };
  const dry = { dry_multiplier: 0.07, dry_base: 1.08, dry_allowed_length: 9, dry_penalty_last_n: 10 };
  const rest = { xtc_threshold: 0.06, repeat_penalty: 1.11, repeat_last_n: 12, dry_sequence_breakers: ['x'] };
  await openai(m).chat.completions.create({ messages: ask, ...q, ...dry, ...rest });
  const { o } = m.calls[0];
  assert.deepEqual(
    [o.minP, o.typicalP, o.dynamicTemperatureRange, o.dynamicTemperatureExponent, o.xtcProbability, o.xtcThreshold],
    [0.01, 0.02, 0.03, 0.04, 0.05, 0.06],
  );
  assert.deepEqual(
    [o.dryMultiplier, o.dryBase, o.dryAllowedLength, o.dryLast, o.dryBreakers, o.repeatPenalty, o.repeatLast],
    [0.07, 1.08, 9, 10, ['x'], 1.11, 12],
  );
});

test('openai: one text at a time; a signal ends one that waits and one that runs', async () => {
  const m = fake({ delay: 5 });
  const { chat } = openai(m);
  const many = await Promise.all([1, 2, 3].map(() => chat.completions.create({ messages: ask })));
  assert.equal(many.length, 3);
  const ender = new AbortController();
  const runs = chat.completions.create({ messages: ask }, { signal: ender.signal });
  const waits = chat.completions.create({ messages: ask }, { signal: ender.signal });
  ender.abort();
  for (const p of [runs, waits]) await assert.rejects(() => p, { code: 'aborted' });
  assert.equal((await chat.completions.create({ messages: ask })).choices[0].message.content, 'It was cold.');
  for await (const chunk of await chat.completions.create({ messages: ask, stream: true })) if (chunk) break; // left early
  assert.equal((await chat.completions.create({ messages: ask })).choices[0].message.content, 'It was cold.');
});

test('webllm: an engine', async () => {
  const models = [];
  const reports = [];
  const load = async (url, o) => {
    o.onProgress({ loaded: 1, total: 4, received: 1, rate: 1 });
    models.push({ url, o, m: fake({ delay: 5 }) });
    return models.at(-1).m;
  };
  const appConfig = { model_list: [{ model_id: 'mine', model: 'https://example.org/bundle/' }] };
  const engine = await CreateMLCEngine(
    'mine',
    { load, appConfig, initProgressCallback: (r) => reports.push(r) },
    { context_window_size: 64 },
  );
  assert.deepEqual([models[0].url, models[0].o.maxSeqLen], ['https://example.org/bundle/', 64]);
  assert.deepEqual(
    reports.map((r) => r.progress),
    [0.25, 1],
  );
  const r = await engine.chat.completions.create({ messages: ask });
  assert.equal(r.choices[0].message.content, 'It was cold.');
  assert.equal(await engine.getMessage(), 'It was cold.');
  assert.match(await engine.runtimeStatsText(), /prefill: 50\.0000 tokens\/sec, decoding: 50\.0000/);
  let text = '';
  const stream = await engine.chat.completions.create({ messages: ask, stream: true });
  for await (const c of stream) {
    text += c.choices[0]?.delta.content ?? '';
    if (text) engine.interruptGenerate();
  }
  assert.equal(text, 'It '); // no error: it ends where it is
  await engine.reload('/other/');
  assert.ok(models[0].m.disposed);
  assert.equal(models[1].url, '/other/');
  await engine.unload();
  assert.ok(models[1].m.disposed);
  await assert.rejects(async () => engine.chat.completions.create({ messages: ask }), { code: 'disposed' });
  await assert.rejects(() => engine.reload(['a', 'b']), invalid('modelId'));
});

test('prompt api: sessions', async () => {
  const m = fake({ window: 60 });
  const api = languageModel(m);
  assert.equal(await api.availability(), 'available');
  const progress = [];
  const s = await api.create({
    initialPrompts: [{ role: 'system', content: 'short' }],
    monitor: (t) => t.addEventListener('downloadprogress', (e) => progress.push(e.loaded)),
  });
  assert.deepEqual(progress, [1]);
  assert.deepEqual([s.contextUsage, s.contextWindow], [5, 60]);
  assert.equal(await s.prompt('How was it?'), 'It was cold.');
  const copy = await s.clone();
  assert.equal(
    (await all(s.promptStreaming([{ role: 'user', content: [{ type: 'text', value: 'And?' }] }]))).join(''),
    'It was cold.',
  );
  const said = (c) => c.prompt.map((x) => `${x.role}: ${x.content}`);
  assert.deepEqual(said(m.calls.at(-1)), [
    'system: short',
    'user: How was it?',
    'assistant: It was cold.',
    'user: And?',
  ]);
  assert.equal(JSON.parse(await copy.prompt('A city?', { responseConstraint: { type: 'object' } })).city, 'Oslo');
  assert.deepEqual(said(m.calls.at(-1)).slice(1), ['user: How was it?', 'assistant: It was cold.', 'user: A city?']);
  let dropped = 0;
  s.addEventListener('contextoverflow', () => dropped++);
  await s.prompt('A question that needs room');
  assert.equal(dropped, 1);
  assert.deepEqual(said(m.calls.at(-1)), [
    'system: short',
    'user: And?',
    'assistant: It was cold.',
    'user: A question that needs room',
  ]);
  await assert.rejects(() => s.prompt('x'.repeat(100)), { code: 'too-large' });
  await assert.rejects(() => s.prompt('x', { responseConstraint: /a/ }), invalid('responseConstraint'));
  const reader = copy.promptStreaming('Left early').getReader();
  await reader.read();
  await reader.cancel();
  await copy.prompt('Next');
  assert.ok(!said(m.calls.at(-1)).some((x) => x.includes('Left early')));
  s.destroy();
  await assert.rejects(() => s.prompt('x'), { code: 'disposed' });
});

/** Calls until it has answers, then says what they were. */
const caller = (prompt) => {
  const since = prompt.slice(prompt.findLastIndex((x) => x.role === 'user') + 1);
  const told = since.filter((x) => x.role === 'tool').map((x) => x.content);
  return told.length > 0 ? [`So: ${told.join(', ')}.`] : ['I ask. ', ...calling];
};

const forecast = { name: 'weather', description: 'Tells it', inputSchema: weather.parameters };

test('prompt api: calls for the application to answer', async () => {
  const m = fake({ words: caller, window: 5000 });
  const api = languageModel(m);
  await assert.rejects(() => api.create({ tools: [forecast] }), invalid('expectedOutputs'));
  await assert.rejects(() => api.create({ tools: [{ name: 'f' }] }), invalid('tools[0].inputSchema'));
  const s = await api.create({
    tools: [forecast],
    expectedInputs: [{ type: 'tool-response' }],
    expectedOutputs: [{ type: 'tool-call' }],
  });
  assert.ok(s.contextUsage > 0);
  const parts = await s.prompt('Where?');
  assert.deepEqual(
    parts.map((p) => [p.type, p.value.callId ?? p.value, p.value.arguments]),
    [
      ['text', 'I ask. ', undefined],
      ['tool-call', 'a', { city: 'Oslo' }],
      ['tool-call', 'b', { city: 'Graz' }],
    ],
  );
  assert.ok(parts[1].value instanceof LanguageModelToolCall);
  assert.deepEqual(m.calls[0].o.tools, [{ type: 'function', function: weather }]);
  const answers = [
    new LanguageModelToolSuccess({ callId: 'a', name: 'weather', result: [{ type: 'object', value: { wet: true } }] }),
    new LanguageModelToolError({ callId: 'b', name: 'weather', errorMessage: 'no such city' }),
  ];
  const content = answers.map((value) => ({ type: 'tool-response', value }));
  assert.equal(await s.prompt([{ role: 'user', content }]), 'So: {"wet":true}, Error: no such city.');
  assert.deepEqual(
    m.calls.at(-1).prompt.map((x) => [x.role, x.content, x.tool_call_id ?? x.tool_calls?.map((c) => c.id)]),
    [
      ['user', 'Where?', undefined],
      ['assistant', 'I ask. ', ['a', 'b']],
      ['tool', '{"wet":true}', 'a'],
      ['tool', 'Error: no such city', 'b'],
    ],
  );
  const chunks = await all(s.promptStreaming('And now?'));
  assert.deepEqual([chunks[0], ...chunks.slice(1).map((c) => c.type)], ['I ask. ', 'tool-call', 'tool-call']);
  for (const [role, type] of [
    ['user', 'tool-call'],
    ['assistant', 'tool-response'],
    ['user', 'image'],
  ])
    await assert.rejects(() => s.append([{ role, content: [{ type, value: {} }] }]), invalid(type));
});

test('prompt api: tools that are executed', async () => {
  const m = fake({ words: caller, window: 5000 });
  const execute = async ({ city }) => {
    if (city === 'Graz') throw new Error('closed');
    return `${city} is wet`;
  };
  const s = await languageModel(m).create({ tools: [{ ...forecast, execute }] });
  assert.equal(await s.prompt('Where?'), 'I ask. So: Oslo is wet, Error: closed.');
  assert.equal(m.calls.length, 2);
  // the next question follows what was called and answered
  await s.prompt('Again?');
  assert.deepEqual(
    m.calls.at(-1).prompt.map((x) => x.role),
    ['user', 'assistant', 'tool', 'tool', 'assistant', 'user', 'assistant', 'tool', 'tool'],
  );
  // examples of calls, as an application may give them
  const few = await s.clone();
  await few.append([
    {
      role: 'assistant',
      content: [
        {
          type: 'tool-call',
          value: new LanguageModelToolCall({ callId: 'x', name: 'weather', arguments: { city: 'Rome' } }),
        },
      ],
    },
  ]);
  await few.prompt('Then?');
  assert.deepEqual(m.calls.at(-2).prompt.at(-2).tool_calls, [
    { id: 'x', type: 'function', function: { name: 'weather', arguments: '{"city":"Rome"}' } },
  ]);
  // the model is told of a tool that does not exist
  const lost = await languageModel(m).create({ tools: [{ ...forecast, name: 'time', execute }] });
  assert.equal(
    await lost.prompt('Where?'),
    'I ask. So: Error: there is no tool of the name weather, Error: there is no tool of the name weather.',
  );
  // one that never answers is stopped, and the question is forgotten
  const endless = await languageModel(fake({ words: () => calling, window: 5000 })).create({
    tools: [{ ...forecast, execute }],
  });
  const used = endless.contextUsage;
  await assert.rejects(() => endless.prompt('Where?'), /has called tools 16 times/);
  assert.equal(await endless.measureContextUsage('x'), 1 + used - endless.contextUsage);
});

test('AI SDK: texts, streams and objects', async () => {
  const m = fake();
  const model = aiModel(m);
  assert.equal(model.specificationVersion, new MockLanguageModelV4({}).specificationVersion);
  const r = await generateText({
    model,
    instructions: 'Be short.',
    prompt: 'How was it?',
    maxOutputTokens: 2,
    seed: 1,
    stopSequences: ['x'],
  });
  assert.deepEqual([r.text, r.finishReason, r.usage.inputTokens, r.usage.outputTokens], ['It was ', 'length', 7, 2]);
  assert.deepEqual(m.calls[0].prompt, [
    { role: 'system', content: 'Be short.' },
    { role: 'user', content: 'How was it?' },
  ]);
  const s = streamText({ model, messages: ask });
  assert.equal((await all(s.textStream)).join(''), 'It was cold.');
  assert.equal(await s.finishReason, 'stop');
  const schema = jsonSchema({
    type: 'object',
    properties: { city: { type: 'string' } },
    required: ['city'],
    additionalProperties: false,
  });
  const o = await generateText({ model, prompt: 'A city?', output: Output.object({ schema }) });
  assert.deepEqual(o.output, { city: 'Oslo' });
  assert.equal(m.calls.at(-1).o.jsonSchema.required[0], 'city');
  // The parts of a stream are those that the SDK's mock has.
  const { stream } = await model.doStream({ prompt: [{ role: 'user', content: [{ type: 'text', text: 'x' }] }] });
  const types = (await all(stream)).map((p) => p.type);
  assert.deepEqual(types, [
    'stream-start',
    'text-start',
    'text-delta',
    'text-delta',
    'text-delta',
    'text-end',
    'finish',
  ]);
  const mock = new MockLanguageModelV4({
    doStream: {
      stream: convertArrayToReadableStream(
        await all(
          (await model.doStream({ prompt: [{ role: 'user', content: [{ type: 'text', text: 'x' }] }] })).stream,
        ),
      ),
    },
  });
  assert.equal((await all(streamText({ model: mock, prompt: 'x' }).textStream)).join(''), 'It was cold.');
});

test('AI SDK: tools and thoughts', async () => {
  const m = fake({ words: calling });
  const model = aiModel(m);
  const tools = {
    weather: tool({
      description: 'Tells it',
      inputSchema: jsonSchema(weather.parameters),
      execute: async ({ city }) => `${city}: wet`,
    }),
  };
  const r = await generateText({ model, prompt: 'Where?', tools, toolChoice: 'required', reasoning: 'low' });
  assert.equal(r.finishReason, 'tool-calls');
  assert.equal(r.reasoningText, 'Two cities.');
  assert.deepEqual(
    r.toolResults.map((t) => t.output),
    ['Oslo: wet', 'Graz: wet'],
  );
  const { o } = m.calls[0];
  assert.deepEqual(
    [o.tools[0].function.name, o.tools[0].function.parameters.required, o.toolChoice, o.reasoningEffort],
    ['weather', ['city'], 'required', 'low'],
  );
  for (const [reasoning, effort, details] of [
    ['xhigh', 'xhigh', []],
    ['max', 'xhigh', ['taken as xhigh']],
  ]) {
    const prompt = [{ role: 'user', content: [{ type: 'text', text: 'x' }] }];
    const { warnings } = await model.doGenerate({ prompt, reasoning });
    assert.deepEqual([m.calls.at(-1).o.reasoningEffort, warnings.map((w) => w.details)], [effort, details]);
  }
  // the results go back to the model, which is asked once more
  const s = streamText({ model, messages: ask, tools, stopWhen: isStepCount(2) });
  const parts = await all(s.fullStream);
  const count = (type) => parts.filter((p) => p.type === type).length;
  assert.deepEqual(
    [count('reasoning-start'), count('reasoning-end'), count('tool-call'), count('tool-result')],
    [2, 2, 4, 4],
  );
  assert.equal(
    parts.find((p) => p.type === 'error'),
    undefined,
  );
  const said = m.calls.at(-1).prompt;
  assert.deepEqual(
    said.map((x) => [x.role, x.content, x.tool_call_id ?? x.tool_calls?.map((c) => c.id)]),
    [
      ['user', 'How was it?', undefined],
      ['assistant', '', ['a', 'b']],
      ['tool', 'Oslo: wet', 'a'],
      ['tool', 'Graz: wet', 'b'],
    ],
  );
});
