// The AI SDK with its provider for servers like OpenAI's, unmodified, against the server at BASE_URL.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, embedMany, generateText, jsonSchema, Output, stepCountIs, streamText, tool } from 'ai';

globalThis.AI_SDK_LOG_WARNINGS = false;
const provider = createOpenAICompatible({
  name: 'llama-webgpu',
  baseURL: process.env.BASE_URL,
  apiKey: 'secret',
  supportsStructuredOutputs: true,
});
const model = provider('tiny');
const prompt = 'It was a cold morning';
const common = { model, prompt, maxRetries: 0 };

const schema = jsonSchema({
  type: 'object',
  properties: { city: { type: 'string', enum: ['Graz', 'Wien'] }, days: { type: 'integer', minimum: 1, maximum: 9 } },
  required: ['city', 'days'],
  additionalProperties: false,
});
const isWeather = ({ city, days }) =>
  assert.ok(['Graz', 'Wien'].includes(city) && days > 0 && days < 10, `${city} ${days}`);

test('text and stream are the same', async () => {
  const options = { ...common, maxOutputTokens: 16, seed: 7 };
  const whole = await generateText(options);
  assert.equal(whole.finishReason, 'length');
  assert.equal(whole.usage.outputTokens, 16);
  let text = '';
  for await (const part of streamText(options).textStream) text += part;
  assert.equal(text, whole.text);
  assert.ok(text);
});

test('thoughts are reasoning', async () => {
  const options = {
    ...common,
    model: provider('thinker'),
    maxOutputTokens: 8,
    providerOptions: { 'llama-webgpu': { chat_template_kwargs: { think: true } } },
  };
  assert.ok((await generateText(options)).reasoningText);
  const result = streamText(options);
  await result.consumeStream();
  assert.ok(await result.reasoningText);
});

test('tools, whole and streamed', async () => {
  const seen = [];
  const weather = tool({
    description: 'How the weather is',
    inputSchema: schema,
    execute: async (args) => seen.push(args) && 'wet',
  });
  const options = {
    ...common,
    tools: { weather },
    toolChoice: 'required',
    maxOutputTokens: 150,
    seed: 3,
    stopWhen: stepCountIs(2),
    providerOptions: { 'llama-webgpu': { parallel_tool_calls: false } },
  };
  const whole = await generateText(options);
  assert.equal(whole.steps.length, 2);
  assert.equal(whole.steps[0].finishReason, 'tool-calls');
  isWeather(whole.steps[0].toolCalls[0].input);
  const streamed = streamText({ ...options, stopWhen: stepCountIs(1) });
  let begun = 0;
  for await (const part of streamed.fullStream) begun += part.type === 'tool-input-start';
  assert.ok(begun > 0);
  isWeather((await streamed.toolCalls)[0].input);
  for (const args of seen) isWeather(args);
  assert.ok(seen.length >= 3);
});

test('the provider of OpenAI: responses', async () => {
  const openai = createOpenAI({ baseURL: process.env.BASE_URL, apiKey: 'secret' })('tiny');
  const options = { ...common, model: openai, maxOutputTokens: 150 };
  const whole = await generateText({ ...options, maxOutputTokens: 8 });
  assert.equal(whole.finishReason, 'length');
  assert.equal(whole.usage.outputTokens, 8);
  const { output } = await generateText({ ...options, output: Output.object({ schema }) });
  isWeather(output);
  const weather = tool({ description: 'How the weather is', inputSchema: schema, execute: async () => 'wet' });
  const streamed = streamText({
    ...options,
    tools: { weather },
    toolChoice: 'required',
    stopWhen: stepCountIs(2), // the second step refers to items of the first
    providerOptions: { openai: { parallelToolCalls: false } },
  });
  await streamed.consumeStream();
  const steps = await streamed.steps;
  assert.equal(steps.length, 2);
  for (const step of steps) isWeather(step.toolCalls[0].input);
});

test('JSON schema', async () => {
  const { output } = await generateText({ ...common, maxOutputTokens: 120, seed: 1, output: Output.object({ schema }) });
  isWeather(output);
});

test('embeddings', async () => {
  const { embeddings } = await embedMany({
    model: provider.embeddingModel('tiny'),
    values: ['a cold morning', 'another'],
  });
  assert.equal(embeddings.length, 2);
  assert.ok(Math.abs(Math.hypot(...embeddings[0]) - 1) < 1e-3);
});

test('errors', async () => {
  const failed = (e) => APICallError.isInstance(e) && e.statusCode === 400 && e.message.includes('temperature');
  await assert.rejects(generateText({ ...common, temperature: -1 }), failed);
});

test('abort', async () => {
  const controller = new AbortController();
  const result = streamText({ ...common, maxOutputTokens: 400, abortSignal: controller.signal });
  let ended = '';
  for await (const part of result.fullStream) {
    if (part.type === 'text-delta') controller.abort();
    ended = part.type;
  }
  assert.equal(ended, 'abort');
});
