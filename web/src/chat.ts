import { begun } from './conversation.js';
import { LlamaError } from './errors.js';

import type { Model } from './model.js';
import { render } from './template.js';

export interface ChatMessage {
  role: 'system' | 'user' | 'assistant' | 'tool' | (string & {});
  content: string;
  /** Of the assistant: the functions that it has called. */
  tool_calls?: readonly ToolCall[];
  /** Of a tool: the call that the content is the result of. */
  tool_call_id?: string;
  /** Of a tool: its name. */
  name?: string;
  /** Of the assistant: what it thought before it answered. */
  reasoning_content?: string;
}

/** A call of a function, as OpenAI writes one. */
export interface ToolCall {
  id?: string;
  type?: 'function';
  function: {
    name: string;
    /** JSON. Most templates want an object in chat(); answer() takes both. */
    arguments: string | object;
  };
}

/** A conversation as the model reads it. */
export interface Rendered {
  text: string;
  /** How it begins: with the system messages alone. Undefined if there are none, or the template cannot write them alone. */
  opening?: string | undefined;
}

/** What a chat template gets beside messages and special tokens. */
export interface TemplateInput {
  tools?: readonly object[] | undefined;
  variables?: Record<string, unknown> | undefined;
}

/** Returns a function that renders messages with the model's chat template. With `begin`, the text ends where the answer begins. */
export function renderer(model: Model): (messages: readonly object[], begin: boolean, input?: TemplateInput) => string {
  const template = model.manifest.tokenizer.chat_template;
  if (!template)
    throw new LlamaError(
      'invalid-argument',
      'This model has no chat template: use generate(), which continues a text.',
    );
  const { bos, eos } = model.go;
  const spell = (id: number | undefined) => (id !== undefined && id >= 0 ? (model.tokenizer.token(id) ?? '') : '');
  const special = model.manifest.tokenizer.special_tokens ?? { bos_token: spell(bos), eos_token: spell(eos?.[0]) };
  return (messages, begin, { tools, variables } = {}) => {
    try {
      return render(template, {
        ...special,
        ...(tools && { tools }),
        ...variables,
        messages,
        add_generation_prompt: begin,
      });
    } catch (e) {
      throw new LlamaError('invalid-argument', `The chat template failed: ${(e as Error).message}`, { cause: e });
    }
  };
}

/** Renders messages with the model's chat template, up to where the answer begins, or goes on. */
export function renderChat(
  model: Model,
  messages: readonly ChatMessage[],
  input: TemplateInput = {},
  continueLast = false,
): Rendered {
  const write = renderer(model);
  const { before, goOn } = begun(messages, continueLast, model.manifest.tokenizer.chat_template ?? '');
  return { text: goOn(write(before, true, input)), opening: openingOf(write, messages, input) };
}

/** How a conversation begins that has system messages. */
export function openingOf(
  write: ReturnType<typeof renderer>,
  messages: readonly ChatMessage[],
  input: TemplateInput,
): string | undefined {
  const n = messages.findIndex((m) => m.role !== 'system' && m.role !== 'developer');
  if (n < 1) return undefined;
  try {
    return write(messages.slice(0, n), false, input);
  } catch {
    return undefined;
  }
}
