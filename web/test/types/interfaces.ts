// Compiled, never run: answers are of the types of OpenAI's own client and of the AI SDK; those of the Prompt API are texts, unless there
// are tools.
import type { LanguageModelV4 } from '@ai-sdk/provider';
import type OpenAI from 'openai';
import { languageModel } from '../../dist/ai-sdk.js';
import type { TextModel } from '../../dist/index.js';
import { openai } from '../../dist/openai.js';
import { type PromptContent, languageModel as promptModel } from '../../dist/prompt-api.js';
import { CreateMLCEngine } from '../../dist/webllm.js';

export async function answers(model: TextModel, client: OpenAI) {
  const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: 'user', content: 'Hello' }];
  const request = {
    model: 'mine',
    messages,
    max_completion_tokens: 3,
    temperature: 0,
    tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }],
    tool_choice: 'auto',
    reasoning_effort: 'low',
  } satisfies OpenAI.ChatCompletionCreateParams;
  for (const { chat, completions } of [openai(model), await CreateMLCEngine('/models/mine')]) {
    const whole: OpenAI.ChatCompletion = await chat.completions.create({
      ...request,
      messages: [{ role: 'user', content: 'Hello' }],
    });
    const chunks: AsyncIterable<OpenAI.ChatCompletionChunk> = await chat.completions.create({
      messages: [{ role: 'user', content: 'Hello' }],
      stream: true,
    });
    const text: OpenAI.Completion = await completions.create({ prompt: 'It was' });
    whole satisfies Awaited<ReturnType<typeof client.chat.completions.create>>;
    return [whole, chunks, text];
  }
  return languageModel(model) satisfies LanguageModelV4;
}

export async function prompted() {
  const api = promptModel('/models/mine');
  const text: string = await (await api.create()).prompt('Hello');
  const tools = [{ name: 'f', inputSchema: { type: 'object' }, execute: ({ city }: { city: string }) => city }];
  const session = await api.create({ tools, expectedOutputs: [{ type: 'tool-call' }] });
  const parts: string | PromptContent[] = await session.prompt('Hello');
  return [text, parts, session.promptStreaming('Hello') satisfies ReadableStream<string | PromptContent>];
}
