// OpenAI's client for Node, unmodified, against the server at BASE_URL.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';

const client = new OpenAI({ baseURL: process.env.BASE_URL, apiKey: 'secret', maxRetries: 0 });
const model = 'tiny';
const messages = [{ role: 'user', content: 'It was a cold morning' }];

const parameters = {
  type: 'object',
  properties: { city: { type: 'string', enum: ['Graz', 'Wien'] }, days: { type: 'integer', minimum: 1, maximum: 9 } },
  required: ['city', 'days'],
  additionalProperties: false,
};
const tools = [{ type: 'function', function: { name: 'weather', description: 'How the weather is', parameters } }];
const isWeather = (call) => {
  const { city, days } = JSON.parse(call.arguments);
  assert.equal(call.name, 'weather');
  assert.ok(['Graz', 'Wien'].includes(city) && days > 0 && days < 10, call.arguments);
};

test('chat and stream are the same text', async () => {
  const request = { model, messages, max_completion_tokens: 16, seed: 7 };
  const whole = await client.chat.completions.create(request);
  const [choice] = whole.choices;
  assert.ok(choice.message.content);
  assert.equal(choice.finish_reason, 'length');
  assert.equal(whole.usage.total_tokens, whole.usage.prompt_tokens + 16);
  const stream = await client.chat.completions.create({
    ...request,
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = '';
  let usage;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? '';
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, choice.message.content);
  assert.equal(usage.completion_tokens, 16);
});

test('tools: required, streamed, answered', async () => {
  const request = {
    model,
    messages,
    tools,
    tool_choice: 'required',
    parallel_tool_calls: false,
    max_completion_tokens: 150,
    seed: 3,
  };
  const whole = await client.chat.completions.create(request);
  const { message, finish_reason } = whole.choices[0];
  assert.equal(finish_reason, 'tool_calls');
  assert.equal(message.content, null);
  isWeather(message.tool_calls[0].function);

  const final = await client.chat.completions.stream(request).finalChatCompletion(); // the client puts the parts together
  assert.equal(final.choices[0].message.tool_calls[0].function.arguments, message.tool_calls[0].function.arguments);

  const calls = [];
  const runner = client.chat.completions.runTools({
    ...request,
    tool_choice: { type: 'function', function: { name: 'weather' } },
    tools: [
      {
        type: 'function',
        function: { ...tools[0].function, parse: JSON.parse, function: (args) => calls.push(args) && 'wet' },
      },
    ],
  });
  await runner.done(); // with a function that is named, the client asks once
  assert.equal(calls.length, 1);

  const answered = await client.chat.completions.create({
    ...request,
    tool_choice: 'none',
    max_completion_tokens: 4,
    messages: [...messages, message, { role: 'tool', tool_call_id: message.tool_calls[0].id, content: 'wet' }],
  });
  assert.ok(answered.choices[0].message.content);
});

test('JSON schema', async () => {
  const completion = await client.chat.completions.parse({
    model,
    messages,
    max_completion_tokens: 120,
    seed: 1,
    response_format: { type: 'json_schema', json_schema: { name: 'weather', strict: true, schema: parameters } },
  });
  isWeather({ name: 'weather', arguments: completion.choices[0].message.content });
});

test('log probabilities', async () => {
  const { choices } = await client.chat.completions.create({
    model,
    messages,
    max_completion_tokens: 3,
    seed: 1,
    logprobs: true,
    top_logprobs: 2,
  });
  const tokens = choices[0].logprobs.content;
  assert.equal(tokens.length, 3);
  assert.ok(tokens.every((t) => t.logprob <= 0 && t.top_logprobs.length === 2));
  assert.equal(tokens.map((t) => t.token).join(''), choices[0].message.content);
});

test('responses: whole, streamed, followed', async () => {
  const request = { model, input: 'It was a cold morning', max_output_tokens: 16, seed: 7 };
  const whole = await client.responses.create(request);
  assert.equal(whole.status, 'incomplete');
  let text = '';
  for await (const event of await client.responses.create({ ...request, stream: true })) {
    if (event.type === 'response.output_text.delta') text += event.delta;
  }
  assert.equal(text, whole.output_text);
  assert.ok(text);
  const follow = { model, input: 'And?', previous_response_id: whole.id, max_output_tokens: 4 };
  assert.ok((await client.responses.create(follow)).usage.input_tokens > whole.usage.input_tokens + 16);
});

test('responses: tools and a schema', async () => {
  const request = { model, input: 'It was a cold morning', parallel_tool_calls: false, max_output_tokens: 150, seed: 3 };
  const stream = client.responses.stream({
    ...request,
    tools: [{ type: 'function', name: 'weather', parameters, strict: true }],
    tool_choice: 'required',
  });
  const final = await stream.finalResponse();
  isWeather(final.output[0]);
  const parsed = await client.responses.parse({
    ...request,
    text: { format: { type: 'json_schema', name: 'weather', strict: true, schema: parameters } },
  });
  isWeather({ name: 'weather', arguments: parsed.output_text });
});

test('embeddings', async () => {
  const { data, usage } = await client.embeddings.create({ model, input: ['a cold morning', 'another'] }); // as base64
  assert.equal(data.length, 2);
  assert.ok(usage.prompt_tokens > 2);
  const length = Math.hypot(...data[0].embedding);
  assert.ok(Math.abs(length - 1) < 1e-3, `length ${length}`);
});

test('errors', async () => {
  await assert.rejects(client.chat.completions.create({ model, messages, temperature: -1 }), OpenAI.BadRequestError);
  await assert.rejects(client.models.retrieve('none'), OpenAI.NotFoundError);
  const stranger = new OpenAI({ baseURL: process.env.BASE_URL, apiKey: 'wrong', maxRetries: 0 });
  await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
});

test('abort', async () => {
  const stream = await client.chat.completions.create({ model, messages, stream: true, max_completion_tokens: 400 });
  let chunks = 0;
  for await (const _ of stream) {
    if (++chunks === 3) stream.controller.abort();
  }
  assert.ok(chunks < 400);
  assert.ok((await client.models.list()).data.length > 0);
});
